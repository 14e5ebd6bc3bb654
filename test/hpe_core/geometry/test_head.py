import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import (
    FACE_CENTRE_M,
    REFERENCE_LENGTH_M,
    REFERENCE_POINTS_M,
    box_from_pose,
    pixels_per_metre,
    range_from_size,
)

PINHOLE = CameraModel(1280, 720, [[1000.0, 0, 640], [0, 1000.0, 360], [0, 0, 1]])
LENS = CameraModel(1280, 720, PINHOLE.K, [-0.3, 0.1, 1e-3, -5e-4, -0.01])


def test_a_metre_at_one_metre_on_the_axis_spans_the_focal_length():
    assert pixels_per_metre(PINHOLE, [0.0, 0.0, 1.0]) == pytest.approx(1000.0, rel=1e-6)
    assert pixels_per_metre(PINHOLE, [0.0, 0.0, 2.0]) == pytest.approx(500.0, rel=1e-6)


@given(st.floats(0.2, 6.0), st.floats(0.0, 50.0), st.floats(0.0, 360.0))
def test_image_scale_is_the_closed_form_off_the_axis(distance, theta_deg, direction_deg):
    theta, direction = np.radians([theta_deg, direction_deg])
    ray = np.array([np.sin(theta) * np.cos(direction), np.sin(theta) * np.sin(direction), np.cos(theta)])
    closed_form = 1000.0 / distance * np.cos(theta) ** -1.5
    assert pixels_per_metre(PINHOLE, distance * ray) == pytest.approx(closed_form, rel=1e-5)


def test_image_scale_with_two_focal_lengths_is_their_geometric_mean_on_the_axis():
    camera = CameraModel(640, 480, [[400.0, 0, 320], [0, 900.0, 240], [0, 0, 1]])
    assert pixels_per_metre(camera, [0, 0, 1.0]) == pytest.approx(600.0, rel=1e-6)


def test_image_scale_of_a_lens_is_the_area_of_a_small_square_in_the_image():
    ray = LENS.rays([1100.0, 600.0])
    side = 1e-4
    a = np.cross(ray, [0, 0, 1.0])
    a /= np.linalg.norm(a)
    b = np.cross(ray, a)
    corners = 1.5 * ray + side / 2 * np.array([-a - b, a - b, a + b, b - a])
    x, y = LENS.project(corners).T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    assert pixels_per_metre(LENS, 1.5 * ray) == pytest.approx(np.sqrt(area) / side, rel=1e-4)


@pytest.mark.parametrize("camera", [PINHOLE, LENS])
def test_range_from_size_inverts_the_image_scale(camera):
    rays = camera.rays(np.random.default_rng(12).uniform([0, 0], [1279, 719], (30, 2)))
    ranges = np.linspace(0.3, 5.0, 30)
    size_px = REFERENCE_LENGTH_M * pixels_per_metre(camera, ranges[:, None] * rays)
    np.testing.assert_allclose(range_from_size(camera, rays, size_px), ranges, rtol=1e-12)


def test_a_face_of_200_px_at_f_1000_is_one_metre_away():
    assert range_from_size(PINHOLE, np.array([0, 0, 1.0]), 200.0) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("camera", [PINHOLE, LENS])
def test_box_is_the_extent_of_the_projected_points(camera):
    R, t = so3.matrix_from_rotvec([0.3, -0.5, 0.2]), np.array([0.3, -0.1, 1.1])
    pixels = np.array([camera.project(R @ p + t) for p in REFERENCE_POINTS_M])
    x0, y0, x1, y1 = box_from_pose(camera, R, t)
    np.testing.assert_allclose([x0, y0], pixels.min(0))
    np.testing.assert_allclose([x1, y1], pixels.max(0))
    inside = camera.project(R @ FACE_CENTRE_M + t)
    assert x0 < inside[0] < x1 and y0 < inside[1] < y1


def test_box_of_a_frontal_head_by_hand():
    # ears 72 mm to each side and 100 mm back, hairline 68 mm up, chin 118 mm down, both 12 mm back; 1000 px, 1 m
    box = box_from_pose(PINHOLE, np.eye(3), np.array([0.0, 0.0, 1.0]))
    expected = [640 - 72 / 1.1, 360 - 68 / 1.012, 640 + 72 / 1.1, 360 + 118 / 1.012]
    np.testing.assert_allclose(box, expected, atol=1e-9)
    np.testing.assert_array_equal(FACE_CENTRE_M, [0.0, 0.03, 0.05])


def test_boxes_of_many_heads_equal_a_loop():
    R = so3.matrix_from_rotvec(np.random.default_rng(13).normal(size=(5, 3)))
    t = np.random.default_rng(14).uniform([-0.3, -0.3, 0.8], [0.3, 0.3, 2.0], (5, 3))
    loop = [box_from_pose(PINHOLE, *pose) for pose in zip(R, t, strict=True)]
    np.testing.assert_allclose(box_from_pose(PINHOLE, R, t), loop)


def test_box_of_a_head_that_reaches_behind_the_camera_is_finite():
    assert np.all(np.isfinite(box_from_pose(PINHOLE, np.eye(3), [0.0, 0.0, 0.01])))


def test_the_reference_head_is_left_right_symmetric():
    mirrored = REFERENCE_POINTS_M * [-1, 1, 1]
    assert {tuple(p) for p in mirrored} == {tuple(p) for p in REFERENCE_POINTS_M + 0.0}


def test_the_nose_points_out_of_the_face_and_the_chin_down():
    nose, chin = REFERENCE_POINTS_M[2], REFERENCE_POINTS_M[3]
    assert nose[2] == REFERENCE_POINTS_M[:, 2].min()
    assert chin[1] == REFERENCE_POINTS_M[:, 1].max()


def test_the_scale_of_a_pinhole_is_that_of_a_lens_that_hardly_distorts():
    K = [[600.0, 0, 300], [0, 580.0, 250], [0, 0, 1]]
    points = np.random.default_rng(0).uniform([-0.8, -0.6, 0.5], [0.8, 0.6, 3.0], (50, 3))
    pinhole, lens = CameraModel(640, 480, K), CameraModel(640, 480, K, [1e-12, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(pixels_per_metre(pinhole, points), pixels_per_metre(lens, points), rtol=1e-5)
