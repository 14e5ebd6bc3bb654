import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core.geometry import so3
from hpe_core.tracking.pose_filter import INITIAL_ANGULAR_SPEED_STD, INITIAL_LINEAR_SPEED_STD, PoseFilters
from hpe_core.types import HeadPose

DT = 1.0 / 30.0
COVARIANCE = np.diag([0.005, 0.005, 0.05, 0.05, 0.05, 0.05]) ** 2
START = so3.matrix_from_rotvec([0.4, -0.7, 0.2]), np.array([0.2, -0.1, 1.5])


def measurement(rng, R, t, covariance=COVARIANCE):
    noise = np.linalg.cholesky(covariance) @ rng.normal(size=6)
    return HeadPose(so3.matrix_from_rotvec(noise[3:]) @ R, t + noise[:3], covariance)


def pose_error(pose, R, t):
    """(6,) with true = estimate + error, the rotation as exp(error) @ R."""
    return np.concatenate([t - pose.t_camera_head_m, so3.rotvec_from_matrix(R @ pose.R_camera_head.T)])


def started(pose, linear_std, angular_std):
    """PoseFilters with one row."""
    filters = PoseFilters(linear_std, angular_std)
    filters.add(pose)
    return filters


def test_starts_at_the_measurement():
    pose = HeadPose(*START, COVARIANCE)
    ours = started(pose, 1.0, 10.0).poses([0])[0]
    np.testing.assert_allclose(ours.R_camera_head, START[0], atol=1e-15)
    np.testing.assert_array_equal(ours.t_camera_head_m, START[1])
    np.testing.assert_array_equal(ours.covariance, COVARIANCE)


def test_no_time_changes_nothing():
    pose_filter = started(HeadPose(*START, COVARIANCE), 1.0, 10.0)
    pose_filter.predict([0], [DT])
    pose_filter.update([0], [HeadPose(START[0], START[1] + 0.01, COVARIANCE)])
    before = pose_filter.poses([0])[0]
    pose_filter.predict([0], [0.0])
    np.testing.assert_allclose(pose_filter.poses([0])[0].R_camera_head, before.R_camera_head, atol=1e-15)
    np.testing.assert_array_equal(pose_filter.poses([0])[0].t_camera_head_m, before.t_camera_head_m)
    np.testing.assert_allclose(pose_filter.poses([0])[0].covariance, before.covariance, rtol=1e-12, atol=1e-18)


def test_second_measurement_at_the_same_time_halves_the_variance():
    pose_filter = started(HeadPose(*START, COVARIANCE), 1.0, 10.0)
    pose_filter.predict([0], [0.0])
    pose_filter.update([0], [HeadPose(START[0], START[1] + [0.02, 0, 0], COVARIANCE)])
    np.testing.assert_allclose(pose_filter.poses([0])[0].t_camera_head_m - START[1], [0.01, 0, 0], atol=1e-15)
    np.testing.assert_allclose(pose_filter.poses([0])[0].covariance, COVARIANCE / 2, atol=1e-18)


def test_prediction_of_the_first_step_by_hand():
    pose_filter = started(HeadPose(np.eye(3), [0, 0, 1.0], COVARIANCE), 2.0, 15.0)
    pose_filter.predict([0], [0.1])
    variance = np.diag(pose_filter.poses([0])[0].covariance)
    linear = (INITIAL_LINEAR_SPEED_STD * 0.1) ** 2 + (0.5 * 2.0 * 0.1**2) ** 2
    angular = (INITIAL_ANGULAR_SPEED_STD * 0.1) ** 2 + (0.5 * 15.0 * 0.1**2) ** 2
    np.testing.assert_allclose(variance, np.diag(COVARIANCE) + np.repeat([linear, angular], 3))


