from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.types import Face, FrameResult, HeadPose

AHEAD = [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "R, t, message",
    [
        (np.full((3, 3), np.nan), AHEAD, "not finite"),
        (np.eye(3), [0, 0, np.nan], "translation must be 3 finite numbers"),
        (np.eye(3), [0, 0, np.inf], "translation must be 3 finite numbers"),
        (np.eye(3), [0, 1], "translation must be 3 finite numbers"),
        (1.1 * np.eye(3), AHEAD, "not a rotation"),
        (np.diag([1.0, 1.0, -1.0]), AHEAD, "not a rotation"),  # a reflection
        (np.zeros((3, 3)), AHEAD, "not a rotation"),
        (np.eye(2), AHEAD, r"3x3 matrix, got shape \(2, 2\)"),
        (np.stack([np.eye(3)] * 2), AHEAD, r"3x3 matrix, got shape \(2, 3, 3\)"),
    ],
)
def test_what_is_no_pose_is_refused(R, t, message):
    with pytest.raises(HpeError, match=message):
        HeadPose(R, t)


@pytest.mark.parametrize("covariance", [np.eye(3), np.full((6, 6), np.nan)])
def test_what_is_no_covariance_is_refused(covariance):
    with pytest.raises(HpeError, match="covariance must be 6x6 and finite"):
        HeadPose(np.eye(3), AHEAD, covariance)


def test_single_precision_rotations_are_made_exact():
    R = so3.matrix_from_rotvec([0.3, -0.2, 0.9]).astype(np.float32)
    pose = HeadPose(R, AHEAD)
    assert pose.R_camera_head.dtype == np.float64
    np.testing.assert_allclose(pose.R_camera_head @ pose.R_camera_head.T, np.eye(3), atol=1e-15)


def test_pose_owns_its_data_and_is_frozen():
    R, t, covariance = np.eye(3), np.array(AHEAD), np.eye(6)
    pose = HeadPose(R, t, covariance)
    R[0, 0] = t[0] = covariance[0, 0] = 7.0
    assert pose.R_camera_head[0, 0] == 1.0
    assert pose.t_camera_head_m[0] == 0.0
    assert pose.covariance[0, 0] == 1.0
    with pytest.raises(FrozenInstanceError):
        pose.t_camera_head_m = np.zeros(3)


def test_angles_are_those_of_aflw2000():
    pose = HeadPose(aflw2000.to_matrix(EulerDeg(yaw=20.0, pitch=-10.0, roll=5.0)), AHEAD)
    angles = pose.euler_aflw2000
    np.testing.assert_allclose([angles.yaw, angles.pitch, angles.roll], [20, -10, 5])


def test_face_quaternion_of_a_face_that_looks_at_the_camera_by_hand():
    R = so3.matrix_from_quat(HeadPose(np.eye(3), AHEAD).quat_camera_face)
    np.testing.assert_allclose(R, [[0, 1, 0], [0, 0, -1], [-1, 0, 0]], atol=1e-15)


def test_gaze_quaternion_of_a_face_that_looks_at_the_camera_is_a_half_turn_about_y():
    np.testing.assert_allclose(np.abs(HeadPose(np.eye(3), AHEAD).quat_camera_gaze), [0, 1, 0, 0], atol=1e-15)


def test_unknown_covariance_is_nan_never_zero():
    pose = HeadPose(np.eye(3), AHEAD)
    assert np.isnan(pose.rotation_std_deg)
    assert np.isnan(pose.depth_std_m)


def test_depth_std_is_along_the_ray():
    covariance = np.diag([0.01, 0.04, 0.09, 0, 0, 0])
    assert HeadPose(np.eye(3), [0, 0, 2.0], covariance).depth_std_m == pytest.approx(0.3)
    assert HeadPose(np.eye(3), [5.0, 0, 0], covariance).depth_std_m == pytest.approx(0.1)
    # along (0.6, 0, 0.8): 0.36 * 0.01 + 0.64 * 0.09 = 0.0612
    assert HeadPose(np.eye(3), [0.6, 0, 0.8], covariance).depth_std_m == pytest.approx(np.sqrt(0.0612))


def test_rotation_std_is_the_root_mean_square_of_three_axes():
    covariance = np.diag([0, 0, 0, *np.radians([3.0, 4.0, 5.0]) ** 2])
    assert HeadPose(np.eye(3), AHEAD, covariance).rotation_std_deg == pytest.approx(np.sqrt(50 / 3))


def test_a_frame_without_faces_is_a_result():
    result = FrameResult(stamp_ns=5, faces=())
    assert (result.faces, result.stage_s, result.counts) == ((), {}, {})


def test_many_poses_are_each_alone_and_a_wrong_one_is_refused_as_alone():
    R, t = np.stack([np.eye(3), np.diag([-1.0, -1.0, 1.0])]), np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 2.0]])
    covariances = np.stack([np.eye(6), 2.0 * np.eye(6)])
    for number, pose in enumerate(HeadPose.many(R, t, covariances)):
        np.testing.assert_array_equal(pose.R_camera_head, R[number])
        np.testing.assert_array_equal(pose.t_camera_head_m, t[number])
        np.testing.assert_array_equal(pose.covariance, covariances[number])
    assert [pose.covariance for pose in HeadPose.many(R, t)] == [None, None]
    with pytest.raises(HpeError, match="translation"):
        HeadPose.many(R, np.where(np.eye(2, 3) > 0, np.nan, t), covariances)
    with pytest.raises(HpeError, match="not a rotation"):
        HeadPose.many(R * 1.01, t, covariances)


def test_a_face_is_changed_as_by_dataclasses_and_in_no_field_that_it_lacks():
    pose = HeadPose(np.eye(3), np.array([0.0, 0.0, 1.0]))
    face = Face(pose, 0.9, np.array([0.0, 0.0, 1.0, 1.0]))
    assert vars(face.changed(score=0.5)) == vars(replace(face, score=0.5)) and face.score == 0.9
    with pytest.raises(TypeError, match="a Face has no psoe"):
        face.changed(psoe=pose)
