"""From a tensor to a Model: pose basis, core, identity directions, noise, projected features; and what it explains."""

from dataclasses import asdict, dataclass

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.nlml.bases import CurveBasis, RotationBasis
from hpe_core.nlml.landmarks import original_normalised
from hpe_core.nlml.model import Model
from training.nlml import curves, tucker

FOLDS, FOLD_PEOPLE = 5, 300  # cross-validation of what identities leave, on at most so many people
_FILLED = 1e-4  # change of the filled cells, relative to their size, at which filling ends


@dataclass(frozen=True, eq=False)
class Fit:
    """A Model with what a report needs. factors, singular values and curve misfits are None for a basis on SO(3)."""

    model: Model
    pose: tucker.PoseFactors | None
    curve_misfits: list | None
    identity_singular: np.ndarray
    feature_singular: np.ndarray
    identity_coordinates: np.ndarray  # (I, r)
    energy_kept: float  # share of the filled tensor's energy
    residual_rms: float  # of measured cells, metres (free) or eye distances (original)
    missing: int
    cells: int
    rounds: int


def fit(tensor, settings, card=None, say=lambda text: None):
    """The Fit of a Tensor with FitSettings. say(text) hears one line per step."""
    original = settings.normalisation == "original"
    weights = _weights(tensor, settings)
    pieces = tucker.Pieces(tensor.points, weights, settings.memory_gb, _original(tensor) if original else None)
    angles = [np.radians(grid) for grid in tensor.grids_deg]
    R = tensor.rotations.reshape(-1, 3, 3)
    cells = tensor.measured.size
    say(f"{cells} cells, {tensor.missing} of them missing ({100 * tensor.missing / cells:.2f} %)")
    if tensor.missing == cells:
        raise HpeError("no cell of the tensor is measured")
    if weights is not None:
        pieces.reconstruct = _first_filling(tensor, pieces, R)
    previous, pose, misfits = None, None, None
    for round_ in range(1, settings.rounds + 1):  # noqa: B007 - the number of rounds is reported
        if settings.basis == "so3":
            basis = RotationBasis(settings.degree)
        else:
            pose = tucker.pose_factors(pieces, settings.pose_rank, settings.pose_energy)
            fitted = [
                curves.fit_columns(settings.basis, w, f, settings.degree)
                for w, f in zip(angles, pose.factors, strict=True)
            ]
            misfits = [m for _, m in fitted]
            basis = CurveBasis(settings.basis, tensor.order, [c for c, _ in fitted], tensor.limits_deg)
        Q, to_basis = _orthonormal(basis, R, pose, settings)
        Z, energy = tucker.projected(pieces, Q)
        scales = np.ones(len(Z)) if original else _sizes(Z)
        Z /= scales[:, None, None]
        identity = tucker.identity_mode(Z, settings.identity_rank, settings.identity_energy, settings.mean_identity)
        mean, directions, z, _ = identity
        if weights is None:
            break
        low = _low_rank(mean, directions, z, scales)
        pieces.reconstruct = _reconstruction(low, Q, tensor.points.shape[1:4])
        change = np.inf if previous is None else np.linalg.norm(low - previous) / np.linalg.norm(low)
        previous = low
        if change < _FILLED:
            break
    mean, directions, z, identity_singular = identity
    unseen = _unseen_variance(Z, len(directions), settings) / len(Q)
    low = _low_rank(mean, directions, z, scales)
    Z *= scales[:, None, None]
    residual = _residual(pieces, Z, low, Q, weights, energy)
    del Z, low
    weights_all = np.concatenate([mean[None], directions])
    features, feature_singular = _features(weights_all, settings.feature_energy)
    noise = _noise(settings, tensor, unseen, original)
    model = Model(
        basis=basis,
        weights=np.einsum("kq,iqf,fp->ikp", to_basis, weights_all, features),
        features=features,
        noise_std=noise,
        limits_deg=tensor.limits_deg,
        order=tensor.order,
        normalisation=settings.normalisation,
        hidden_noise=settings.hidden_noise,
        log_scale_std=settings.log_scale_std,
        card=dict(card or {}) | {"fit": asdict(settings), "tensor": _tensor_facts(tensor)},
    )
    kept = 1.0 - residual["energy"] / energy
    say(
        f"basis {settings.basis} with {basis.size} functions, {model.identities} identity directions, "
        f"{features.shape[1]} of {len(features)} feature directions; {100 * kept:.4f} % of the energy"
    )
    return Fit(
        model,
        pose,
        misfits,
        identity_singular,
        feature_singular,
        z,
        kept,
        residual["rms"],
        tensor.missing,
        cells,
        round_,
    )


def _low_rank(mean, directions, z, scales):
    low = np.tensordot(z, directions, 1)
    low += mean
    low *= scales[:, None, None]
    return low


def _tensor_facts(tensor):
    facts = {key: value for key, value in tensor.facts.get("settings", {}).items() if key not in ("folder", "detector")}
    return facts | {"identities": len(tensor.identities), "missing_cells": tensor.missing}


