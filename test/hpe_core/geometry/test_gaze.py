"""The direction of a head against a target, by hand and by finite differences."""

import numpy as np
import pytest

from hpe_core.geometry import gaze, so3

FRONTAL = np.eye(3)


def test_a_frontal_head_on_the_axis_looks_at_the_camera_and_30_degrees_past_a_shelf():
    t = np.array([[0.0, 0.0, 1.0]])
    assert gaze.angle_to_target_deg(FRONTAL[None], t, [0, 0, 0]) == pytest.approx([0.0])
    shelf = [np.tan(np.radians(30)), 0.0, 0.0]
    assert gaze.angle_to_target_deg(FRONTAL[None], t, shelf) == pytest.approx([30.0])


def test_a_head_that_shows_its_back_is_180_degrees_off():
    assert gaze.angle_to_target_deg(np.diag([-1.0, 1.0, -1.0]), [0.0, 0.0, 1.0], [0, 0, 0]) == pytest.approx(180.0)


def test_angles_of_a_millionth_of_a_degree_keep_their_digits():
    R = so3.matrix_from_rotvec([0.0, np.radians(1e-6), 0.0])
    assert gaze.angle_to_target_deg(R, [0.0, 0.0, 1.0], [0, 0, 0]) == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize("column", range(6))
def test_first_row_of_the_jacobian_is_the_derivative_of_the_angle(column):
    R, t = so3.matrix_from_rotvec([0.3, -0.5, 0.2]), np.array([0.4, -0.2, 1.3])
    target, step = np.array([0.1, 0.3, 0.0]), 1e-6

    def angle(size):
        error = size * np.eye(6)[column]
        return np.radians(gaze.angle_to_target_deg(so3.matrix_from_rotvec(error[3:]) @ R, t + error[:3], target))

    J = gaze.angle_jacobian(R, t, target)
    assert J[0, column] == pytest.approx((angle(step) - angle(-step)) / (2.0 * step), abs=1e-8)


@pytest.mark.parametrize("column", range(6))
def test_second_row_of_the_jacobian_is_the_offset_across_the_arc(column):
    R, t = so3.matrix_from_rotvec([0.3, -0.5, 0.2]), np.array([0.4, -0.2, 1.3])
    target, step = np.array([0.1, 0.3, 0.0]), 1e-6

    def directions(size):
        error = size * np.eye(6)[column]
        ray = target - (t + error[:3])
        return so3.matrix_from_rotvec(error[3:]) @ R @ gaze.GAZE_HEAD, ray / np.linalg.norm(ray)

    across = np.cross(*directions(0.0)[::-1])
    across /= np.linalg.norm(across)
    ahead, behind = (across @ np.subtract(*directions(size)) for size in (step, -step))
    assert gaze.angle_jacobian(R, t, target)[1, column] == pytest.approx((ahead - behind) / (2.0 * step), abs=1e-8)


def test_a_sideways_step_of_1_cm_at_1_m_is_10_mrad_and_a_step_along_the_ray_is_nothing():
    J = gaze.angle_jacobian(FRONTAL, [0.0, 0.0, 1.0], [0.0, 0.0, 0.0])
    assert np.linalg.norm(J @ [0.01, 0, 0, 0, 0, 0]) == pytest.approx(0.01)
    assert np.linalg.norm(J @ [0, 0, 0.01, 0, 0, 0]) == pytest.approx(0.0)


def test_nodding_by_an_angle_moves_the_gaze_by_it_and_tilting_about_the_gaze_does_not():
    J = gaze.angle_jacobian(FRONTAL, [0.0, 0.0, 1.0], [0.0, 0.0, 0.0])
    assert np.linalg.norm(J @ [0, 0, 0, 0.1, 0, 0]) == pytest.approx(0.1)
    assert np.linalg.norm(J @ [0, 0, 0, 0, 0, 0.1]) == pytest.approx(0.0)
