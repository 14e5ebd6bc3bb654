import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.evaluation.pose_errors import Poses, pose_errors
from hpe_core.geometry import euler, frames, so3


def poses(stamps, yaw_deg, z_m):
    angles = euler.EulerDeg(yaw=np.array(yaw_deg, float), pitch=np.zeros(len(stamps)), roll=np.zeros(len(stamps)))
    R = frames.face_from_head(euler.aflw2000.to_matrix(angles))
    t = np.array([[0.0, 0.0, z] for z in z_m])
    return Poses(np.array(stamps), so3.quat_from_matrix(R), t)


def test_ten_degrees_of_yaw_and_five_centimetres_of_depth_come_out_as_such():
    errors = pose_errors(poses([1, 2], [10, 20], [1.05, 1.0]), poses([1, 2], [0, 20], [1.0, 1.0]))
    np.testing.assert_allclose(errors.geodesic_deg, [10, 0], atol=1e-6)
    np.testing.assert_allclose(errors.euler_deg, [[10, 0, 0], [0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(errors.depth_m, [0.05, 0.0], atol=1e-9)


def test_a_true_pose_without_an_estimate_is_counted_as_missed():
    errors = pose_errors(poses([2], [0], [1]), poses([1, 2, 3], [0, 0, 0], [1, 1, 1]))
    assert (errors.truth_count, errors.missed) == (3, 2)


def test_nothing_in_common_is_an_error_not_a_zero():
    with pytest.raises(HpeError, match="no estimate shares a stamp"):
        pose_errors(poses([5], [0], [1]), poses([1], [0], [1]))
