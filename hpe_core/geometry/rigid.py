"""Rigid alignment of point sets (Kabsch, Acta Cryst. 1976)."""

import numpy as np


def rotation_between_points(
    model: np.ndarray, points: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rotations R (..., 3, 3) of the best points ~ s R model + t, and the singular values (..., 3) of their covariance.

    model: (..., N, 3); points: (..., N, 3); weights: (..., N) of any sum, None for equal ones. Where the second
    singular value is 0 the points lie on a line and R is one of many. The best s is the sum of the singular values over
    the weighted mean square of the centred model.
    """
    weights = np.ones(points.shape[:-1]) if weights is None else weights
    share = (weights / weights.sum(-1, keepdims=True))[..., None]
    model = model - (share * model).sum(-2, keepdims=True)
    points = points - (share * points).sum(-2, keepdims=True)
    U, s, Vt = np.linalg.svd(np.swapaxes(points * share, -1, -2) @ model)
    sign = np.linalg.det(U @ Vt)
    U = np.concatenate([U[..., :2], U[..., 2:] * sign[..., None, None]], -1)
    return U @ Vt, s
