import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.nlml import angles as euler
from hpe_core.nlml.bases import CurveBasis, RotationBasis, cosine, fourier

LIMITS = np.array([[-90.0, 90.0], [-60.0, 60.0], [-60.0, 60.0]])
R_RANDOM = Rotation.random(50, rng=3).as_matrix()


def test_aflw2000_order_is_that_of_the_geometry_package():
    yaw, pitch, roll = 30.0, -20.0, 40.0
    R = euler.matrix_from_angles(np.radians([yaw, pitch, roll]), "aflw2000")
    np.testing.assert_allclose(R, aflw2000.to_matrix(EulerDeg(yaw, pitch, roll)), atol=1e-12)


@pytest.mark.parametrize("order", euler.ORDERS)
def test_a_turn_about_one_axis_alone_is_the_same_in_every_order(order):
    R = euler.matrix_from_angles(np.radians([25.0, 0.0, 0.0]), order)
    np.testing.assert_allclose(R @ [0, 0, -1.0], [-np.sin(np.radians(25)), 0, -np.cos(np.radians(25))], atol=1e-12)


@pytest.mark.parametrize("order", euler.ORDERS)
def test_angles_come_back(order):
    angles = np.random.default_rng(0).uniform(-1.5, 1.5, (100, 3))
    back = euler.angles_from_matrix(euler.matrix_from_angles(angles, order), order)
    np.testing.assert_allclose(back, angles, atol=1e-9)


@pytest.mark.parametrize("order", euler.ORDERS)
def test_gimbal_lock_still_gives_angles_of_the_same_rotation(order):
    angles = np.array([[0.3, 0.2, 0.4]])
    angles[0, euler.ORDERS[order][1][2]] = np.pi / 2
    R = euler.matrix_from_angles(angles, order)
    again = euler.matrix_from_angles(euler.angles_from_matrix(R, order), order)
    np.testing.assert_allclose(again, R, atol=1e-6)


def test_yaw_first_is_regular_at_a_profile():
    T = euler.tangent_from_angles(np.radians([90.0, 30.0, 20.0]), "yaw_first")
    assert abs(np.linalg.det(T)) > 0.5


def test_unknown_order_names_the_known_ones():
    with pytest.raises(HpeError, match="yaw_first"):
        euler.check_order("zyx")


def test_excess_counts_degrees_beyond_the_worst_limit():
    assert euler.excess_deg(np.radians([95.0, 0.0, -63.0]), LIMITS) == pytest.approx(5.0)
    assert euler.excess_deg(np.radians([80.0, 0.0, 0.0]), LIMITS) == pytest.approx(-10.0)


@pytest.mark.parametrize(("degree", "size"), [(1, 10), (2, 35), (3, 84)])
def test_harmonics_are_independent_functions(degree, size):
    basis = RotationBasis(degree)
    values = basis.evaluate(Rotation.random(400, rng=0).as_matrix())[:, 0]
    assert basis.size == size == np.linalg.matrix_rank(values)


def test_harmonics_of_each_degree_keep_their_length_under_rotation():
    values = RotationBasis(3).evaluate(R_RANDOM)[:, 0]
    for start, n in ((1, 3), (10, 5), (35, 7)):
        D = values[:, start : start + n * n].reshape(-1, n, n)
        np.testing.assert_allclose(D @ np.swapaxes(D, 1, 2), np.broadcast_to(np.eye(n), D.shape), atol=1e-10)


def curve_basis(kind):
    rng = np.random.default_rng(5)
    columns = 4 if kind == "cosine" else 5
    return CurveBasis(kind, "yaw_first", [rng.normal(size=(n, columns)) for n in (3, 2, 4)], LIMITS)


@pytest.mark.parametrize("basis", [RotationBasis(3), curve_basis("cosine"), curve_basis("fourier")])
def test_derivatives_are_those_of_central_differences(basis):
    start = basis.from_rotation(euler.matrix_from_angles(np.array([[0.4, -0.3, 0.5]]), "yaw_first"))
    values = basis.evaluate(start)[0]
    h = 1e-6
    for axis in range(3):
        step = np.zeros((1, 3))
        step[0, axis] = h
        numeric = basis.evaluate(basis.step(start, step))[0, 0] - basis.evaluate(basis.step(start, -step))[0, 0]
        np.testing.assert_allclose(values[1 + axis], numeric / (2 * h), atol=1e-7)


@pytest.mark.parametrize("basis", [RotationBasis(1), curve_basis("cosine")])
def test_tangent_says_how_a_step_turns_the_head(basis):
    start = basis.from_rotation(euler.matrix_from_angles(np.array([[0.4, -0.3, 0.5]]), "yaw_first"))
    step = np.array([[2e-7, -1e-7, 3e-7]])
    turned = basis.rotation(basis.step(start, step)) @ np.swapaxes(basis.rotation(start), 1, 2)
    wanted = (basis.tangent(start) @ step[..., None])[..., 0]
    np.testing.assert_allclose(so3.rotvec_from_matrix(turned), wanted, atol=1e-12)


def test_curves_are_never_asked_far_beyond_their_grid():
    basis = curve_basis("cosine")
    far = basis.step(np.zeros((1, 3)), np.array([[10.0, -10.0, 10.0]]))
    np.testing.assert_allclose(np.degrees(far), [[100.0, -70.0, 70.0]])


def test_cosine_curve_at_zero_is_a_cos_c_plus_d():
    value, slope = cosine(np.zeros(1), np.array([[2.0, 3.0, np.pi / 3, 0.5]]))
    assert value[0, 0] == pytest.approx(1.5) and slope[0, 0] == pytest.approx(-6 * np.sin(np.pi / 3))


def test_fourier_series_at_a_quarter_turn():
    value, _ = fourier(np.array([np.pi / 2]), np.array([[1.0, 10.0, 2.0, 0.25, 30.0]]))
    assert value[0, 0] == pytest.approx(1.0 + 2.0 - 0.25)


def test_degree_out_of_range_is_refused():
    with pytest.raises(HpeError, match="1 to 3"):
        RotationBasis(4)
