import numpy as np
import pytest

pytest.importorskip("tqdm")

from training.deploy.calibrate_covariance import _scale, correlation


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
