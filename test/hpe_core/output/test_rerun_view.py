"""What --view and --save record, read back by Rerun itself."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.geometry import euler, so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.frame import Frame
from hpe_core.output.bands import STD_95_3D, angle_bands_deg, ellipsoid_95
from hpe_core.output.live.rerun_view import RerunView
from hpe_core.types import Face, FrameResult, HeadPose, Landmarks

CAMERA = CameraModel(64, 48, np.array([[60.0, 0.0, 31.5], [0.0, 60.0, 23.5], [0.0, 0.0, 1.0]]))
IMAGE = np.full((48, 64, 3), (200, 100, 50), np.uint8)
needs_rerun = pytest.mark.skipif(
    "__import__('importlib.util').util.find_spec('rerun') is None",
    reason="no rerun-sdk (pip install 'hpe_ros[view]'): --view and --save were NOT tested",
)


def face(face_id, yaw_deg=0.0, covariance=None):
    R = euler.aflw2000.to_matrix(euler.EulerDeg(yaw=yaw_deg, pitch=0.0, roll=0.0))
    landmarks = Landmarks(np.zeros((68, 3)), np.ones(68))
    return Face(HeadPose(R, [0.0, 0.0, 1.0], covariance), 0.9, np.array([10.0, 10.0, 30.0, 40.0]), face_id, landmarks)


@pytest.fixture
def recorded(tmp_path):
    """recorded(faces of each frame) -> dict entity path -> rows {column: value} in order, by Rerun's own reader."""

    def record(frames):
        chunk = pytest.importorskip("rerun.chunk", reason="this rerun-sdk cannot read back: content was NOT tested")
        path = tmp_path / "out.rrd"
        view = RerunView(False, path, "clip")
        for index, faces in enumerate(frames):
            frame = Frame(IMAGE, index * 40_000_000, "lens", index, "clip.mp4")
            view.show(frame, IMAGE, CAMERA, FrameResult(frame.stamp_ns, tuple(faces), {"inference": 0.002}), 0.003)
        view.close()
        rows = {}
        for part in chunk.RrdReader(str(path)).stream():
            rows.setdefault(part.entity_path, []).extend(part.to_record_batch().to_pylist())
        return rows

    return record


@needs_rerun
def test_the_file_is_verified_by_rerun(tmp_path):
    view = RerunView(False, tmp_path / "out.rrd", "clip")
    view.show(Frame(IMAGE, 0, "lens", 0, "clip.mp4"), IMAGE, CAMERA, FrameResult(0, (face("face_a"),)), 0.003)
    view.close()
    command = [sys.executable, "-m", "rerun_cli", "rrd", "verify", str(tmp_path / "out.rrd")]
    checked = subprocess.run(command, capture_output=True, text=True, env={"CI": "1", "HOME": str(tmp_path)})
    assert checked.returncode == 0, checked.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.rrd"]  # and nothing is left in the home


@needs_rerun
def test_image_scene_angles_and_latency_are_there_at_their_stamps(recorded):
    rows = recorded([[face("face_a", 20.0, np.diag([0.01, 0.01, 0.04, 4e-4, 4e-4, 4e-4]))], [face("face_a", 25.0)]])
    for path in ("head", "axes", "gaze", "landmarks", "uncertainty"):
        assert f"/heads/face_a/{path}" in rows
    angles = [row for row in rows["/angles/yaw/face_a"] if row.get("Scalars:scalars")]
    assert [row["time"].total_seconds() for row in angles] == [0.0, 0.04]
    # 0.02 rad are 1.146 degrees, times 1.96
    assert angles[0]["Scalars:scalars"] == pytest.approx([20.0, 20.0 - 2.246, 20.0 + 2.246], abs=0.01)
    assert angles[1]["Scalars:scalars"][0] == pytest.approx(25.0)
    assert [row["Scalars:scalars"] for row in rows["/latency/image_to_pose"]] == [[3.0], [3.0]]
    assert [row["Scalars:scalars"] for row in rows["/latency/inference"]] == [[2.0], [2.0]]
    blobs = [row["EncodedImage:blob"][0] for row in rows["/camera/image"] if row.get("EncodedImage:blob")]
    decoded = cv2.imdecode(np.frombuffer(bytes(blobs[0]), np.uint8), cv2.IMREAD_COLOR)
    assert len(blobs) == 2 and np.abs(decoded.astype(int) - IMAGE).max() < 8
    gaze = rows["/heads/face_a/gaze"][0]["Arrows3D:vectors"][0]
    # half a metre, turned by 20 degrees to the image's left
    assert gaze == pytest.approx([-0.5 * np.sin(np.radians(20)), 0.0, -0.5 * np.cos(np.radians(20))], abs=1e-5)


@needs_rerun
def test_a_face_that_has_gone_is_cleared(recorded):
    rows = recorded([[face("face_a"), face("face_b")], [face("face_a")], []])
    cleared = {path: rows[path] for path in rows if any("Clear:is_recursive" in row for row in rows[path])}
    assert {path for path in cleared if path.startswith("/heads/")} == {"/heads/face_a", "/heads/face_b"}
    assert [row["frame"] for row in cleared["/heads/face_b"]] == [1]
    assert [row["frame"] for row in cleared["/heads/face_a"]] == [2]


def test_without_the_package_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(HpeError, match=r"pip install 'hpe_ros\[view\]'"):
        RerunView(False, tmp_path / "out.rrd", "clip")


def test_bands_that_are_unknown_or_wider_than_the_circle_have_no_ends():
    assert np.isnan(angle_bands_deg(face("face_a", 10.0).pose)[:, 1:]).all()
    wide = angle_bands_deg(face("face_a", 10.0, np.eye(6)).pose)  # 57 degrees, times 1.96
    assert np.isfinite(wide).all()
    assert np.isnan(angle_bands_deg(face("face_a", 10.0, 9.0 * np.eye(6)).pose)[:, 1:]).all()


def test_the_ellipsoid_holds_95_percent_of_the_positions():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3)) * 0.1
    half_axes_m, quat = ellipsoid_95(root @ root.T)
    points = rng.normal(size=(20_000, 3)) @ root.T @ so3.matrix_from_quat(quat) / half_axes_m
    assert np.mean((points**2).sum(1) < 1.0) == pytest.approx(0.95, abs=0.005)
    assert pytest.approx(7.815, abs=0.005) == STD_95_3D**2  # of chi-square with three degrees of freedom
