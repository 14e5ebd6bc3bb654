"""Fit a model of exact heads to a landmark network: its bias as a function of the pose, its noise, its covariance."""

from dataclasses import replace

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.nlml.infer import infer

RIDGE = 0.02  # of the bias regression, relative to the number of faces
LEAST_FACES = 200


def adapt(model, samples, rounds=2, say=lambda text: None):
    """The model with bias, noise per landmark, hidden_noise and covariance_scale learnt from Samples with true poses.

    The bias is what remains on average of the measured landmarks, as a function of the pose on the model's own basis;
    half of the people (by name) are kept out of it and tell the covariance's scale.
    """
    samples = samples[samples.found]
    if len(samples) < LEAST_FACES:
        raise HpeError(f"adapting to a detector needs at least {LEAST_FACES} measured faces, got {len(samples)}")
    if model.normalisation != "free":
        raise HpeError("only models of normalisation 'free' adapt to a detector")
    people, index = np.unique(samples.person, return_inverse=True)
    held_out = index % 2 == 1 if len(people) >= 4 else np.arange(len(samples)) % 2 == 1
    training, test = samples[~held_out], samples[held_out]
    for _ in range(rounds):
        phi = model.basis.evaluate(model.basis.from_rotation(training.R_local))[:, 0]
        left = explained_at(model, training)[0]
        share = _share(model, training.visible)
        bias = np.empty((phi.shape[1], left.shape[1]))
        scale = np.maximum(np.sqrt(np.mean(phi**2, 0)), 1e-9)
        for m in range(model.landmarks):  # weights differ between landmarks
            weighted = phi * share[:, m, None]
            gram = weighted.T @ phi + np.diag(RIDGE * len(training) * scale**2)
            bias[:, 3 * m : 3 * m + 3] = np.linalg.solve(gram, weighted.T @ left[:, 3 * m : 3 * m + 3])
        model = _with_bias(model, bias)
        left, seen = explained_at(model, training)[0], training.visible > 0.5
        squares = (left**2).reshape(len(left), -1, 3)
        rms = np.sqrt(np.mean((phi @ bias) ** 2))
        visible_variance = _mean_where(squares, seen)
        hidden_variance = _mean_where(squares, ~seen)
        noise = np.sqrt(np.maximum(visible_variance, 1e-8))
        ratio = np.sqrt(np.nanmean(hidden_variance / visible_variance)) if (~seen).sum() > 50 else model.hidden_noise
        model = replace(model, noise_std=noise.ravel(), hidden_noise=float(np.clip(ratio, 1.0, 10.0)))
        say(
            f"bias {1e3 * rms:.2f} mm rms, noise {1e3 * np.sqrt(np.mean(noise**2)):.2f} mm seen, "
            f"{model.hidden_noise:.2f} times that hidden"
        )
    model = replace(model, covariance_scale=1.0)
    scale = covariance_scale(model, test)
    say(f"squared errors are {scale:.2f} times the predicted variance on {len(test)} faces of other people")
    return replace(model, covariance_scale=scale)


def covariance_scale(model, samples):
    """Median squared error over its prediction, both about three axes: robust against failures of the detector."""
    found = infer(model, samples.points, samples.visible)
    good = found.converged
    error = so3.rotvec_from_matrix(samples.R_local[good] @ np.swapaxes(found.R_local[good], 1, 2))
    squared = np.einsum("ni,nij,nj->n", error, np.linalg.inv(found.covariance_rad2[good]), error)
    return float(max(np.median(squared) / 2.366, 1e-3) * model.covariance_scale)  # median of chi-square, 3 degrees


def explained_at(model, samples):
    """What the model at the true rotations leaves of the landmarks (N, 3 M), with identity, size and place solved for.

    Two rounds of linear least squares with the identity prior. Also the identities (N, r).
    """
    share = _share(model, samples.visible)
    D = (share[:, :, None] / model.noise_std.reshape(-1, 3) ** 2).reshape(len(samples), -1)
    x = samples.points.reshape(len(samples), -1)
    phi = model.basis.evaluate(model.basis.from_rotation(samples.R_local))[:, 0]
    left, identities = np.empty_like(x), np.empty((len(x), model.identities))
    axes = np.tile(np.eye(3), (model.landmarks, 1))
    for n in range(len(x)):
        parts = np.tensordot(model.weights, phi[n], (1, 0)) @ model.features.T  # 1 + r, 3 M
        A = np.concatenate([parts, axes.T])  # unknowns: s, s z, t
        prior = np.zeros(len(A))
        prior[1 : 1 + model.identities] = 1.0
        gram = (A * D[n]) @ A.T + np.diag(prior)
        solved = np.linalg.solve(gram, (A * D[n]) @ x[n])
        s = max(solved[0], 1e-3)
        left[n], identities[n] = (x[n] - solved @ A) / s, solved[1 : 1 + model.identities] / s
    return left, identities


def _share(model, visible):
    visible = np.clip(visible, 0.0, 1.0)
    return visible + (1.0 - visible) / model.hidden_noise**2


def _mean_where(squares, mask):
    """(M, 3) mean of squares (N, M, 3) where mask (N, M); the mean over all where a landmark has fewer than 20."""
    count = mask.sum(0)[:, None]
    mean = (squares * mask[..., None]).sum(0) / np.maximum(count, 1)
    overall = (squares * mask[..., None]).sum((0, 1)) / max(mask.sum(), 1)
    return np.where(count >= 20, mean, overall)


def _with_bias(model, bias):
    """The model whose mean face has `bias` (K, 3 M) added; the features grow by the directions that it needs."""
    inside = bias @ model.features
    outside = bias - inside @ model.features.T
    _, s, Vt = np.linalg.svd(outside, full_matrices=False)
    new = Vt[s > 1e-3 * max(np.linalg.norm(bias), 1e-12)][:24]
    features = np.concatenate([model.features, new.T], 1)
    grown = np.concatenate([model.weights, np.zeros((*model.weights.shape[:2], len(new)))], -1)
    grown[0, :, : inside.shape[1]] += inside
    grown[0, :, inside.shape[1] :] += outside @ new.T
    return replace(model, weights=grown, features=features)
