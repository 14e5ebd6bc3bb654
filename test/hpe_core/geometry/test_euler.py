import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hpe_core.geometry import so3
from hpe_core.geometry.euler import EulerDeg, aflw2000, axis_turn, biwi, pan_tilt, ros_rpy

CONVENTIONS = pytest.mark.parametrize("convention", [aflw2000, biwi, pan_tilt, ros_rpy])
FACE_DIRECTION = np.array([0.0, 0.0, -1.0])  # out of the face, in the head frame
FOREHEAD = np.array([0.0, -1.0, 0.0])
RANDOM = Rotation.from_quat(np.random.default_rng(6).normal(size=(300, 4))).as_matrix()


@pytest.mark.parametrize("axis, name", enumerate("xyz"))
def test_axis_turn_equals_scipy(axis, name):
    angles = np.linspace(-7.0, 7.0, 29)
    expected = Rotation.from_euler(name, angles[:, None]).as_matrix()
    np.testing.assert_allclose(axis_turn(axis, angles), expected, atol=2e-15)


def test_zero_angles_are_a_face_that_looks_into_the_camera():
    R = aflw2000.to_matrix(EulerDeg(yaw=0.0, pitch=0.0, roll=0.0))
    np.testing.assert_array_equal(R @ FACE_DIRECTION, [0, 0, -1])


def test_aflw2000_is_the_passive_product_seen_in_optical_axes_not_its_transpose():
    p, y, r = np.radians([20.0, 35.0, -15.0])
    P = axis_turn(0, -p) @ axis_turn(1, -y) @ axis_turn(2, -r)  # head to camera, y up, z to the viewer
    C = np.diag([1.0, -1.0, -1.0])
    R = aflw2000.to_matrix(EulerDeg(yaw=35.0, pitch=20.0, roll=-15.0))
    np.testing.assert_allclose(R, C @ P @ C, atol=1e-15)
    assert np.degrees(so3.geodesic_angle(R, P.T)) == pytest.approx(46.8, abs=0.05)


def test_positive_yaw_turns_the_face_to_the_left_of_the_image():
    direction = aflw2000.to_matrix(EulerDeg(yaw=90.0, pitch=0.0, roll=0.0)) @ FACE_DIRECTION
    np.testing.assert_allclose(direction, [-1, 0, 0], atol=1e-15)


def test_positive_pitch_turns_the_face_up():
    direction = aflw2000.to_matrix(EulerDeg(yaw=0.0, pitch=90.0, roll=0.0)) @ FACE_DIRECTION
    np.testing.assert_allclose(direction, [0, -1, 0], atol=1e-15)


def test_positive_roll_turns_clockwise_in_the_image():
    forehead = aflw2000.to_matrix(EulerDeg(yaw=0.0, pitch=0.0, roll=90.0)) @ FOREHEAD
    np.testing.assert_allclose(forehead, [1, 0, 0], atol=1e-15)


@given(st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180))
def test_aflw2000_is_scipys_intrinsic_xyz_of_minus_pitch_yaw_roll(pitch, yaw, roll):
    expected = Rotation.from_euler("XYZ", [-pitch, yaw, roll], degrees=True).as_matrix()
    np.testing.assert_allclose(aflw2000.to_matrix(EulerDeg(yaw, pitch, roll)), expected, rtol=0, atol=3e-15)


@given(st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180))
def test_ros_rpy_is_scipys_extrinsic_xyz(roll, pitch, yaw):
    expected = Rotation.from_euler("xyz", [roll, pitch, yaw], degrees=True).as_matrix()
    np.testing.assert_allclose(ros_rpy.to_matrix(EulerDeg(yaw, pitch, roll)), expected, rtol=0, atol=3e-15)


@given(st.floats(-179, 179), st.floats(-89, 89), st.floats(-179, 179))
def test_aflw2000_angles_come_back(pitch, yaw, roll):
    back = aflw2000.from_matrix(aflw2000.to_matrix(EulerDeg(yaw, pitch, roll)))
    np.testing.assert_allclose([back.yaw, back.pitch, back.roll], [yaw, pitch, roll], rtol=0, atol=1e-10)


@given(st.floats(-179, 179), st.floats(-89, 89), st.floats(-179, 179))
def test_ros_rpy_angles_come_back(roll, pitch, yaw):
    back = ros_rpy.from_matrix(ros_rpy.to_matrix(EulerDeg(yaw, pitch, roll)))
    np.testing.assert_allclose([back.yaw, back.pitch, back.roll], [yaw, pitch, roll], rtol=0, atol=1e-10)


@CONVENTIONS
def test_matrices_come_back(convention):
    back = convention.to_matrix(convention.from_matrix(RANDOM))
    np.testing.assert_allclose(back, RANDOM, rtol=0, atol=1e-12)


