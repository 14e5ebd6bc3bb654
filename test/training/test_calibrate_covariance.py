import numpy as np
import pytest

pytest.importorskip("tqdm")

from hpe_core.network_card import card_of
from training.deploy.calibrate_covariance import _scale, constant_std_deg, correlation, uncalibrated


def test_errors_of_one_sigma_need_no_scale_and_twice_as_large_ones_need_two():
    errors = np.random.default_rng(0).normal(size=(20_000, 3))
    assert _scale(errors) == pytest.approx(1.0, abs=0.02)
    assert _scale(2.0 * errors) == pytest.approx(2.0, abs=0.04)


def test_correlation_of_errors_that_share_half_their_variance():
    rng = np.random.default_rng(0)
    shared, a, b = rng.normal(size=(3, 20_000, 3))
    assert correlation(shared + a, shared + b) == pytest.approx(0.5, abs=0.02)
    assert correlation(a, b) == pytest.approx(0.0, abs=0.02)
    assert correlation(a, a) == 0.99


@pytest.mark.parametrize("label_std_deg", [0.0, 4.0])
def test_a_constant_standard_deviation_is_that_of_the_errors_without_the_labels_share(label_std_deg):
    rng, std_deg = np.random.default_rng(0), 6.0
    labels = np.full(20_000, np.radians(label_std_deg))
    errors = np.radians(np.hypot(std_deg, label_std_deg)) * rng.normal(size=(20_000, 3))
    found = constant_std_deg(np.linalg.norm(errors, axis=1), labels)
    assert found == pytest.approx(std_deg, rel=0.03)


def test_errors_that_those_of_the_labels_explain_say_nothing_of_the_networks():
    assert constant_std_deg(np.full(9, 0.01), np.full(9, 0.1)) == 0.0


def test_a_network_without_an_uncertainty_of_its_rotation_can_be_measured_before_it_has_one():
    card = {"name": "net", "estimator": "crop6dof", "spec": {"columns": {"sixd": [0, 6]}, "crop_m": 0.28}}
    card = card_of(card, ("batch", 32, 32, 3), "net.onnx")
    assert uncalibrated(card).rotation_std_deg is not None


def test_a_network_is_measured_on_the_faces_that_its_card_lets_it_confirm():
    columns = {"sixd": [0, 6], "precision_factor": [6, 12], "log_centre_std_m": [12, 13]}
    own = {"rotation_std": 3.0, "own_centre_std": 1.8}
    card = {"name": "net", "estimator": "crop6dof", "spec": {"columns": columns, "crop_m": 0.28}, "calibration": own}
    found = uncalibrated(card_of(card, ("batch", 32, 32, 3), "net.onnx"))
    assert (found.rotation_std, found.own_centre_std) == (1.0, 1.8)
