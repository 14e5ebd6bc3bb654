"""Is the published covariance right? NEES and coverage against the chi-square law."""

from typing import Any

import numpy as np
from scipy.special import gammaincinv  # scipy.stats takes a second to import

LEVELS = (0.5, 0.6827, 0.9, 0.95)
WRONG_STDS = 3.0  # an error this many standard deviations long is wrong: 2.9 % of right ones are, in three dimensions
PARTS = {"pose": slice(0, 6), "translation": slice(0, 3), "rotation": slice(3, 6)}


def nees(error: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Normalised errors squared (N,) = e' C^-1 e of errors (N, d) and covariances (N, d, d).

    NaN where the covariance is unknown or not positive definite (Bar-Shalom, 2001, section 5.4).
    """
    out = np.full(len(error), np.nan)
    known = np.flatnonzero(np.all(np.isfinite(covariance), axis=(1, 2)))
    if len(known):
        C = covariance[known]
        eigenvalues = np.linalg.eigvalsh(0.5 * (C + np.swapaxes(C, -1, -2)))
        proper = eigenvalues[:, 0] > 1e-12 * np.maximum(eigenvalues[:, -1], 1e-300)
        known, C = known[proper], C[proper]
        solved = np.linalg.solve(C, error[known][..., None])[..., 0]
        out[known] = np.sum(error[known] * solved, -1)
    return out


def chi_square_quantile(level: float, dof: int) -> float:
    """The value that a chi-square variable of `dof` degrees of freedom stays below with probability `level`."""
    return 2.0 * gammaincinv(dof / 2.0, level)


def consistency(error: np.ndarray, covariance: np.ndarray | None) -> dict[str, Any] | None:
    """dict per part (pose, translation, rotation): nees_over_dof (1 is right, more: overconfident), coverage by level,
    beyond_3_std: share whose error is longer than three standard deviations.

    error (N, 6), covariance (N, 6, 6) or None. None when no covariance is known.
    """
    if covariance is None or not len(error):
        return None
    out = {}
    for name, part in PARTS.items():
        values = nees(error[:, part], covariance[:, part, part])
        values = values[np.isfinite(values)]
        if len(values) == 0:
            continue
        dof = part.stop - part.start
        out[name] = {
            "count": len(values),
            "nees_over_dof": float(np.mean(values) / dof),
            "beyond_3_std": float(np.mean(values > WRONG_STDS**2)),
            "coverage": {f"{level:g}": float(np.mean(values <= chi_square_quantile(level, dof))) for level in LEVELS},
        }
    return out or None
