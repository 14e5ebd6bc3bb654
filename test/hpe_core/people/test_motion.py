"""How a face moves between images."""

import numpy as np

from hpe_core.geometry import so3
from hpe_core.people.motion import Motion
from hpe_core.people.poses import FixedPose, apart

C = 1e-4 * np.eye(6)
STEP_NS = 100_000_000
V, W = np.array([0.5, -0.2, 0.0]), np.array([0.0, 0.0, 1.0])


def head(t_s, bias_m=0.0):
    return FixedPose(so3.matrix_from_rotvec(W * t_s), V * t_s + bias_m, C)


def seen(stamps_ns, bias_m=0.0):
    first, *others = stamps_ns
    motion = Motion(first, head(first * 1e-9, bias_m))
    for stamp_ns in others:
        motion.add(stamp_ns, head(stamp_ns * 1e-9, bias_m))
    return motion


def test_a_head_that_walks_and_turns_steadily_is_where_it_will_be_and_a_constant_bias_stays_constant():
    for bias_m in (0.0, 0.3):
        motion = seen([0, STEP_NS, 2 * STEP_NS, 3 * STEP_NS], bias_m)
        np.testing.assert_allclose(motion.velocity(), [*V, *W], atol=1e-9)
        np.testing.assert_allclose(apart(motion.pose_at(4 * STEP_NS), head(0.4, bias_m)), 0.0, atol=1e-9)


def test_moving_on_for_a_tenth_of_a_second_adds_what_a_head_may_accelerate_by_then():
    added = seen([0, STEP_NS]).pose_at(2 * STEP_NS).covariance - C
    np.testing.assert_allclose(np.sqrt(np.diag(added)), [0.01] * 3 + [0.075] * 3)  # a t^2 / 2 of 2 m/s^2, 15 rad/s^2


def test_one_pose_alone_stands_still_and_no_pose_is_moved_back():
    motion = seen([STEP_NS])
    assert not motion.velocity().any()
    np.testing.assert_allclose(apart(motion.pose_at(3 * STEP_NS), head(0.1)), 0.0, atol=1e-12)
    assert seen([0, STEP_NS]).pose_at(0) is not None
    np.testing.assert_allclose(apart(seen([0, STEP_NS]).pose_at(0), head(0.1)), 0.0, atol=1e-12)


def test_what_was_long_ago_does_not_count():
    motion = Motion(0, FixedPose(np.eye(3), np.array([9.0, 9.0, 9.0]), C))
    for n in range(10, 15):
        motion.add(n * STEP_NS, head(n * 0.1))
    np.testing.assert_allclose(motion.velocity(), [*V, *W], atol=1e-9)
