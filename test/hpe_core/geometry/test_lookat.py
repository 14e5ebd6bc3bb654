import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.geometry.lookat import global_from_local, local_from_global, lookat_rotation, rectifying_homography

CAMERA = CameraModel(1280, 720, [[1120.0, 0, 640], [0, 1120.0, 360], [0, 0, 1]])
RAYS = CAMERA.rays(np.random.default_rng(9).uniform([0, 0], [1279, 719], (40, 2)))
ROTATIONS = Rotation.from_quat(np.random.default_rng(10).normal(size=(40, 4))).as_matrix()


def test_300_pixels_off_axis_at_f_1120_turn_the_look_at_camera_by_15_degrees():
    angle = so3.geodesic_angle(lookat_rotation(CAMERA.rays([940.0, 360.0])), np.eye(3))
    assert np.degrees(angle) == pytest.approx(14.995, abs=1e-3)  # atan(300 / 1120)


def test_face_that_looks_into_a_camera_from_the_right_edge_has_no_local_rotation():
    # the head is turned so that its -z axis points back along the ray
    ray = CAMERA.rays([1200.0, 360.0])
    yaw = np.degrees(np.arctan2(560.0, 1120.0))
    R_camera_head = aflw2000.to_matrix(EulerDeg(yaw=yaw, pitch=0.0, roll=0.0))
    R_local, _, _ = local_from_global(R_camera_head, 2.0 * ray)
    np.testing.assert_allclose(R_local, np.eye(3), atol=1e-14)


def test_look_at_rotation_sends_the_ray_to_the_optical_axis():
    sent = (lookat_rotation(RAYS) @ RAYS[..., None])[..., 0]
    np.testing.assert_allclose(sent, np.broadcast_to([0, 0, 1.0], sent.shape), atol=1e-14)


def test_look_at_rotation_does_not_roll():
    # minimal: the axis is perpendicular to both the ray and the optical axis, so it has no z component
    np.testing.assert_allclose(so3.rotvec_from_matrix(lookat_rotation(RAYS))[:, 2], 0.0, atol=1e-14)


def test_ray_along_the_axis_needs_no_turn():
    np.testing.assert_array_equal(lookat_rotation([0.0, 0.0, 1.0]), np.eye(3))


@given(st.floats(0, 1279), st.floats(0, 719))
def test_homography_sends_the_faces_pixel_to_the_crop_centre(x, y):
    H = rectifying_homography(CAMERA, CAMERA.rays([x, y]), 500.0, 128)
    sent = H @ [x, y, 1.0]
    np.testing.assert_allclose(sent[:2] / sent[2], [63.5, 63.5], atol=1e-9)


def test_homography_agrees_with_projecting_through_the_turned_camera():
    rng = np.random.default_rng(11)
    for ray in RAYS:
        points = 1.5 * ray + rng.uniform(-0.1, 0.1, (20, 3))
        H = rectifying_homography(CAMERA, ray, 700.0, 224)
        crop = CameraModel(224, 224, [[700.0, 0, 111.5], [0, 700.0, 111.5], [0, 0, 1]])
        homogeneous = np.column_stack([CAMERA.project(points), np.ones(20)]) @ H.T
        expected = crop.project(points @ lookat_rotation(ray).T)
        np.testing.assert_allclose(homogeneous[:, :2] / homogeneous[:, 2:], expected, rtol=0, atol=1e-9)


def test_local_and_global_are_inverse():
    ranges = np.linspace(0.3, 5.0, len(RAYS))
    R_camera_head, points = global_from_local(ROTATIONS, RAYS, ranges)
    R_local, rays, range_m = local_from_global(R_camera_head, points)
    np.testing.assert_allclose(R_local, ROTATIONS, rtol=0, atol=1e-14)
    np.testing.assert_allclose(rays, RAYS, rtol=0, atol=1e-15)
    np.testing.assert_allclose(range_m, ranges)


def test_local_pose_is_the_pose_in_the_turned_camera():
    # moving every point of the head into the virtual camera gives R_local and a centre on its axis
    t = 1.2 * RAYS - ROTATIONS @ FACE_CENTRE_M
    R_local, rays, range_m = local_from_global(ROTATIONS, t + ROTATIONS @ FACE_CENTRE_M)
    turned_centre = (lookat_rotation(rays) @ (t + ROTATIONS @ FACE_CENTRE_M)[..., None])[..., 0]
    np.testing.assert_allclose(turned_centre, np.outer(range_m, [0, 0, 1]), atol=1e-14)
    np.testing.assert_allclose(R_local, lookat_rotation(rays) @ ROTATIONS, atol=1e-15)


def test_single_and_batched_calls_agree():
    R, p = global_from_local(ROTATIONS, RAYS, np.full(len(RAYS), 0.7))
    for i in (0, 17):
        R_one, p_one = global_from_local(ROTATIONS[i], RAYS[i], 0.7)
        np.testing.assert_allclose(R_one, R[i], atol=1e-15)
        np.testing.assert_allclose(p_one, p[i], atol=1e-15)


def test_the_closed_form_equals_the_minimal_rotation_onto_the_optical_axis():
    rays = np.random.default_rng(3).normal(size=(200, 3)) + [0.0, 0.0, 1.5]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    np.testing.assert_allclose(lookat_rotation(rays), so3.rotation_between(rays, np.array([0.0, 0.0, 1.0])), atol=1e-9)
