"""OpNet: its quaternion, its Gaussians and its landmarks, against SciPy and by hand."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.spatial.transform import Rotation  # noqa: E402
from scipy.stats import multivariate_normal  # noqa: E402

from hpe_core.geometry.head import FACE_CENTRE_M  # noqa: E402
from hpe_core.geometry.landmarks68 import REFERENCE_LANDMARKS_M  # noqa: E402
from hpe_core.networks.crop.crop6dof import covariance_from_factor  # noqa: E402
from training.losses.crop6dof import rotation_nll  # noqa: E402
from training.networks import crop6dof, opnet  # noqa: E402

torch.set_num_threads(1)

COLUMNS = opnet.SPEC["columns"]


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(6)
    return opnet.build().eval()


def raw(net, **parts):
    """The heads' numbers (1, 75) as with zero features, but for some parts."""
    values = dict(zip(opnet.PARTS, net.heads.bias.detach().split(list(opnet.PARTS.values())), strict=True))
    values |= {name: torch.tensor(value, dtype=torch.float32) for name, value in parts.items()}
    return torch.cat([values[name] for name in opnet.PARTS])[None]


def random_factor(seed, count=5):
    return opnet.factor(torch.from_numpy(np.random.default_rng(seed).normal(-1.0, 0.7, (count, 7))).float())


def random_quat(seed, count=5):
    return torch.from_numpy(Rotation.random(count, random_state=seed).as_quat(canonical=True)).float()


def test_columns_mean_what_crop6dof_means_by_them():
    assert list(COLUMNS.items()) == list(crop6dof.SPEC["columns"].items())[: len(COLUMNS)]


