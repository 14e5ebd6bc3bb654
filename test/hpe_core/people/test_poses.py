"""Heads of a camera in the fixed frame."""

import numpy as np

from hpe_core.geometry.frames import R_optical_body
from hpe_core.people.poses import CameraPlace, apart, distance2, in_fixed_frame
from hpe_core.types import HeadPose

# at (1, 2, 3), looking along x of a frame whose z is up
PLACE = CameraPlace(R_optical_body.T, np.array([1.0, 2.0, 3.0]))


def test_a_head_two_metres_before_a_camera_that_looks_along_x_is_two_metres_further_in_x():
    head = HeadPose(np.eye(3), [0.5, 0.0, 2.0], np.diag([0.01, 0.02, 0.04, 0.1, 0.2, 0.3]))
    fixed = in_fixed_frame(head, PLACE)
    np.testing.assert_allclose(fixed.t_fixed_head_m, [3.0, 1.5, 3.0], atol=1e-12)  # right of the image is -y
    # the camera's z (along the view) is the fixed x, its x the fixed -y, its y (down) the fixed -z
    np.testing.assert_allclose(np.diag(fixed.covariance), [0.04, 0.01, 0.02, 0.3, 0.1, 0.2], atol=1e-12)
    np.testing.assert_allclose(fixed.R_fixed_head, R_optical_body.T, atol=1e-12)


def test_a_camera_turned_by_half_a_degree_is_off_by_17_mm_at_two_metres_but_not_along_its_view():
    head = HeadPose(np.eye(3), [0.0, 0.0, 2.0], np.zeros((6, 6)))
    fixed = in_fixed_frame(head, PLACE, 0.0, np.radians(0.5))
    np.testing.assert_allclose(np.sqrt(np.diag(fixed.covariance)[:3]), [0.0, 0.01745, 0.01745], atol=1e-5)
    np.testing.assert_allclose(np.degrees(np.sqrt(np.diag(fixed.covariance)[3:])), [0.5, 0.5, 0.5])


def test_the_covariance_of_a_turned_camera_is_that_of_many_turned_cameras():
    rng, std = np.random.default_rng(0), np.radians(0.5)
    head = HeadPose(np.eye(3), [0.4, -0.3, 2.0], np.zeros((6, 6)))
    from hpe_core.geometry import so3

    exact = in_fixed_frame(head, PLACE, 0.0, std)
    turns = so3.matrix_from_rotvec(rng.normal(0.0, std, (20000, 3)))
    errors = np.array(
        [
            apart(in_fixed_frame(head, CameraPlace(R @ PLACE.R_fixed_camera, PLACE.t_fixed_camera_m)), exact)
            for R in turns
        ]
    )
    np.testing.assert_allclose(np.cov(errors.T), exact.covariance, atol=6e-6)


def test_the_distance_of_a_head_from_itself_is_zero_and_from_another_one_in_standard_deviations():
    covariance = np.diag([0.04**2] * 3 + [0.2**2] * 3)
    here, there = (in_fixed_frame(HeadPose(np.eye(3), [x, 0.0, 1.0], covariance), PLACE) for x in (0.0, 0.3))
    assert distance2(here, here)[0] == 0.0
    # 0.04 twice and the slack of 0.03: sqrt(0.0041) m is one standard deviation
    np.testing.assert_allclose(distance2(here, there)[0], 0.3**2 / 0.0041)
