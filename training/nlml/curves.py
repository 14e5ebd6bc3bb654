"""Curves through the columns of a factor matrix: the paper's cosine and Fourier series."""

import numpy as np
from scipy.optimize import least_squares

FREQUENCIES = np.concatenate([np.linspace(0.2, 1.0, 9), np.linspace(1.25, 4.0, 12)])
STARTS = 6


def fit_cosine(angles_rad, column):
    """(a, b, c, d) of a cos(b w + c) + d through a column (n,), and the root mean square misfit; deterministic.

    For a fixed b the rest is linear, so the starts are the best of a range of frequencies; each is then refined.
    """

    def linear(b):
        A = np.stack([np.cos(b * angles_rad), -np.sin(b * angles_rad), np.ones_like(angles_rad)], -1)
        (p, q, d), *_ = np.linalg.lstsq(A, column, rcond=1e-10)
        start = np.array([np.hypot(p, q), b, np.arctan2(q, p), d])
        return np.sum((A @ [p, q, d] - column) ** 2), start

    def misfit(x):
        return x[0] * np.cos(x[1] * angles_rad + x[2]) + x[3] - column

    def jacobian(x):
        phase = x[1] * angles_rad + x[2]
        slope = -x[0] * np.sin(phase)
        return np.stack([np.cos(phase), slope * angles_rad, slope, np.ones_like(phase)], -1)

    starts = sorted((linear(b) for b in FREQUENCIES), key=lambda pair: pair[0])[:STARTS]
    fits = [least_squares(misfit, start, jacobian, method="trf", x_scale="jac", max_nfev=400) for _, start in starts]
    best = min(fits, key=lambda fit: fit.cost)
    return best.x, float(np.sqrt(2.0 * best.cost / len(column)))


def fit_fourier(angles_rad, column, order):
    """(c0, c1, s1, c2, s2, ...) of a Fourier series through a column (n,), and the root mean square misfit.

    With fewer angles than coefficients, the smallest coefficients that fit are taken.
    """
    parts = [np.ones_like(angles_rad)]
    for n in range(1, order + 1):
        parts += [np.cos(n * angles_rad), np.sin(n * angles_rad)]
    A = np.stack(parts, -1)
    x, *_ = np.linalg.lstsq(A, column, rcond=1e-10)
    return x, float(np.sqrt(np.mean((A @ x - column) ** 2)))


def fit_columns(kind, angles_rad, columns, order=2):
    """Coefficients (r, ...) for every column of a factor (n, r), and their relative misfits (r,)."""
    fits = [
        fit_cosine(angles_rad, column) if kind == "cosine" else fit_fourier(angles_rad, column, order)
        for column in columns.T
    ]
    spread = np.maximum(np.sqrt(np.mean(columns**2, 0)), 1e-12)
    return np.stack([x for x, _ in fits]), np.array([misfit for _, misfit in fits]) / spread
