"""Scans become shards: frames of known heads are found again, labels are what was drawn, bad scans are named."""

import numpy as np
import pytest
from scipy.spatial import Delaunay
from scipy.spatial.transform import Rotation

pytest.importorskip("moderngl", reason="NOT TESTED: scans (pip install -e '.[train]')")
trimesh = pytest.importorskip("trimesh", reason="NOT TESTED: scans (pip install -e '.[train]')")
Image = pytest.importorskip("PIL.Image", reason="NOT TESTED: scans (pip install pillow)")

from hpe_core.errors import HpeError  # noqa: E402
from hpe_core.geometry.euler import aflw2000  # noqa: E402
from hpe_core.geometry.landmarks68 import REFERENCE_LANDMARKS_M  # noqa: E402
from training.data import shards  # noqa: E402
from training.render import objs  # noqa: E402
from training.render.gl import Renderer  # noqa: E402
from training.render.scans import frame  # noqa: E402
from training.render.scans.read import read_scan  # noqa: E402

R_SCAN_HEAD = (Rotation.from_euler("y", 25, degrees=True) * Rotation.from_euler("x", 180, degrees=True)).as_matrix()
SHIFT = np.array([120.0, -40.0, 900.0])  # mm


def face_mesh(metres_per_unit=1e-3):
    """The mean face as a mesh in a scan's coordinates: (V, 3), (T, 3), and its 68 landmarks there."""
    points, _ = frame.mean_face()
    flat = points[:, :2] * (1.0 + 6.0 * points[:, 2:])  # rolled out, so that no triangle spans the nose
    triangles = Delaunay(flat).simplices
    edges = points[triangles] - points[np.roll(triangles, 1, 1)]
    triangles = triangles[np.linalg.norm(edges, axis=2).max(1) < 0.03]
    a, b, c = np.moveaxis(points[triangles], 1, 0)
    inwards = np.cross(b - a, c - a)[:, 2] > 0
    triangles[inwards] = triangles[inwards, ::-1]

    def scan(p):
        return (1e3 * p @ R_SCAN_HEAD.T + SHIFT) * 1e-3 / metres_per_unit

    return scan(points), triangles, scan(REFERENCE_LANDMARKS_M)


def save(path, vertices, triangles, texture=True):
    visual = None
    if texture:
        material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.new("RGB", (8, 8), (200, 150, 120)))
        if path.suffix == ".obj":
            material = trimesh.visual.material.SimpleMaterial(image=Image.new("RGB", (8, 8), (200, 150, 120)))
        visual = trimesh.visual.TextureVisuals(uv=np.full((len(vertices), 2), 0.5), material=material)
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh(vertices, triangles, visual=visual, process=False).export(path)


@pytest.mark.parametrize("metres_per_unit", [1e-3, 1.0])
@pytest.mark.parametrize("inside_out", [False, True])
def test_the_frame_of_the_mean_face_is_found_in_any_unit_and_winding(metres_per_unit, inside_out):
    vertices, triangles, _ = face_mesh(metres_per_unit)
    found = frame.by_surface(vertices, triangles[:, ::-1] if inside_out else triangles)
    error = Rotation.from_matrix(found.R_head_scan @ R_SCAN_HEAD).magnitude()
    assert np.degrees(error) < 1.0
    assert found.scale == pytest.approx(metres_per_unit, rel=0.02)
    assert np.linalg.norm(found.head_from_scan(vertices) - frame.mean_face()[0], axis=1).max() < 0.003
    assert found.outward != inside_out


def test_landmarks_beside_a_scan_give_its_frame_exactly_and_other_points_are_refused():
    vertices, triangles, landmarks = face_mesh()
    found = frame.by_landmarks(landmarks, vertices, triangles)
    np.testing.assert_allclose(found.R_head_scan, R_SCAN_HEAD.T, atol=1e-9)
    np.testing.assert_allclose(found.head_from_scan(landmarks), REFERENCE_LANDMARKS_M, atol=1e-9)
    with pytest.raises(HpeError, match=r"68 landmarks fit the mean face to \d+\.\d mm, allowed 8"):
        frame.by_landmarks(landmarks[::-1], vertices, triangles)