def _original(tensor):
    def prepare(rows, piece):
        points = piece.reshape(-1, piece.shape[-1] // 3, 3).astype(float)
        missing = ~np.asarray(tensor.measured[rows]).reshape(-1)
        points[missing] = np.arange(piece.shape[-1]).reshape(-1, 3)  # anything that normalises: its weight is zero
        return original_normalised(points).reshape(piece.shape)

    return prepare


def _weights(tensor, settings):
    """rows -> weights (n, Y, P, R, F), or None where everything counts in full.

    Exact heads are exact where they are hidden too; a network's hidden landmarks count with their larger noise.
    """
    exact = tensor.facts.get("settings", {}).get("source", "heads") == "heads"
    if exact and tensor.missing == 0:
        return None

    def weights(rows):
        measured = np.asarray(tensor.measured[rows])[..., None]
        seen = np.ones((*measured.shape[:-1], tensor.visible.shape[-1]))
        if not exact:
            seen = np.asarray(tensor.visible[rows], float) / 255.0
            seen = seen + (1.0 - seen) / settings.hidden_noise**2
        return np.repeat(measured * seen, 3, -1)

    return weights


def _first_filling(tensor, pieces, R):
    """Reconstruction of all identities by one regression of the measured cells on 1 and the entries of R."""
    phi = RotationBasis(1).evaluate(R)[:, 0]
    gram, moment = 1e-6 * np.eye(phi.shape[1]), 0.0
    for rows, piece in pieces:
        for mask, row in zip(np.asarray(tensor.measured[rows]), piece, strict=True):
            mask, row = mask.reshape(-1), row.reshape(mask.size, -1)
            gram = gram + phi[mask].T @ phi[mask]
            moment = moment + phi[mask].T @ row[mask]
    mean = (phi @ np.linalg.solve(gram, moment)).reshape(tensor.points.shape[1:])
    return lambda rows: np.broadcast_to(mean, (len(range(*rows.indices(len(tensor.points)))), *mean.shape))


def _orthonormal(basis, R, pose, settings):
    """Q (C, K') with orthonormal columns, and (K, K') that turns coefficients of Q into coefficients of the basis."""
    if settings.basis != "so3" and not settings.refit:
        return tucker.kron3(pose.factors), np.eye(basis.size)
    phi = basis.evaluate(basis.from_rotation(R))[:, 0]
    U, s, Vt = np.linalg.svd(phi, full_matrices=False)
    keep = s > 1e-7 * s[0]
    U, signs = U[:, keep], np.sign(tucker.fixed_signs(U[:, keep])[0] * U[0, keep] + (U[0, keep] == 0))
    return U * signs, (Vt[keep].T / s[keep]) * signs


def _sizes(Z):
    """(I,) size of every identity relative to their mean."""
    scales = np.ones(len(Z))
    for _ in range(3):
        mean = (Z / scales[:, None, None]).mean(0)
        scales = Z.reshape(len(Z), -1) @ mean.ravel() / np.sum(mean**2)
        scales = scales / scales.mean()
    return scales


def _reconstruction(low, Q, cells):
    return lambda rows: (Q @ low[rows]).reshape(-1, *cells, low.shape[-1])


def _residual(pieces, Z, low, Q, weights, energy):
    """Energy of what the model leaves, and its root mean square per measured coordinate."""
    if weights is None:  # Q is orthonormal: what it drops, and what is left of what it keeps
        left = max(energy - np.vdot(Z, Z), 0.0) + sum(np.sum((a - b) ** 2) for a, b in zip(Z, low, strict=True))
        return {"energy": left, "rms": float(np.sqrt(left / np.prod(pieces.shape)))}
    reconstruct = _reconstruction(low, Q, pieces.shape[1:4])
    total = squares = count = 0.0
    for rows, piece in pieces:
        left, w = (piece - reconstruct(rows)) ** 2, weights(rows)
        # a filled cell is a mixture: what is left of the measurement itself is larger by 1 / weight
        total += left.sum()
        squares, count = squares + (left / np.maximum(w, 1e-3)).sum(where=w > 0), count + w.sum()
    return {"energy": total, "rms": float(np.sqrt(squares / count))}


def _unseen_variance(Z, rank, settings):
    """(F,) sum over poses of the squared misfit of people who are not in the fit, by cross-validation."""
    Z = Z[:FOLD_PEOPLE]
    n = len(Z)
    folds = min(FOLDS, n)
    total = np.zeros(Z.shape[2])
    for fold in range(folds):
        out = np.arange(n) % folds == fold
        rest = Z[~out]
        mean, directions, _, _ = tucker.identity_mode(rest, min(rank, len(rest) - 1) or 1, 1.0, settings.mean_identity)
        D = directions.reshape(len(directions), -1)
        left = (Z[out] - mean).reshape(out.sum(), -1)
        left = left - np.linalg.solve(D @ D.T, D @ left.T).T @ D
        total += (left.reshape(-1, *Z.shape[1:]) ** 2).sum((0, 1))
    return total / n


def _noise(settings, tensor, unseen, original):
    detector = np.tile([settings.noise_xy_m, settings.noise_xy_m, settings.noise_z_m], len(unseen) // 3)
    if original:  # noise is given in metres, the tensor is in eye distances
        detector = detector / 0.09
    return np.sqrt(detector**2 + unseen)


def _features(weights, energy):
    """Orthonormal directions (F, P) that hold a share `energy` of the weights (1 + r, K', F), and singular values."""
    flat = weights.reshape(-1, weights.shape[-1])
    gram = flat.T @ flat
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    return tucker.fixed_signs(vectors[:, : tucker.rank_for(values, energy)]), np.sqrt(values)
