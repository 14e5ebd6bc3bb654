"""One pose of several, whose errors are correlated in a way that nobody knows."""

import numpy as np
import pytest

from hpe_core.geometry import so3
from hpe_core.people.fusion import fused
from hpe_core.people.poses import FixedPose, apart


def pose(t, sigmas, rotvec=(0.0, 0.0, 0.0)):
    return FixedPose(so3.matrix_from_rotvec(rotvec), np.array(t, float), np.diag(np.square(sigmas)))


def random_covariance(rng):
    A = rng.normal(size=(6, 6)) * [0.05, 0.02, 0.01, 0.1, 0.05, 0.05]
    return A @ A.T + 1e-6 * np.eye(6)


def test_one_pose_stays_as_it_is():
    only = pose([1.0, 2.0, 3.0], [0.1] * 6)
    assert fused([only]) is only


def test_two_cameras_at_a_right_angle_each_tell_what_the_other_cannot():
    """The first is sure about x alone, the second about y alone."""
    rotation = [0.1] * 3
    one, other = (
        pose([0.0, 0.2, 0.0], [0.01, 0.1, 0.01, *rotation]),
        pose([0.2, 0.0, 0.0], [0.1, 0.01, 0.01, *rotation]),
    )
    both = fused([one, other])
    np.testing.assert_allclose(both.t_fixed_head_m, [0.2 / 101, 0.2 / 101, 0.0], atol=1e-12)
    assert np.all(np.sqrt(np.diag(both.covariance)[:2]) < 0.02)


@pytest.mark.parametrize("count", [2, 5])
def test_the_same_pose_by_many_cameras_is_no_more_certain_than_by_one(count):
    """They may all have the same error."""
    covariance = random_covariance(np.random.default_rng(1))
    one = FixedPose(so3.matrix_from_rotvec([0.3, 2.0, -1.0]), np.ones(3), covariance)
    all_of_them = fused([one] * count)
    np.testing.assert_allclose(all_of_them.covariance, covariance, rtol=1e-9)
    np.testing.assert_allclose(apart(all_of_them, one), 0.0, atol=1e-12)


def test_rotations_meet_in_the_middle_whichever_comes_first():
    a, b = pose([0.0] * 3, [0.1] * 6, [0.0, 0.0, 0.2]), pose([0.0] * 3, [0.1] * 6, [0.0, 0.0, 0.8])
    for poses in ([a, b], [b, a]):
        np.testing.assert_allclose(so3.rotvec_from_matrix(fused(poses).R_fixed_head), [0.0, 0.0, 0.5], atol=1e-9)


def test_three_far_rotations_about_different_axes_have_one_mean_in_whatever_order():
    turned = [pose([0.0] * 3, [0.1] * 6, 1.2 * axis) for axis in np.eye(3)]
    one, other = fused(turned), fused(turned[::-1])
    assert np.degrees(so3.geodesic_angle(one.R_fixed_head, other.R_fixed_head)) < 0.5


def test_a_pose_of_which_little_is_known_changes_nothing():
    good, bad = pose([0.0] * 3, [0.01] * 6), pose([5.0] * 3, [100.0] * 6, [0.0, 0.0, 1.0])
    both = fused([good, bad])
    assert np.abs(apart(both, good)).max() < 1e-6
    assert np.sqrt(np.diag(both.covariance)).max() < 0.01001


@pytest.mark.parametrize("seed", range(20))
def test_the_covariance_holds_for_every_correlation(seed):
    """The true covariance of the mean, for errors e_i = L_i u_i with u_i anyhow correlated, is never above it."""
    rng = np.random.default_rng(seed)
    covariances = [random_covariance(rng) for _ in range(3)]
    both = fused([FixedPose(np.eye(3), np.zeros(3), C) for C in covariances])
    P = np.linalg.inv(sum(np.linalg.inv(C) for C in covariances))
    # u_i = Q_i u: fully correlated, by any orthogonal Q_i
    turned = [np.linalg.cholesky(C) @ np.linalg.qr(rng.normal(size=(6, 6)))[0] for C in covariances]
    error = sum(P @ np.linalg.solve(C, L) for C, L in zip(covariances, turned, strict=True))
    scale = np.linalg.inv(np.linalg.cholesky(both.covariance))
    assert np.linalg.eigvalsh(scale @ error @ error.T @ scale.T).max() <= 1.0 + 1e-9


def test_with_a_shared_bias_independence_would_promise_too_much_and_this_does_not():
    """Two degrees that all five cameras share, one of their own: the mean keeps the two, and so must its spread."""
    rng, shared, own = np.random.default_rng(2), np.radians(2.0), np.radians(1.0)
    C = np.diag([0.01**2] * 3 + [shared**2 + own**2] * 3)
    nees, naive = [], []
    for _ in range(400):
        bias = rng.normal(0.0, shared, 3)
        poses = [
            FixedPose(so3.matrix_from_rotvec(bias + rng.normal(0.0, own, 3)), rng.normal(0.0, 0.01, 3), C)
            for _ in range(5)
        ]
        mean = fused(poses)
        e = apart(mean, FixedPose(np.eye(3), np.zeros(3), C))[3:]
        nees.append(e @ np.linalg.solve(mean.covariance[3:, 3:], e) / 3.0)
        naive.append(e @ np.linalg.solve(C[3:, 3:] / 5.0, e) / 3.0)
    assert np.mean(nees) < 1.0 < 3.0 < np.mean(naive)
