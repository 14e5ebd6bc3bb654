"""Cameras mounted turned, and people upside down, on a real photograph."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core.backends.tensorrt.parity import FRAMES
from hpe_core.config import EstimatorConfig, PipelineConfig, overridden
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.pipeline import Pipeline
from hpe_core.pipeline.image_rotation import upright_camera, upright_from_delivered, upright_image
from hpe_core.pixels.depth import DepthImage

K = [[610.0, 0, 330.5], [0, 590.0, 215.25], [0, 0, 1]]
LENSES = {
    "pinhole": CameraModel(640, 480, K),
    "plumb_bob": CameraModel(640, 480, K, [-0.2, 0.05, 0.004, -0.006, -0.01]),
    "rational": CameraModel(640, 480, K, [0.3, 0.1, 0.004, -0.006, 0.01, 0.5, 0.1, 0.03], "rational_polynomial"),
}
COUNTER = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
CLOCKWISE_DEG = [90, 180, 270]


@pytest.fixture(scope="module")
def photo():
    """(480, 640, 3), one person, upright."""
    return cv2.resize(cv2.imread(str(FRAMES / "0.jpg")), (640, 480))


def pipeline(**estimator):
    return Pipeline(overridden(PipelineConfig(), {"estimator": estimator, "tracker": {"filter": False}}))


@pytest.mark.parametrize("degrees", CLOCKWISE_DEG)
@pytest.mark.parametrize("camera", LENSES.values(), ids=LENSES)
def test_the_turned_camera_sees_every_point_at_the_pixel_to_which_opencv_turns_it(camera, degrees):
    rng = np.random.default_rng(0)
    points = rng.uniform([-0.3, -0.2, 1.0], [0.3, 0.2, 2.0], (20, 3))
    turned = upright_camera(camera, degrees)
    # the twin: an image whose pixels hold their own coordinates, turned by OpenCV
    columns, rows = np.meshgrid(np.arange(camera.width, dtype=np.float32), np.arange(camera.height, dtype=np.float32))
    own = upright_image(np.stack([columns, rows], -1), degrees)
    assert own.shape[:2] == (turned.height, turned.width)
    seen = turned.project(points @ upright_from_delivered(degrees).T)
    back = cv2.remap(own, seen.astype(np.float32)[None], None, cv2.INTER_LINEAR)[0]
    np.testing.assert_allclose(back, camera.project(points), atol=0.04)  # OpenCV rounds positions to 1/32 px
    np.testing.assert_allclose(
        turned.rays(seen), camera.rays(camera.project(points)) @ upright_from_delivered(degrees).T
    )


def test_four_quarter_turns_are_none():
    camera = LENSES["plumb_bob"]
    again = upright_camera(upright_camera(camera, 90), 270)
    np.testing.assert_array_equal(again.K, camera.K)
    np.testing.assert_array_equal(again.D, camera.D)


def test_a_quarter_turn_clockwise_takes_the_left_edge_to_the_top():
    image = np.zeros((2, 3, 3), np.uint8)
    image[:, 0] = 255
    assert (upright_image(image, 90)[0] == 255).all() and upright_image(image, 90).shape == (3, 2, 3)
    np.testing.assert_allclose(upright_from_delivered(90) @ [-1.0, 0.0, 1.0], [0.0, -1.0, 1.0])


@pytest.mark.parametrize("degrees", CLOCKWISE_DEG)
@pytest.mark.parametrize("model", ["fusion_int8", "head6dof_int8"])
def test_a_camera_mounted_turned_tells_the_poses_of_the_upright_image_in_its_own_frame(photo, model, degrees):
    delivered, camera = cv2.rotate(photo, COUNTER[degrees]), LENSES["plumb_bob"]
    if degrees != 180:
        camera = CameraModel(480, 640, [[590.0, 0, 215.25], [0, 610.0, 330.5], [0, 0, 1]], camera.D)
    (plain,) = pipeline(model=model).process(photo, upright_camera(camera, degrees), 1).faces
    result = pipeline(model=model, image_rotation=degrees).process(delivered, camera, 1)
    (face,) = result.faces
    x0, y0, x1, y1 = result.candidate_boxes_px[0]
    middle = 0.5 * (face.box_px[:2] + face.box_px[2:])
    assert np.linalg.norm([0.5 * (x0 + x1), 0.5 * (y0 + y1)] - middle) < 0.3 * (x1 - x0)
    R = Rotation.from_euler("z", -degrees, degrees=True).as_matrix()  # in the image, clockwise is positive about z
    np.testing.assert_allclose(face.pose.R_camera_head, R @ plain.pose.R_camera_head, atol=1e-9)
    np.testing.assert_allclose(face.pose.t_camera_head_m, R @ plain.pose.t_camera_head_m, atol=1e-9)
    both = np.kron(np.eye(2), R)
    np.testing.assert_allclose(face.pose.covariance, both @ plain.pose.covariance @ both.T, atol=1e-12)
    corners = camera.project(upright_camera(camera, degrees).rays(plain.box_px.reshape(2, 2)) @ R.T)
    np.testing.assert_allclose(face.box_px, [*corners.min(0), *corners.max(0)], atol=1e-6)
    if plain.landmarks is not None:
        np.testing.assert_allclose(face.landmarks_camera_m, plain.landmarks_camera_m @ R.T, atol=1e-9)


@pytest.mark.parametrize("degrees", CLOCKWISE_DEG)
def test_depth_of_a_camera_mounted_turned_gives_the_range_of_the_upright_one(photo, degrees):
    delivered, camera = cv2.rotate(photo, COUNTER[degrees]), LENSES["pinhole"]
    if degrees != 180:
        camera = CameraModel(480, 640, [[590.0, 0, 215.25], [0, 610.0, 330.5], [0, 0, 1]])
    upright = upright_camera(camera, degrees)
    (plain,) = pipeline().process(photo, upright, 1).faces
    x0, y0, x1, y1 = np.rint(plain.box_px).astype(int)
    depth = np.full(photo.shape[:2], 7.0, np.float32)  # a wall far behind, but where the face is
    depth[max(y0, 0) : y1, max(x0, 0) : x1] = 1.1 * plain.pose.t_camera_head_m[2]
    expected = pipeline().process(photo, upright, 1, DepthImage(depth, upright))
    turned = np.ascontiguousarray(cv2.rotate(depth, COUNTER[degrees]))
    found = pipeline(image_rotation=degrees).process(delivered, camera, 1, DepthImage(turned, camera))
    assert found.counts["depth.measured"] == expected.counts["depth.measured"] == 1
    found_m, expected_m = (np.linalg.norm(of.faces[0].pose.t_camera_head_m) for of in (found, expected))
    assert found_m == pytest.approx(expected_m, rel=1e-3)
    assert found_m > 1.05 * np.linalg.norm(plain.pose.t_camera_head_m)


def test_a_turned_image_of_another_size_than_its_camera_is_refused_in_delivered_pixels(photo):
    with pytest.raises(HpeError, match="image is 640x480 but the camera model is 480x640"):
        pipeline(image_rotation=90).process(photo, CameraModel.from_hfov(480, 640, 60.0), 0)


def test_other_angles_are_refused():
    with pytest.raises(HpeError, match="image_rotation must be one of 0, 90, 180, 270, got 45"):
        EstimatorConfig(image_rotation=45)


@pytest.mark.parametrize("roll_deg", range(0, 360, 30))
@pytest.mark.parametrize("model", ["fusion", "nlml", "head6dof"])
def test_at_no_roll_is_a_pose_wrong_and_sure_of_itself(photo, model, roll_deg):
    camera = CameraModel.from_hfov(800, 800, 60.0)
    image = cv2.copyMakeBorder(photo, 160, 160, 80, 80, cv2.BORDER_REFLECT_101)
    (upright,) = pipeline(model=model).process(image, camera, 1).faces
    M = cv2.getRotationMatrix2D((399.5, 399.5), -roll_deg, 1.0)  # OpenCV's angle is counterclockwise
    rolled = cv2.warpAffine(image, M, (800, 800), borderMode=cv2.BORDER_REFLECT_101)
    R_true = Rotation.from_euler("z", roll_deg, degrees=True).as_matrix() @ upright.pose.R_camera_head
    faces = pipeline(model=model).process(rolled, camera, 1).faces
    for face in faces:
        error_deg = np.degrees(so3.geodesic_angle(face.pose.R_camera_head, R_true))
        assert error_deg < max(20.0, 3.0 * face.pose.rotation_std_deg)
    if model != "head6dof" and min(roll_deg, 360 - roll_deg) <= 60:
        assert len(faces) == 1


def test_a_face_on_its_head_is_tracked_with_the_right_pose(photo):
    camera, upside_down = CameraModel.from_hfov(640, 480, 60.0), cv2.rotate(photo, cv2.ROTATE_180)
    (upright,) = pipeline().process(photo, camera, 1).faces
    stream = pipeline()
    results = [stream.process(upside_down, camera, i * 33_333_333) for i in range(1, 4)]
    assert "inference" not in results[-1].stage_s
    R_true = np.diag([-1.0, -1.0, 1.0]) @ upright.pose.R_camera_head
    for result in results:
        (face,) = result.faces
        assert np.degrees(so3.geodesic_angle(face.pose.R_camera_head, R_true)) < 8.0
        corrected = replace(face, face_id=None).landmarks_camera_m * [-1, -1, 1]
        assert np.abs(corrected - upright.landmarks_camera_m).mean() < 0.02
