"""Further columns of the table of poses, and the same table as Parquet."""

import csv
import sys
from dataclasses import replace

import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.geometry import euler
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, box_from_pose
from hpe_core.geometry.lookat import lookat_rotation
from hpe_core.io.frame import Frame
from hpe_core.io.text import csv_value
from hpe_core.output.choices import EXTRAS, checked
from hpe_core.output.tables.pose_columns import decimals, face_columns, face_values
from hpe_core.output.tables.pose_csv import PoseCsv
from hpe_core.output.tables.pose_parquet import ROWS, PoseParquet
from hpe_core.types import Face, FrameResult, HeadPose, Landmarks

CAMERA = CameraModel.from_hfov(640, 480, 60.0)
COVARIANCE = np.arange(36.0).reshape(6, 6) + np.arange(36.0).reshape(6, 6).T


def face(t=(0.1, -0.2, 1.0), R=None, covariance=COVARIANCE, landmarks=True):
    R = np.eye(3) if R is None else R
    local = np.zeros((68, 3))
    local[:, 0] = np.linspace(-0.07, 0.07, 68)
    seen = Landmarks(local, np.linspace(0.0, 1.0, 68)) if landmarks else None
    pose = HeadPose(R, np.array(t, float), covariance)
    return Face(pose, 0.9, box_from_pose(CAMERA, R, t), "face_a", landmarks=seen)


def frame(index=0, source="=clip.mp4", error=None):
    return Frame(None if error else np.zeros((4, 4, 3), np.uint8), 10 + index, "lens", index, source, error)


def of(one, extras=()):
    return dict(zip(face_columns(extras), face_values(one, CAMERA, extras), strict=True))


def test_who_faces_the_camera_has_no_angle_to_the_line_of_sight_anywhere_in_the_image():
    centre = np.array([0.8, -0.3, 1.0])
    R = lookat_rotation(centre / np.linalg.norm(centre)).T
    values = of(face(centre - R @ FACE_CENTRE_M, R))
    assert [values[f"sight_{name}_deg"] for name in ("yaw", "pitch", "roll")] == pytest.approx([0, 0, 0], abs=1e-9)
    assert values["yaw_deg"] == pytest.approx(np.degrees(np.arcsin(R[0, 2])), abs=1e-6) and values["yaw_deg"] > 30
    straight = of(face(-FACE_CENTRE_M + [0, 0, 1], np.eye(3)))  # on the optical axis both are the same
    assert straight["sight_yaw_deg"] == straight["yaw_deg"] == 0.0


def test_the_covariance_is_its_upper_triangle_by_name():
    values = of(face(), ("covariance",))
    assert len([name for name in values if name.startswith("cov_")]) == 21
    assert (values["cov_x_x"], values["cov_x_rz"], values["cov_rx_ry"]) == (0.0, 5.0 + 30.0, 22.0 + 27.0)


def test_landmarks_are_where_the_camera_sees_them():
    one = face()
    values = of(one, ("landmarks", "landmarks_m"))
    points = one.landmarks_camera_m
    for i in (0, 30, 67):
        assert [values[f"landmark_{i}_{axis}_m"] for axis in "xyz"] == pytest.approx(points[i])
        pixel = [values[f"landmark_{i}_{axis}_px"] for axis in "xy"]
        assert pixel == pytest.approx(CAMERA.project(points[i]))
        assert values[f"landmark_{i}_visible"] == pytest.approx(i / 67)


def test_what_is_unknown_is_none():
    values = of(face(covariance=None, landmarks=False), EXTRAS)
    unknown = [name for name, value in values.items() if value is None]
    assert unknown[:3] == ["rotation_std_deg", "depth_std_m", "face_visibility"]
    assert len(unknown) == 3 + 21 + 68 * 3 + 68 * 3


def test_how_likely_the_face_can_be_seen_is_a_number():
    assert of(replace(face(), face_visibility=0.25))["face_visibility"] == 0.25


def test_unknown_groups_of_columns_are_refused():
    assert checked(["landmarks", "covariance"], EXTRAS, "columns") == ("covariance", "landmarks")
    for wrong in (["landmark"], "landmarks", [""]):
        with pytest.raises(HpeError, match="covariance, landmarks, landmarks_m, got"):
            checked(wrong, EXTRAS, "columns")


def test_parquet_has_the_rows_and_numbers_of_the_csv(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="NOT TESTED: poses.parquet (pip install pyarrow)")
    writers = [kind(tmp_path / f"poses.{name}", EXTRAS) for name, kind in (("csv", PoseCsv), ("parquet", PoseParquet))]
    turned = face(R=euler.axis_turn(1, 0.4), t=(0.3, 0.1, 2 / 3))
    for writer in writers:
        writer.write(frame(0), FrameResult(10, (face(), turned)), CAMERA)
        writer.write(frame(1), FrameResult(11, ()), CAMERA)
        writer.write_unreadable(frame(2, error="cut off"))
        writer.write(frame(3), FrameResult(13, (face(covariance=None, landmarks=False),)), CAMERA)
        writer.close()
    with open(tmp_path / "poses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "poses.parquet")
    assert table.column_names == [*rows[0]] and table.num_rows == len(rows) == 5
    digits = decimals(EXTRAS)
    for row, values in zip(rows, table.to_pylist(), strict=True):
        assert (values["source"], csv_value(row["source"])) == ("=clip.mp4", "=clip.mp4")
        for name, value in values.items():
            if name in digits and value is not None:
                step = digits[name]
                near = 1e-8 * max(1.0, abs(value)) if step is None else 0.5001 * 10.0**-step
                assert float(row[name]) == pytest.approx(value, abs=near, rel=0), name
            elif name != "source":
                assert row[name] == ("" if value is None else str(value)), name


def test_a_parquet_file_of_many_rows_is_whole(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="NOT TESTED: poses.parquet (pip install pyarrow)")
    writer = PoseParquet(tmp_path / "poses.parquet")
    for index in range(ROWS + 5):
        writer.write(frame(index), FrameResult(index, ()), CAMERA)
    writer.close()
    table = parquet.read_table(tmp_path / "poses.parquet")
    assert table["frame"].to_pylist() == list(range(ROWS + 5)) and table["yaw_deg"].null_count == ROWS + 5


def test_without_pyarrow_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(HpeError, match=r"pip install 'hpe_ros\[parquet\]'"):
        PoseParquet(tmp_path / "poses.parquet")
    assert list(tmp_path.iterdir()) == []
