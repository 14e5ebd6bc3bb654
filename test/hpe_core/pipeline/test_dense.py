"""Faces of a dense network on their way through the pipeline."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from hpe_core import catalogue
from hpe_core.config import EstimatorConfig, PipelineConfig, TrackerConfig
from hpe_core.geometry.camera import CameraModel
from hpe_core.mesh.face_mesh import mesh_of
from hpe_core.mesh.head_model import shipped
from hpe_core.pipeline import Pipeline

pytestmark = pytest.mark.skipif("crop6dof" not in catalogue.networks(), reason="no shipped weights here")
WINK = {"eyeBlink_L": 0.9}


def pipeline_of(path, **options):
    return Pipeline(PipelineConfig(EstimatorConfig(model=f"head6dof+{path}", **options), TrackerConfig(id_seed=1)))


@pytest.fixture(scope="module")
def photo():
    """A photograph of one face, and its camera."""
    from hpe_core.backends.tensorrt import parity

    image = cv2.resize(parity.frames(240, 320)[0][0], (640, 480))
    return image, CameraModel.from_hfov(640, 480, 60.0)


def test_a_face_has_the_shape_that_the_network_says_and_landmarks_on_its_mesh(dense_net, photo):
    identity = np.linspace(-1.0, 1.0, 40)
    pipeline = pipeline_of(dense_net(identity, WINK, [0.1, 0.2, 0.1, 0.2]))
    (face,) = pipeline.process(*photo, 0).faces
    symmetric = shipped().identity_mirror > 0  # what is not, the mirrored crop takes away: it says the same of it
    np.testing.assert_allclose(face.shape.identity[symmetric], identity[symmetric], atol=1e-5)
    eyes = [shipped().expression_names.index(f"eyeBlink_{side}") for side in "LR"]
    np.testing.assert_allclose(face.shape.expression[eyes], 0.45, atol=1e-5)  # mirrored it says the other one
    np.testing.assert_allclose(face.shape.gaze_rad, [0.0, 0.2, 0.0, 0.2], atol=1e-5)
    np.testing.assert_allclose(
        face.landmarks_camera_m, mesh_of(face).vertices_m[shipped().landmark_vertices], atol=1e-6
    )
    (plain,) = Pipeline(PipelineConfig(EstimatorConfig(model="fusion"))).process(*photo, 0).faces
    size = np.exp(shipped().log_size[symmetric] @ identity[symmetric])  # of people of this identity
    assert face.scale.ratio == pytest.approx(size, rel=1e-4)
    np.testing.assert_allclose(face.pose.t_camera_head_m / size, plain.pose.t_camera_head_m, atol=0.01)
    apart_px = np.linalg.norm(
        photo[1].project(face.landmarks_camera_m) - photo[1].project(plain.landmarks_camera_m), axis=1
    )
    assert np.median(apart_px) < 0.05 * np.ptp(face.box_px[[0, 2]])  # a neutral stranger's face lies near this one's


@pytest.mark.parametrize("degrees", [90, 180])
def test_the_mesh_of_a_turned_camera_is_the_upright_one_turned(dense_net, photo, degrees):
    image, camera = photo
    path = dense_net(None, {"jawOpen": 0.5})
    (upright,) = pipeline_of(path).process(image, camera, 0).faces
    turned = np.ascontiguousarray(np.rot90(image, degrees // 90))
    seen = CameraModel.from_hfov(turned.shape[1], turned.shape[0], 60.0)
    K = np.array([[camera.K[0, 0], 0, (seen.width - 1) / 2], [0, camera.K[0, 0], (seen.height - 1) / 2], [0, 0, 1.0]])
    seen = CameraModel(seen.width, seen.height, K)
    (face,) = pipeline_of(path, image_rotation=degrees).process(turned, seen, 0).faces
    pixels, upright_px = mesh_of(face).pixels(seen), mesh_of(upright).pixels(camera)
    x, y = upright_px.T
    expected = {90: np.stack([y, camera.width - 1 - x], 1), 180: [camera.width - 1, camera.height - 1] - upright_px}
    np.testing.assert_allclose(pixels, expected[degrees], atol=0.5)
    vertices = mesh_of(face).vertices_m[shipped().landmark_vertices]
    np.testing.assert_allclose(face.landmarks_camera_m, vertices, atol=1e-5)


def test_a_face_half_out_of_the_image_has_a_finite_mesh_that_reaches_out_of_it(dense_net, photo):
    image, camera = photo
    pipeline = pipeline_of(dense_net(None, {"jawOpen": 0.5}))
    (whole,) = pipeline.process(image, camera, 0).faces
    middle = int(camera.project(whole.landmarks_camera_m[30])[0])
    cut = np.ascontiguousarray(image[:, : middle + 5])
    half = camera.cropped(0, 0, middle + 5, 480)
    pipeline.reset()
    for face in pipeline.process(cut, half, 0).faces:
        mesh = mesh_of(face)
        assert np.isfinite(mesh.vertices_m).all() and np.isfinite(face.landmarks_camera_m).all()
        pixels = mesh.pixels(half)
        assert np.isfinite(pixels).all() and pixels[:, 0].max() > half.width  # the other half is not squeezed in


def turned_head():
    """Images of a rendered head that turns once around, their camera, and how far it looks away (N,) deg."""
    folder = Path(__file__).parent / "full_turn"
    truth = json.loads((folder / "truth.json").read_text())
    sheet, width, height = cv2.imread(str(folder / "frames.jpg")), truth["width"], truth["height"]
    tiles = sheet.reshape(sheet.shape[0] // height, height, -1, width, 3).swapaxes(1, 2).reshape(-1, height, width, 3)
    away_deg = np.degrees(np.arccos(np.clip(np.array(truth["R_camera_head"])[:, 2, 2], -1.0, 1.0)))
    return tiles, CameraModel.from_hfov(width, height, truth["hfov_deg"]), away_deg


def test_a_profile_has_a_finite_mesh_and_the_back_of_a_head_none(dense_net):
    pipeline, (images, camera, away_deg) = pipeline_of(dense_net(None, {"jawOpen": 0.5})), turned_head()
    for i, away in enumerate(away_deg):
        faces = pipeline.process(np.ascontiguousarray(images[i]), camera, i * 33_333_333).faces
        if away > 140.0:
            assert not faces
        if away < 95.0:
            (face,) = faces
            mesh = mesh_of(face)
            assert np.isfinite(mesh.vertices_m).all() and np.isfinite(mesh.normals).all()
            if away > 80.0:
                assert face.landmarks.visible.min() < 0.5  # it says that it does not see the other side
