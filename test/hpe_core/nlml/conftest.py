"""A small exact model: a rigid face of 12 landmarks with two ways to differ, in any basis."""

import numpy as np
import pytest

from hpe_core.nlml.bases import CurveBasis, RotationBasis
from hpe_core.nlml.model import Model

LIMITS = np.array([[-90.0, 90.0], [-60.0, 60.0], [-60.0, 60.0]])
M = 12
# cos(w), sin(w), 1: exact for entries of R, which are products of them
COSINES = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, -np.pi / 2, 0.0], [0.0, 1.0, 0.0, 1.0]])
FOURIERS = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


def faces(seed=0):
    """Shapes (3, M, 3) m: the mean face, and what two identity directions add to it."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(-1, 1, (M, 3)) * [0.06, 0.08, 0.05]
    return np.stack([mean, *(rng.normal(size=(2, M, 3)) * 0.004)])


def rotation_weights(shapes):
    """Weights (3, 10, 3 M) on (1, R) for landmarks R @ p."""
    weights = np.zeros((len(shapes), 10, M, 3))
    for a in range(3):
        for b in range(3):
            weights[:, 1 + 3 * a + b, :, a] = shapes[:, :, b]
    return weights.reshape(len(shapes), 10, 3 * M)


def make_model(kind="so3", **changes):
    """Model of `faces` on a basis: so3, cosine or fourier."""
    weights, features = rotation_weights(faces()), np.eye(3 * M)
    basis = RotationBasis(1)
    if kind != "so3":
        rng = np.random.default_rng(1)
        curves = CurveBasis(kind, "yaw_first", 3 * [COSINES if kind == "cosine" else FOURIERS], LIMITS)
        angles = np.radians(rng.uniform(LIMITS[:, 0], LIMITS[:, 1], (400, 3)))
        phi, wanted = curves.evaluate(angles)[:, 0], basis.evaluate(curves.rotation(angles))[:, 0]
        turn, *_ = np.linalg.lstsq(phi, wanted, rcond=1e-12)
        weights, basis = np.einsum("kq,iqf->ikf", turn, weights), curves
    values = {"basis": basis, "weights": weights, "features": features, "noise_std": np.full(3 * M, 0.001)}
    return Model(**values | {"limits_deg": LIMITS, "card": {"name": "test"}} | changes)


@pytest.fixture
def build_model():
    return make_model
