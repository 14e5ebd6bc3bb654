import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hpe_core.errors import HpeError
from hpe_core.geometry import so3

RANDOM = Rotation.from_quat(np.random.default_rng(1).normal(size=(200, 4)))
EDGE_ANGLES = [0.0, 1e-12, 1e-9, 1e-5, 0.99e-4, 1.01e-4, 0.5, 3.0, np.pi - 1e-5, np.pi - 1e-9, np.pi]
AXES = Rotation.from_quat(np.random.default_rng(2).normal(size=(20, 4))).apply([1.0, 0.0, 0.0])

components = st.floats(-2.0, 2.0)
vectors = st.tuples(components, components, components).map(np.array)


def orthonormality_error(R):
    return np.max(np.abs(R @ np.swapaxes(R, -1, -2) - np.eye(3)))


def test_skew_is_the_cross_product():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([-4.0, 5.0, 0.5])
    np.testing.assert_allclose(so3.skew(a) @ b, np.cross(a, b))


def test_quarter_turn_about_z_sends_x_to_y():
    np.testing.assert_allclose(so3.matrix_from_rotvec([0, 0, np.pi / 2]) @ [1, 0, 0], [0, 1, 0], atol=1e-15)


@pytest.mark.parametrize("angle", EDGE_ANGLES)
def test_exponential_equals_scipy_at_edge_angles(angle):
    expected = Rotation.from_rotvec(angle * AXES).as_matrix()
    np.testing.assert_allclose(so3.matrix_from_rotvec(angle * AXES), expected, rtol=0, atol=3e-16 * 4)


@pytest.mark.parametrize("angle", EDGE_ANGLES)
def test_logarithm_of_exponential_returns_the_vector_to_1e_12_relative(angle):
    back = so3.rotvec_from_matrix(so3.matrix_from_rotvec(angle * AXES))
    if angle == np.pi:  # the axis and its opposite are the same half turn
        back *= np.sign(np.sum(back * AXES, -1))[:, None]
    np.testing.assert_allclose(back, angle * AXES, rtol=0, atol=1e-12 * max(angle, 1e-3))


@pytest.mark.parametrize("axis", np.eye(3))
def test_logarithm_of_an_exact_half_turn_has_length_pi(axis):
    R = 2.0 * np.outer(axis, axis) - np.eye(3)
    np.testing.assert_allclose(np.abs(so3.rotvec_from_matrix(R)), np.pi * axis, atol=1e-15)


@given(vectors)
def test_exponential_is_a_rotation_and_equals_scipy(rotvec):
    R = so3.matrix_from_rotvec(rotvec)
    assert orthonormality_error(R) < 1e-14
    assert np.linalg.det(R) > 0
    np.testing.assert_allclose(R, Rotation.from_rotvec(rotvec).as_matrix(), rtol=0, atol=2e-15)


def test_batched_functions_equal_a_loop():
    R = RANDOM.as_matrix().reshape(10, 20, 3, 3)
    loop = np.array([[so3.rotvec_from_matrix(r) for r in row] for row in R])
    np.testing.assert_allclose(so3.rotvec_from_matrix(R), loop, rtol=0, atol=1e-14)
    np.testing.assert_allclose(so3.matrix_from_rotvec(loop), R, rtol=0, atol=1e-14)