def test_a_ball_is_no_head():
    ball = trimesh.creation.icosphere(4, 0.1)
    with pytest.raises(HpeError, match="no face was found on it: the misfit of the mean face is"):
        frame.by_surface(ball.vertices, ball.faces)
    with pytest.raises(HpeError, match="which is no head in mm, cm, dm or m"):
        frame.by_surface(ball.vertices * 1e5, ball.faces)


@pytest.fixture
def graphics():
    """Skips where there is no EGL."""
    try:
        Renderer({}).ctx.release()
    except HpeError as error:
        pytest.skip(f"NOT TESTED: drawing scans ({error})")


def test_labels_are_the_poses_drawn_and_bad_scans_are_named_and_counted(graphics, tmp_path, capsys):
    vertices, triangles, landmarks = face_mesh()
    save(tmp_path / "scans" / "anna" / "smile.glb", vertices, triangles)
    np.savetxt(tmp_path / "scans" / "anna" / "smile.txt", landmarks)
    save(tmp_path / "scans" / "grey.obj", vertices, triangles, texture=False)
    save(tmp_path / "scans" / "hole.obj", np.where(np.arange(len(vertices))[:, None] == 7, np.nan, vertices), triangles)
    (tmp_path / "scans" / "cut.glb").write_bytes(b"glTF")
    (tmp_path / "scans" / "empty.obj").touch()
    words = ["--objs", str(tmp_path / "scans"), "--out", str(tmp_path / "out"), "--yaw", "-40", "40", "40"]
    words += ["--pitch", "0", "20", "20", "--random", "1", "--sheet", str(tmp_path / "sheet.png")]
    assert objs.main(words) == 1
    said = capsys.readouterr()
    assert "1 scans, 7 images" in said.out
    assert "4 scans could not be used" in said.out
    lines = said.err.splitlines()
    assert len(lines) == 4
    for name, why in (("grey", "no texture"), ("hole", "mesh is broken"), ("cut", "cannot be read"), ("empty", "")):
        assert sum(line.startswith(f"objs: error: {name}.") and why in line for line in lines) == 1, name
    (path,) = shards.shard_paths(tmp_path / "out")
    shard = shards.read(path)
    assert set(shard["person"]) == {"anna"}
    angles = aflw2000.from_matrix(shard["R_local"][:6].astype(float))
    np.testing.assert_allclose(
        np.column_stack([angles.yaw, angles.pitch]), [(y, p) for y in (-40, 0, 40) for p in (0, 20)], atol=1e-3
    )
    for i in range(7):
        R, t, K = (shard[key][i].astype(float) for key in ("R_camera_head", "t_camera_head_m", "K"))
        pixel = (REFERENCE_LANDMARKS_M @ R.T + t) @ K.T
        np.testing.assert_allclose(shard["landmarks_px"][i], pixel[:, :2] / pixel[:, 2:], atol=0.01)
        alpha = shards.files.encoded(shard, i, "alpha_")
        mask = objs.cv2.imdecode(alpha, objs.cv2.IMREAD_UNCHANGED)
        around = objs.cv2.dilate(mask, np.ones((7, 7), np.uint8))
        if shard["R_local"][i][2, 2] > 0.5:  # it looks at the camera, within 60 degrees
            x, y = np.clip(np.round(shard["landmarks_px"][i][27:48]).astype(int), 0, len(mask) - 1).T
            assert np.mean(around[y, x] == 255) > 0.8  # the face is where its label says


def test_a_texture_seam_splits_no_normal(tmp_path):
    vertices, triangles, _ = face_mesh()
    save(
        tmp_path / "face.obj",
        np.concatenate([vertices, vertices]),
        np.concatenate([triangles[::2], triangles[1::2] + len(vertices)]),
    )
    (part,) = read_scan(tmp_path / "face.obj").parts
    assert len(part.vertices) == len(vertices)