def test_a_quarter_turn_about_camera_z_takes_doubt_about_x_to_y():
    unsure_about_x = np.diag([1e-6, 1e-6, 1e-6, 0.04, 1e-6, 1e-6])
    pose_filter = started(HeadPose(np.eye(3), [0, 0, 1.0], unsure_about_x), 1e-6, 1e-6)
    pose_filter._w[0] = [0.0, 0.0, np.pi]  # rad/s
    pose_filter._P[0, 9:, 9:] = 0.0  # and surely so
    pose_filter.predict([0], [0.5])
    np.testing.assert_allclose(np.diag(pose_filter.poses([0])[0].covariance)[3:], [1e-6, 0.04, 1e-6], rtol=1e-6)
    np.testing.assert_allclose(pose_filter.poses([0])[0].R_camera_head, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_what_is_predicted_is_what_predict_makes_of_the_state():
    pose_filter = started(HeadPose(*START, COVARIANCE), 2.0, 15.0)
    pose_filter.predict([0], [DT])
    pose_filter.update([0], [HeadPose(so3.matrix_from_rotvec([0, 0.1, 0]) @ START[0], START[1] + 0.02, COVARIANCE)])
    before = pose_filter.poses([0])[0]
    R, t, P = pose_filter.predicted([0], [0.4])
    np.testing.assert_array_equal(pose_filter.poses([0])[0].covariance, before.covariance)
    pose_filter.predict([0], [0.4])
    after = pose_filter.poses([0])[0]
    for one, other in ((R[0], after.R_camera_head), (t[0], after.t_camera_head_m), (P[0], after.covariance)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("between", ["nothing", "other times", "rescale", "measurement", "accelerations"])
def test_a_state_moves_on_alike_whether_or_not_it_was_predicted_before(between):
    rng, both = np.random.default_rng(4), []
    poses = [measurement(rng, np.eye(3), np.array([x, 0.0, 1.0])) for x in (-0.2, 0.0, 0.3)]
    for before in (False, True):
        filters = PoseFilters(2.0, 15.0)
        for pose in poses:
            filters.add(pose)
        for _ in range(3):
            filters.predict([0, 1, 2], [0.03] * 3)
            filters.update([0, 1, 2], poses[1:] + poses[:1])
        if before:
            filters.predicted([0, 1, 2], np.array([0.05, 0.05, 0.1]))
        if between == "rescale":
            filters.rescale(2, 1.1)
        elif between == "measurement":
            filters.update([0], poses[:1])
        elif between == "accelerations":
            filters.set_accelerations(1.0, 5.0)
        filters.predict([2, 0], [0.1, 0.2 if between == "other times" else 0.05])
        both.append(filters.poses([0, 1, 2]))
    for alone, again in zip(*both, strict=True):
        np.testing.assert_array_equal(alone.t_camera_head_m, again.t_camera_head_m)
        np.testing.assert_array_equal(alone.R_camera_head, again.R_camera_head)
        np.testing.assert_array_equal(alone.covariance, again.covariance)


def test_a_pause_spreads_a_head_as_steps_of_a_tenth_of_a_second_do():
    def spread(times):
        pose_filter = started(HeadPose(np.eye(3), [0, 0, 1.0], COVARIANCE), 2.0, 15.0)
        for dt_s in times:
            pose_filter.predict([0], [dt_s])
        return pose_filter._P[0]

    np.testing.assert_allclose(spread([0.9]), spread([0.1] * 9), rtol=1e-9, atol=1e-15)
    alone = 0.5**2 * 0.9**2 + 0.005**2  # of the unknown speed and of the start
    # 0.1 s steps of 2 m/s^2: sum of (2 * 0.1 * (0.05 + 0.1 k))^2 for k = 0 ... 8
    assert spread([0.9])[0, 0] == pytest.approx(alone + sum((0.2 * (0.05 + 0.1 * k)) ** 2 for k in range(9)))


def test_rotation_error_is_about_the_cameras_axes():
    # the start is unsure about turns round camera z only, so the measurement may turn it round camera z only
    R = Rotation.from_euler("XYZ", [0.5, 0.9, -0.3]).as_matrix()
    unsure = np.diag([1e-6, 1e-6, 1e-6, 1e-10, 1e-10, 1.0])
    pose_filter = started(HeadPose(R, [0, 0, 1.0], unsure), 1e-6, 1e-6)
    turned = so3.matrix_from_rotvec([0.1, 0.1, 0.1]) @ R
    pose_filter.update([0], [HeadPose(turned, [0, 0, 1.0], np.eye(6) * 1e-4)])
    moved = so3.rotvec_from_matrix(pose_filter.poses([0])[0].R_camera_head @ R.T)
    np.testing.assert_allclose(moved[:2], 0.0, atol=1e-5)
    assert moved[2] == pytest.approx(0.1, abs=5e-3)


def test_static_measurements_converge_and_the_covariance_shrinks_but_stays_positive():
    rng = np.random.default_rng(20)
    pose_filter = started(measurement(rng, *START), 0.05, 0.5)
    traces, errors = [], []
    for _ in range(120):
        pose_filter.predict([0], [DT])
        pose_filter.update([0], [measurement(rng, *START)])
        covariance = pose_filter.poses([0])[0].covariance
        np.testing.assert_allclose(covariance, covariance.T, atol=1e-18)
        assert np.linalg.eigvalsh(covariance).min() > 0
        traces.append(np.trace(covariance))
        errors.append(pose_error(pose_filter.poses([0])[0], *START))
    assert traces[-1] < 0.25 * np.trace(COVARIANCE)
    assert np.all(np.diff(traces) < 1e-6 * traces[0])
    late = np.sqrt(np.mean(np.square(errors[50:]), 0))
    assert np.all(late < 0.5 * np.sqrt(np.diag(COVARIANCE)))


def test_constant_turning_is_followed_without_lag():
    w, v = np.array([0.3, 1.0, -0.2]), np.array([0.2, 0.0, -0.1])
    pose_filter = started(HeadPose(*START, COVARIANCE), 2.0, 15.0)
    for i in range(1, 91):
        pose_filter.predict([0], [DT])
        R, t = so3.matrix_from_rotvec(w * i * DT) @ START[0], START[1] + v * i * DT
        pose_filter.update([0], [HeadPose(R, t, COVARIANCE)])
    error = pose_error(pose_filter.poses([0])[0], R, t)
    assert np.linalg.norm(error[:3]) < 1e-4
    assert np.linalg.norm(error[3:]) < 1e-3
    pose_filter.predict([0], [0.1])  # knows the velocities
    R, t = so3.matrix_from_rotvec(w * 0.1) @ R, t + v * 0.1
    assert np.linalg.norm(pose_error(pose_filter.poses([0])[0], R, t)) < 5e-3


def test_normalised_error_is_near_its_dimension():
    """NEES (Bar-Shalom): e' P^-1 e of a consistent filter has mean 6 for a pose."""
    rng = np.random.default_rng(21)
    linear_std, angular_std = 2.0, 10.0
    nees = []
    for _ in range(30):
        R, t = START
        v, w = rng.normal(0, INITIAL_LINEAR_SPEED_STD, 3), rng.normal(0, INITIAL_ANGULAR_SPEED_STD, 3)
        pose_filter = started(measurement(rng, R, t), linear_std, angular_std)
        for _ in range(30):
            a, b = rng.normal(0, linear_std, 3), rng.normal(0, angular_std, 3)
            t, R = t + v * DT + 0.5 * a * DT**2, so3.matrix_from_rotvec(w * DT + 0.5 * b * DT**2) @ R
            v, w = v + a * DT, w + b * DT
            pose_filter.predict([0], [DT])
            pose_filter.update([0], [measurement(rng, R, t)])
            error = pose_error(pose_filter.poses([0])[0], R, t)
            nees.append(error @ np.linalg.solve(pose_filter.poses([0])[0].covariance, error))
    assert 5.0 < np.mean(nees) < 7.0
    assert np.mean(np.array(nees) < 12.59) == pytest.approx(0.95, abs=0.03)  # chi-square, 6 degrees of freedom


def test_a_filter_whose_accelerations_were_set_goes_on_as_one_made_with_them():
    made, changed = (started(HeadPose(*START, COVARIANCE), std, 10 * std) for std in (1.0, 7.0))
    changed.set_accelerations(1.0, 10.0)
    for pose_filter in (made, changed):
        pose_filter.predict([0], [0.1])
    np.testing.assert_array_equal(made.poses([0])[0].covariance, changed.poses([0])[0].covariance)


def test_rows_are_filtered_as_each_alone_and_keep_their_places():
    rng = np.random.default_rng(22)
    starts = [measurement(rng, *START) for _ in range(4)]
    together, alone = PoseFilters(2.0, 15.0), [started(pose, 2.0, 15.0) for pose in starts]
    for pose in starts:
        together.add(pose)
    for rows in ([0, 1, 2, 3], [3, 1], [2], [0, 3]):
        dt_s, poses = [DT * (1 + row) for row in rows], [measurement(rng, *START) for _ in rows]
        together.predict(rows, dt_s)
        together.update(rows, poses)
        for row, dt, pose in zip(rows, dt_s, poses, strict=True):
            alone[row].predict([0], [dt])
            alone[row].update([0], [pose])
    together.keep([3, 0])
    for row, one in enumerate((alone[3], alone[0])):
        ahead, alone_ahead = together.predicted([row], [0.1]), one.predicted([0], [0.1])
        np.testing.assert_allclose(together.poses([row])[0].covariance, one.poses([0])[0].covariance, rtol=1e-9)
        for ours, alones in zip(ahead, alone_ahead, strict=True):
            np.testing.assert_allclose(ours, alones, atol=1e-12)