@CONVENTIONS
@pytest.mark.parametrize("off_deg", [0.0, 1e-9, 1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("sign", [-1, 1])
def test_matrices_come_back_at_and_near_gimbal_lock(convention, off_deg, sign):
    other = np.linspace(-170.0, 170.0, 9)
    middle = np.full(9, sign * (90.0 - off_deg))
    yaw_between = convention not in (ros_rpy, pan_tilt)
    angles = EulerDeg(middle, other, other[::-1]) if yaw_between else EulerDeg(other, middle, other[::-1])
    R = convention.to_matrix(angles)
    back = convention.to_matrix(convention.from_matrix(R))
    assert np.max(so3.geodesic_angle(R, back)) < 3e-6


def test_at_gimbal_lock_the_free_angle_is_zero():
    assert aflw2000.from_matrix(aflw2000.to_matrix(EulerDeg(yaw=90.0, pitch=10.0, roll=20.0))).roll == 0.0
    assert ros_rpy.from_matrix(ros_rpy.to_matrix(EulerDeg(yaw=20.0, pitch=90.0, roll=10.0))).roll == 0.0
    assert pan_tilt.from_matrix(pan_tilt.to_matrix(EulerDeg(yaw=20.0, pitch=90.0, roll=10.0))).roll == 0.0


@given(st.floats(-179, 179), st.floats(-89, 89), st.floats(-179, 179))
def test_pan_tilt_angles_come_back(pan, tilt, roll):
    back = pan_tilt.from_matrix(pan_tilt.to_matrix(EulerDeg(pan, tilt, roll)))
    np.testing.assert_allclose([back.yaw, back.pitch, back.roll], [pan, tilt, roll], rtol=0, atol=1e-10)


def test_the_back_of_a_head_that_looks_up_has_a_pan_beyond_90_and_its_tilt():
    direction = pan_tilt.to_matrix(EulerDeg(yaw=180.0, pitch=30.0, roll=0.0)) @ FACE_DIRECTION
    np.testing.assert_allclose(direction, [0.0, -0.5, np.sqrt(0.75)], atol=1e-12)


@pytest.mark.parametrize("angles", [EulerDeg(40.0, 0.0, 20.0), EulerDeg(0.0, -30.0, 20.0)])
def test_pan_and_tilt_are_yaw_and_pitch_where_the_other_is_zero(angles):
    np.testing.assert_allclose(pan_tilt.to_matrix(angles), aflw2000.to_matrix(angles), atol=1e-12)


def test_slightly_unorthogonal_matrices_do_not_give_nan():
    angles = aflw2000.from_matrix(axis_turn(1, np.pi / 2) * (1.0 + 1e-7))
    assert angles.yaw == 90.0


def test_biwi_equals_the_published_reader():
    for R in RANDOM:
        Rt = R.T
        roll = -np.arctan2(Rt[1, 0], Rt[0, 0])
        yaw = -np.arctan2(-Rt[2, 0], np.sqrt(Rt[2, 1] ** 2 + Rt[2, 2] ** 2))
        pitch = np.arctan2(Rt[2, 1], Rt[2, 2])
        ours = biwi.from_matrix(R)
        np.testing.assert_allclose([ours.yaw, ours.pitch, ours.roll], np.degrees([yaw, pitch, roll]), atol=1e-5)


def test_batches_keep_their_shape():
    angles = aflw2000.from_matrix(RANDOM.reshape(10, 30, 3, 3))
    assert angles.yaw.shape == angles.pitch.shape == angles.roll.shape == (10, 30)
    assert aflw2000.to_matrix(angles).shape == (10, 30, 3, 3)


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (50.0, -20.0, 30.0), (-70.0, 40.0, -15.0)])
def test_standard_deviations_of_the_angles_are_those_of_turned_samples(angles):
    R = aflw2000.to_matrix(EulerDeg(*angles))
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3)) * 0.002
    samples = so3.matrix_from_rotvec(rng.normal(size=(20_000, 3)) @ root.T) @ R
    expected = aflw2000.from_matrix(samples).stacked().std(0)
    assert aflw2000.std_deg(R, root @ root.T).stacked() == pytest.approx(expected, rel=0.03)


def test_at_a_yaw_of_90_degrees_the_angles_are_unknown():
    R = aflw2000.to_matrix(EulerDeg(yaw=90.0, pitch=0.0, roll=0.0))
    assert np.isinf(aflw2000.std_deg(R, np.eye(3) * 1e-4).stacked()).all()


def test_deviations_of_many_rotations_are_those_of_each():
    rng = np.random.default_rng(3)
    angles = EulerDeg(*rng.uniform(-80, 80, (3, 5)))
    R = aflw2000.to_matrix(angles)
    R[4] = aflw2000.to_matrix(EulerDeg(yaw=90.0, pitch=0.0, roll=0.0))
    root = rng.normal(size=(5, 3, 3))
    covariance = root @ np.swapaxes(root, -1, -2)
    covariance[3] = np.nan
    together = aflw2000.std_deg(R, covariance).stacked()
    for i in range(5):
        one = aflw2000.std_deg(R[i], covariance[i]).stacked()
        np.testing.assert_allclose(together[i], one)
    assert np.isnan(together[3]).all() and np.isinf(together[4]).all()