def test_zero_features_are_the_mean_head_facing_the_camera_in_the_middle(net):
    with torch.no_grad():
        row = opnet.rows(net.parts(raw(net)))[0]
    value = {name: row[a:b].numpy() for name, (a, b) in COLUMNS.items()}
    np.testing.assert_array_equal(value["sixd"], [1, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal([*value["centre_m"], *value["log_size"]], 0.0)
    np.testing.assert_allclose(
        value["landmarks_m"].reshape(68, 3), REFERENCE_LANDMARKS_M - FACE_CENTRE_M, rtol=0, atol=1e-7
    )


def test_the_positive_function_is_one_at_zero_and_above_zero_everywhere():
    assert opnet.positive(torch.zeros(1)).item() == 1.0
    assert opnet.positive(torch.tensor([-10.0])).item() > 0.0
    assert opnet.positive(torch.tensor([math.log(0.1)])).item() == pytest.approx(0.1)


def test_quaternions_become_the_matrices_of_scipy():
    quat = random_quat(1)
    np.testing.assert_allclose(opnet.matrix_from_quat(quat), Rotation.from_quat(quat).as_matrix(), atol=1e-6)


def test_a_quaternion_and_its_negative_have_the_same_error():
    quat, true = random_quat(2), random_quat(3)
    torch.testing.assert_close(opnet.tangent_error(quat, true), opnet.tangent_error(quat, -true))


def test_the_tangent_error_turns_the_estimate_into_the_truth_from_the_right():
    quat, true = random_quat(4), random_quat(5)
    error = opnet.tangent_error(quat, true).numpy()
    turned = Rotation.from_quat(quat) * Rotation.from_rotvec(error)
    np.testing.assert_allclose(turned.as_matrix(), Rotation.from_quat(true).as_matrix(), atol=1e-5)
    assert np.linalg.norm(error, axis=1).max() <= np.pi + 1e-5


def test_the_tangent_error_has_a_finite_slope_at_no_error_and_at_half_a_turn():
    quat = torch.tensor([[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]], requires_grad=True)
    error = opnet.tangent_error(quat, torch.tensor([[0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]]))
    error.square().sum().backward()
    assert torch.isfinite(quat.grad).all()
    np.testing.assert_allclose(error.detach().norm(dim=1), [0.0, math.pi], atol=1e-5)


def test_the_likelihood_is_that_of_scipys_gaussian_with_a_thousandth_of_a_uniform_one():
    L, error = random_factor(6), torch.tensor([[0.1, -0.2, 0.3]]).expand(5, 3)
    density = [multivariate_normal.pdf(error[0], cov=(one @ one.T).double().numpy()) for one in L]
    expected = -np.log(0.999 * np.array(density) + 0.001 / opnet.ROTATION_VOLUME)
    np.testing.assert_allclose(opnet.mixed_nll(error, L, opnet.ROTATION_VOLUME), expected, rtol=1e-4)


def test_all_rotation_vectors_fill_129_88():
    np.testing.assert_allclose(opnet.ROTATION_VOLUME, 129.88, atol=0.005)


def test_the_exported_covariance_is_the_heads_own_turned_into_the_camera():
    L, R = random_factor(7), opnet.matrix_from_quat(random_quat(8))
    found = covariance_from_factor(opnet.precision_factor(L, R).double().numpy())
    expected = (R @ L @ L.transpose(1, 2) @ R.transpose(1, 2)).numpy()
    assert np.abs(expected - (L @ L.transpose(1, 2)).numpy()).max() > 0.02  # the turn matters
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5)


def test_errors_drawn_in_the_head_spread_in_the_camera_as_the_exported_factor_says():
    L, quat = random_factor(9, 1) * 0.05, random_quat(10, 1)
    drawn = np.random.default_rng(11).normal(size=(20000, 3)) @ L[0].numpy().T
    R = Rotation.from_quat(quat[0])
    left = (R * Rotation.from_rotvec(drawn) * R.inv()).as_rotvec()
    said = covariance_from_factor(opnet.precision_factor(L, opnet.matrix_from_quat(quat)).double().numpy())[0]
    np.testing.assert_allclose(np.cov(left.T), said, atol=0.05 * np.trace(said))


def test_its_likelihood_is_crop6dofs_of_the_exported_factor_but_for_a_constant():
    L, quat, true = random_factor(12), random_quat(13), random_quat(14)
    quat = torch.nn.functional.normalize(true + 0.05 * quat, dim=1)
    R, R_true = opnet.matrix_from_quat(quat), opnet.matrix_from_quat(true)
    ours = opnet.mixed_nll(opnet.tangent_error(quat, true), L, 1e30)  # hardly any uniform part
    theirs = rotation_nll(R, R_true, opnet.precision_factor(L, R))
    constant = 1.5 * math.log(2 * math.pi) - math.log(1 - opnet.OUTLIERS)
    np.testing.assert_allclose(ours, theirs + constant, atol=2e-3)


def test_place_and_size_stds_are_metres_and_relative(net):
    numbers = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]  # stds 1.01, 1.01 of half a crop, 2.01 of a size of 1
    with torch.no_grad():
        row = opnet.rows(net.parts(raw(net, place_factor=numbers, size=[1.0])))[0]  # a size of 2
    half_crop_m = 0.14
    assert row[slice(*COLUMNS["log_centre_std_m"])].exp().item() == pytest.approx(1.01 * half_crop_m)
    assert row[slice(*COLUMNS["log_size"])].exp().item() == pytest.approx(2.0)
    assert row[slice(*COLUMNS["log_size_std"])].exp().item() == pytest.approx(2.01 / 2.0)


def test_landmarks_turn_grow_and_move_with_the_head(net):
    quarter = math.sin(math.pi / 4)
    part = {"quat": [0.0, quarter, 0.0, math.log(quarter)], "size": [1.0], "centre": [0.5, 0.0]}
    with torch.no_grad():
        points = net.parts(raw(net, **part))["landmarks_m"].reshape(68, 3).numpy()
    x, y, z = (REFERENCE_LANDMARKS_M - FACE_CENTRE_M).T
    np.testing.assert_allclose(points, 2.0 * np.stack([z, y, -x], -1) + [0.07, 0.0, 0.0], atol=1e-6)


def test_the_box_of_landmarks_is_their_middle_and_half_extent_in_half_crops():
    points = torch.tensor([[[-0.07, 0.0, 9.0], [0.14, 0.14, -9.0]]])
    np.testing.assert_allclose(opnet.box_of(points), [[0.25, 0.5, 0.75, 0.5]], atol=1e-6)
