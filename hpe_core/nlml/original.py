"""Reads the original's `Factor_Matrices.npz` (U_id, U_yaw, U_pitch, U_roll) and `Trained_data.npz` (cosines, W)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.nlml.angles import tangent_from_angles
from hpe_core.nlml.bases import CurveBasis
from hpe_core.nlml.model import Model
from hpe_core.npz_file import read_npz

GRIDS_DEG = (np.arange(-50, 51, 10.0), np.arange(-40, 41, 10.0), np.arange(-30, 31, 10.0))
AXES = ("yaw", "pitch", "roll")
NOISE_EYE_DISTANCES = 0.03
FEATURE_ENERGY = 0.99998
SIGNS = (
    "the signs of singular vectors are arbitrary, so factors, curves and heads belong together only when they come "
    "from one run: use the two files of the same run, or fit again with `hpe nlml fit`, which fixes the signs"
)


def load_original(
    factors_path: str | Path, trained_path: str | Path, grids_deg: Sequence[np.ndarray] = GRIDS_DEG
) -> Model:
    """A Model (normalisation "original", the paper's cosines) from the two files of one run.

    Identity prior: mean and covariance of the rows of U_id. Angles are turned to AFLW2000's signs by looking at what
    they do to the landmarks. Raises HpeError that says what does not fit.
    """
    factors, trained = read_npz(factors_path), read_npz(trained_path)
    U = {name: _matrix(factors, f"U_{name}", factors_path) for name in ("id", *AXES)}
    curves = [_matrix(trained, f"optimized_{axis}", trained_path) for axis in AXES]
    W = _numbers(trained, "W", trained_path)
    if W.ndim != 5 or W.shape[4] % 3 or W.shape[4] < 12:
        raise HpeError(f"W in {trained_path} must be identity x yaw x pitch x roll x 3 M, got shape {W.shape}")
    for axis, c in zip(AXES, curves, strict=True):
        if c.shape[1] != 4:
            raise HpeError(f"optimized_{axis} in {trained_path} must have 4 columns (a, b, c, d), got {c.shape[1]}")
    ranks = [min(len(c), n) for c, n in zip(curves, W.shape[1:4], strict=True)]
    W = W[:, : ranks[0], : ranks[1], : ranks[2]]  # the original, too, uses the leading columns only
    curves = [c[:rank] for c, rank in zip(curves, ranks, strict=True)]
    if U["id"].shape[1] != len(W) or len(U["id"]) < 2:
        raise HpeError(
            f"U_id in {factors_path} has shape {U['id'].shape} but W in {trained_path} has {len(W)} identity "
            f"directions: the files come from different runs; {SIGNS}"
        )
    for axis, grid, c in zip(AXES, grids_deg, curves, strict=True):
        _check_curves(axis, np.asarray(grid, float), U[axis], c, factors_path)
    limits = np.array([[np.min(grid), np.max(grid)] for grid in grids_deg])
    model = _folded(CurveBasis("cosine", "aflw2000", curves, limits), U["id"], W, limits)
    signs = axis_signs(model)
    if np.any(signs < 0):
        curves = [c * [1.0, sign, 1.0, 1.0] for c, sign in zip(curves, signs, strict=True)]
        model = _folded(CurveBasis("cosine", "aflw2000", curves, limits), U["id"], W, limits)
    return model


def _check_curves(axis, grid_deg, U, curves, path):
    if len(U) != len(grid_deg):
        raise HpeError(f"U_{axis} in {path} has {len(U)} rows but the grid of {axis} has {len(grid_deg)} angles")
    if U.shape[1] < len(curves):
        raise HpeError(f"U_{axis} in {path} has {U.shape[1]} columns but there are {len(curves)} curves")
    a, b, c, d = curves.T
    values = a * np.cos(np.radians(grid_deg)[:, None] * b + c) + d
    for k in range(len(curves)):
        column, value = U[:, k], values[:, k]
        agreement = column @ value / max(np.linalg.norm(column) * np.linalg.norm(value), 1e-30)
        if agreement < 0.5:
            how = "has the opposite sign of" if agreement < -0.5 else "does not resemble"
            raise HpeError(
                f"curve {k + 1} of {axis} {how} its factor column (agreement {agreement:.2f}, needed 0.5): {SIGNS}"
            )


def _folded(basis, U_id, W, limits):
    with np.errstate(all="ignore"):
        u0 = U_id.mean(0)
        w, V = np.linalg.eigh(np.atleast_2d(np.cov(U_id.T)))
        keep = w > 1e-12 * max(w.max(), 1e-300)
        root = V[:, keep][:, ::-1] * np.sqrt(w[keep])[::-1]
        weights = np.tensordot(np.concatenate([u0[None], root.T]), W, 1).reshape(1 + root.shape[1], -1, W.shape[-1])
    if not np.all(np.isfinite(weights)) or not np.any(weights):
        raise HpeError("W and U_id give no finite landmarks")
    _, s, Vt = np.linalg.svd(weights.reshape(-1, weights.shape[-1]), full_matrices=False)
    kept = int(np.searchsorted(np.cumsum(s**2) / np.sum(s**2), FEATURE_ENERGY) + 1)
    features = Vt[:kept].T
    noise = np.full(len(features), NOISE_EYE_DISTANCES)
    return Model(
        basis=basis,
        weights=weights @ features,
        features=features,
        noise_std=noise,
        limits_deg=limits,
        order="aflw2000",
        normalisation="original",
        card={"name": "nlml_original", "source": "Factor_Matrices.npz and Trained_data.npz of the original"},
    )


def axis_signs(model: Model, step_deg: float = 15.0) -> np.ndarray:
    """(3,) +1 where yaw, pitch and roll of a CurveBasis model turn its landmarks as AFLW2000 has them, -1 else.

    Measured by the rigid rotation between the landmarks at -step and +step.
    """
    signs = np.ones(3)
    expected = tangent_from_angles(np.zeros(3), model.order)
    for axis in range(3):
        parameters = np.zeros((2, 3))
        parameters[:, axis] = np.radians([-step_deg, step_deg])
        phi = model.basis.evaluate(parameters)[:, 0]
        low, high = (phi @ model.weights[0] @ model.features.T).reshape(2, -1, 3)
        M = (high - high.mean(0)).T @ (low - low.mean(0))
        rotvec = so3.rotvec_from_matrix(so3.project_to_rotation(M))
        signs[axis] = -1.0 if rotvec @ expected[:, axis] < 0 else 1.0
    return signs


def _numbers(arrays, name, path):
    if name not in arrays:
        raise HpeError(f"{path} lacks '{name}', it has {', '.join(sorted(arrays)) or 'nothing'}")
    value = arrays[name]
    if value.dtype.kind not in "fiu" or value.size == 0:
        raise HpeError(f"'{name}' in {path} must be numbers, got {value.dtype} {value.shape}")
    value = value.astype(float)
    if not np.all(np.isfinite(value)) or np.abs(value).max() > 1e6:
        raise HpeError(f"'{name}' in {path} has values that are not finite or beyond 1e6")
    return value


def _matrix(arrays, name, path):
    value = _numbers(arrays, name, path)
    if value.ndim != 2:
        raise HpeError(f"'{name}' in {path} must be a matrix, got shape {value.shape}")
    return value