def test_quaternion_equals_scipy_with_positive_w():
    quat = so3.quat_from_matrix(RANDOM.as_matrix())
    expected = RANDOM.as_quat()
    np.testing.assert_allclose(quat, expected * np.sign(expected[:, 3:]), rtol=0, atol=1e-14)
    np.testing.assert_allclose(so3.matrix_from_quat(quat), RANDOM.as_matrix(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("angle", EDGE_ANGLES)
def test_quaternion_round_trip_at_edge_angles(angle):
    R = so3.matrix_from_rotvec(angle * AXES)
    np.testing.assert_allclose(so3.matrix_from_quat(so3.quat_from_matrix(R)), R, rtol=0, atol=2e-15)


def test_quaternion_length_and_sign_do_not_matter():
    quat = RANDOM.as_quat()
    np.testing.assert_allclose(so3.matrix_from_quat(-7.0 * quat), RANDOM.as_matrix(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("quat", [[0, 0, 0, 0], [0, np.nan, 0, 1], [np.inf, 0, 0, 1]])
def test_quaternion_without_direction_is_refused(quat):
    with pytest.raises(HpeError, match="quaternion must be finite"):
        so3.matrix_from_quat(quat)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 1.0, 3.0])
def test_geodesic_is_the_angle_between_even_at_a_nanoradian(angle):
    R = RANDOM.as_matrix()[:20]
    turned = so3.matrix_from_rotvec(angle * AXES) @ R
    np.testing.assert_allclose(so3.geodesic_angle(R, turned), angle, rtol=1e-12, atol=5e-16)


def test_geodesic_of_a_half_turn_is_pi():
    assert so3.geodesic_angle(np.eye(3), np.diag([1.0, -1.0, -1.0])) == pytest.approx(np.pi)


def test_projection_keeps_rotations_and_returns_det_plus_one_for_reflections():
    R = RANDOM.as_matrix()
    np.testing.assert_allclose(so3.project_to_rotation(R), R, rtol=0, atol=1e-14)
    projected = so3.project_to_rotation(R * [1.0, 1.0, -1.0])
    np.testing.assert_allclose(np.linalg.det(projected), 1.0)
    assert orthonormality_error(projected) < 1e-14


def test_projection_is_the_nearest_rotation():
    rng = np.random.default_rng(3)
    M = np.eye(3) + 0.3 * rng.normal(size=(3, 3))
    best = np.linalg.norm(M - so3.project_to_rotation(M))
    others = Rotation.from_quat(np.random.default_rng(3).normal(size=(2000, 4))).as_matrix()
    assert best <= np.min(np.linalg.norm(M - others, axis=(1, 2)))


def test_projection_of_a_scaled_rotation_is_the_rotation():
    R = RANDOM.as_matrix()
    np.testing.assert_allclose(so3.project_to_rotation(0.1 * R), R, rtol=0, atol=1e-13)


def test_projection_refuses_beyond_the_stated_residual_and_names_both_numbers():
    with pytest.raises(HpeError, match=r"residual 0\.0173, allowed 0\.001"):
        so3.project_to_rotation(1.01 * np.eye(3), max_residual=1e-3)
    with pytest.raises(HpeError, match="not finite"):
        so3.project_to_rotation(np.full((3, 3), np.nan))


def test_half_precision_rotations_are_within_the_residual_of_a_pose():
    half = RANDOM.as_matrix().astype(np.float16).astype(float)
    projected = so3.project_to_rotation(half, max_residual=1e-3)
    assert np.max(so3.geodesic_angle(projected, RANDOM.as_matrix())) < 1e-3


def test_six_numbers_are_the_first_two_columns():
    R = RANDOM.as_matrix()
    sixd = np.concatenate([R[..., 0], R[..., 1]], -1)
    np.testing.assert_allclose(so3.matrix_from_sixd(sixd), R, rtol=0, atol=1e-14)


def test_six_numbers_keep_the_first_direction_and_the_plane():
    R = so3.matrix_from_sixd([3.0, 0, 0, 5.0, 0.1, 0])
    np.testing.assert_allclose(R, np.eye(3), atol=1e-14)


@pytest.mark.parametrize(
    "sixd", [[0, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0], [1, 2, 3, -2, -4, -6], [1, 0, 0, 0, np.nan, 0]]
)
def test_degenerate_six_numbers_are_refused_not_turned_into_identity(sixd):
    with pytest.raises(HpeError, match="degenerate"):
        so3.matrix_from_sixd(sixd)


def test_one_degenerate_row_refuses_the_batch():
    good, bad = [1, 0, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0]
    with pytest.raises(HpeError):
        so3.matrix_from_sixd([good, bad])


def test_mean_rotation_equals_scipy_with_and_without_weights():
    cluster = Rotation.from_rotvec(0.4 * np.random.default_rng(4).normal(size=(30, 3))) * RANDOM[0]
    weights = np.random.default_rng(5).uniform(0.1, 2.0, 30)
    R = cluster.as_matrix()
    np.testing.assert_allclose(so3.mean_rotation(R), cluster.mean().as_matrix(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(so3.mean_rotation(R, weights), cluster.mean(weights).as_matrix(), rtol=0, atol=1e-12)


def test_mean_of_two_opposite_turns_is_the_middle():
    R = so3.matrix_from_rotvec([[0, 0.3, 0], [0, -0.3, 0]])
    np.testing.assert_allclose(so3.mean_rotation(R), np.eye(3), atol=1e-15)


def test_rotation_between_equals_axis_angle():
    a, b = RANDOM.apply([1.0, 0, 0]), RANDOM.apply([0, 0.6, 0.8])
    axis = np.cross(a, b)
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arccos(np.sum(a * b, -1))
    expected = Rotation.from_rotvec(axis * angle[:, None]).as_matrix()
    np.testing.assert_allclose(so3.rotation_between(a, b), expected, rtol=0, atol=1e-13)


def test_rotation_between_equal_vectors_is_identity():
    np.testing.assert_allclose(so3.rotation_between(AXES, AXES), np.broadcast_to(np.eye(3), (20, 3, 3)), atol=1e-15)


def test_rotation_between_opposite_vectors_is_a_half_turn():
    R = so3.rotation_between(AXES, -AXES)
    np.testing.assert_allclose((R @ AXES[..., None])[..., 0], -AXES, atol=1e-14)
    np.testing.assert_allclose(np.trace(R, axis1=1, axis2=2), -1.0, atol=1e-14)
    assert orthonormality_error(R) < 1e-14
    np.testing.assert_allclose(np.linalg.det(R), 1.0)


@pytest.mark.parametrize("missing", [1e-2, 1e-3, 1e-4, 1e-5, 1e-7, 1e-9])
def test_rotation_between_nearly_opposite_vectors_stays_a_rotation(missing):
    side = np.cross(AXES, [0.3, -0.5, 0.8])
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    b = -np.cos(missing) * AXES + np.sin(missing) * side
    R = so3.rotation_between(AXES, b)
    assert orthonormality_error(R) < 1e-9
    np.testing.assert_allclose((R @ AXES[..., None])[..., 0], b, atol=2e-6)


@given(vectors.filter(lambda v: np.linalg.norm(v) > 1e-3))
def test_rotation_between_turns_no_more_than_it_must(v):
    a, b = v / np.linalg.norm(v), np.array([0.0, 0.0, 1.0])
    R = so3.rotation_between(a, b)
    np.testing.assert_allclose(R @ a, b, atol=2e-6)
    angle = np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)
    assert so3.geodesic_angle(R, np.eye(3)) == pytest.approx(angle, abs=3e-6)


@pytest.mark.parametrize("axis", np.eye(3).tolist())
def test_rotation_between_an_axis_and_its_opposite_is_a_half_turn(axis):
    R = so3.rotation_between(axis, -np.array(axis))
    np.testing.assert_allclose(R @ axis, -np.array(axis), atol=1e-12)
    assert np.trace(R) == pytest.approx(-1.0)


def test_one_quaternion_of_two_that_is_not_finite_is_refused():
    with pytest.raises(HpeError, match="must be finite"):
        so3.matrix_from_quat([[0, 0, 0, 1.0], [np.nan, 0, 0, 1.0]])
