import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core.geometry import frames
from hpe_core.geometry.euler import EulerDeg, aflw2000, axis_turn

X, Y, Z = np.eye(3)
LOOKS_AT_CAMERA = np.eye(3)
RANDOM = Rotation.from_quat(np.random.default_rng(7).normal(size=(20, 4))).as_matrix()


@pytest.mark.parametrize("R", [frames.R_head_face, frames.R_head_gaze, frames.R_optical_body])
def test_fixed_frames_are_rotations(R):
    np.testing.assert_array_equal(R @ R.T, np.eye(3))
    assert np.linalg.det(R) == pytest.approx(1.0)


def test_face_that_looks_at_the_camera_has_x_towards_it_y_to_the_right_of_the_image_and_z_up():
    R_camera_face = frames.face_from_head(LOOKS_AT_CAMERA)
    np.testing.assert_array_equal(R_camera_face @ X, [0, 0, -1])  # towards the camera
    np.testing.assert_array_equal(R_camera_face @ Y, [1, 0, 0])  # the subject's left is the image's right
    np.testing.assert_array_equal(R_camera_face @ Z, [0, -1, 0])  # up


def test_gaze_looks_along_face_x_with_y_down():
    gaze, face = frames.gaze_from_head(RANDOM), frames.face_from_head(RANDOM)
    np.testing.assert_allclose(gaze[..., 2], face[..., 0])
    np.testing.assert_allclose(gaze[..., 1], -face[..., 2])
    np.testing.assert_allclose(gaze[..., 0], -face[..., 1])


def test_face_turned_a_quarter_to_the_left_of_the_image_points_along_minus_camera_x():
    R = aflw2000.to_matrix(EulerDeg(yaw=90.0, pitch=0.0, roll=0.0))
    np.testing.assert_allclose(frames.face_from_head(R) @ X, [-1, 0, 0], atol=1e-15)
    np.testing.assert_allclose(frames.gaze_from_head(R) @ Z, [-1, 0, 0], atol=1e-15)


def test_quarter_turn_about_camera_y_sends_head_z_to_camera_x():
    np.testing.assert_allclose(axis_turn(1, np.pi / 2) @ Z, X, atol=1e-15)


def test_head_and_face_are_inverse():
    np.testing.assert_allclose(frames.head_from_face(frames.face_from_head(RANDOM)), RANDOM, atol=1e-15)


def test_camera_body_looks_along_the_optical_axis():
    np.testing.assert_array_equal(frames.R_optical_body @ X, Z)  # forward
    np.testing.assert_array_equal(frames.R_optical_body @ Y, -X)  # left
    np.testing.assert_array_equal(frames.R_optical_body @ Z, -Y)  # up


def test_a_face_that_looks_at_a_forward_camera_looks_backwards_along_the_camera_body():
    face_in_body = frames.R_optical_body.T @ frames.face_from_head(LOOKS_AT_CAMERA)
    np.testing.assert_array_equal(face_in_body, np.diag([-1, -1, 1]))  # a half turn about up


def test_mirror_negates_yaw_and_roll_and_keeps_pitch():
    angles = EulerDeg(yaw=30.0, pitch=-12.0, roll=7.0)
    mirrored = aflw2000.from_matrix(frames.mirrored(aflw2000.to_matrix(angles)))
    np.testing.assert_allclose([mirrored.yaw, mirrored.pitch, mirrored.roll], [-30, -12, -7], atol=1e-12)


def test_mirror_of_a_head_projects_to_the_mirrored_points():
    M = frames.MIRROR_X
    left_eye, right_eye = np.array([0.045, 0.004, 0.02]), np.array([-0.045, 0.004, 0.02])
    for R in RANDOM:
        np.testing.assert_allclose(frames.mirrored(R) @ right_eye, M @ (R @ left_eye), atol=1e-15)
