"""The probability of looking against plain sampling, and where it is known by hand."""

import numpy as np
import pytest
from scipy import stats

from hpe_core.attention.probability import disc_probability, gaze_offset, probability_within
from hpe_core.attention.targets import PlacedTarget
from hpe_core.geometry import gaze, so3
from hpe_core.types import HeadPose

SAMPLES = 200_000


def test_a_round_spread_around_the_middle_is_the_rayleigh_distribution():
    for radius in (0.01, 0.1, 0.3, 2.0):
        assert disc_probability(0.0, 0.1**2 * np.eye(2), radius) == pytest.approx(stats.rayleigh.cdf(radius, scale=0.1))


def test_a_round_spread_off_the_middle_is_the_noncentral_chi_square_distribution():
    for distance in (0.05, 0.2, 0.4):
        expected = stats.ncx2.cdf((0.2 / 0.1) ** 2, 2, (distance / 0.1) ** 2)
        assert disc_probability(distance, 0.1**2 * np.eye(2), 0.2) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("distance", "expected"), [(0.0, 1.0), (0.19, 1.0), (0.21, 0.0), (3.0, 0.0)])
def test_without_a_spread_it_is_inside_or_outside(distance, expected):
    assert disc_probability(distance, np.zeros((2, 2)), 0.2) == pytest.approx(expected)


@pytest.mark.parametrize("stds", [(0.3, 0.001), (0.001, 0.3), (0.1, 0.02)])
def test_a_narrow_spread_agrees_with_sampling(stds):
    covariance = so3.matrix_from_rotvec([0, 0, 0.6])[:2, :2] @ np.diag(np.square(stds)) @ _turn(-0.6)
    offset = np.random.default_rng(1).multivariate_normal([0.15, 0.0], covariance, SAMPLES)
    sampled = np.mean(np.linalg.norm(offset, axis=1) <= 0.2)
    assert disc_probability(0.15, covariance, 0.2) == pytest.approx(sampled, abs=0.005)


def _turn(angle):
    return so3.matrix_from_rotvec([0, 0, angle])[:2, :2]


CASES = [  # degrees off the target, rotation std deg (x, y, z), position std m, target radius m, cone deg
    pytest.param(0.0, (5, 5, 5), (0.0, 0.0, 0.0), 0.0, 15.0, id="straight at it"),
    pytest.param(15.0, (5, 5, 5), (0.01, 0.01, 0.05), 0.0, 15.0, id="on the rim of the cone"),
    pytest.param(25.0, (4, 9, 2), (0.01, 0.01, 0.05), 0.1, 15.0, id="uneven spread, target with a size"),
    pytest.param(20.0, (12, 12, 12), (0.05, 0.05, 0.1), 0.2, 15.0, id="the widest spread that is used"),
    pytest.param(60.0, (12, 12, 12), (0.02, 0.02, 0.1), 0.0, 40.0, id="far off, wide cone"),
]


@pytest.mark.parametrize(("off_deg", "rotation_deg", "position_m", "radius_m", "cone_deg"), CASES)
def test_agrees_with_monte_carlo_on_poses(off_deg, rotation_deg, position_m, radius_m, cone_deg):
    stds = np.concatenate([position_m, np.radians(rotation_deg)])
    target = PlacedTarget("thing", np.array([0.3, -0.2, 0.1]), radius_m)
    t = np.array([0.1, 0.1, 1.2])
    to_target = (target.point_camera_m - t) / np.linalg.norm(target.point_camera_m - t)
    towards = so3.rotation_between(gaze.GAZE_HEAD, to_target)
    R = so3.matrix_from_rotvec(np.radians(off_deg) * np.array([0.6, 0.8, 0.0])) @ towards
    error = np.random.default_rng(0).normal(size=(SAMPLES, 6)) * stds
    heads, places = so3.matrix_from_rotvec(error[:, 3:]) @ R, t + error[:, :3]
    angle = gaze.angle_to_target_deg(heads, places, target.point_camera_m)
    rim = np.degrees(np.arcsin(radius_m / np.linalg.norm(target.point_camera_m - places, axis=1)))
    sampled = np.mean(angle <= cone_deg + rim)
    offset = gaze_offset(HeadPose(R, t, np.diag(stds**2)), target)
    assert probability_within(offset, np.radians(cone_deg)) == pytest.approx(sampled, abs=0.012)


def test_a_target_half_a_metre_wide_at_one_metre_is_14_degrees_to_its_rim():
    pose = HeadPose(np.eye(3), [0.0, 0.0, 1.0], np.eye(6) * 1e-6)
    offset = gaze_offset(pose, PlacedTarget("screen", np.zeros(3), 0.25))
    assert np.degrees(offset.radius_rad) == pytest.approx(14.48, abs=0.01)


def test_a_head_inside_the_target_looks_at_it():
    pose = HeadPose(np.eye(3), [0.0, 0.0, 1.0], np.eye(6) * 1e-4)
    for point in ([0.0, 0.0, 1.0], [0.0, 0.1, 1.0]):
        offset = gaze_offset(pose, PlacedTarget("room", np.array(point), 3.0))
        assert probability_within(offset, 0.1) == pytest.approx(1.0)
