"""The rotation that lays one set of points on another (Kabsch 1976; with a scale: Umeyama 1991)."""

from dataclasses import dataclass

import numpy as np

_LEAST_SPREAD = 1e-30  # of points_a, squared: below it they are one point


@dataclass(frozen=True, eq=False, kw_only=True)
class RigidFit:
    """points_b ~ scale R points_a + translation, in the least squares of the weighted points.

    R: (..., 3, 3) in SO(3), whatever the points; scale: (...,), of the best similarity with that R; determinacy: (...,)
    second singular value of the weighted covariance over the spread of points_a: 0 when all points of a set lie on one
    line, where R is any of many.
    """

    R: np.ndarray
    scale: np.ndarray
    determinacy: np.ndarray


def rigid_fit(points_a: np.ndarray, points_b: np.ndarray, weights: np.ndarray | None = None) -> RigidFit:
    """RigidFit of corresponding points (..., N, 3), finite, with weights (..., N) >= 0 of positive sum, None for equal.

    The leading dimensions are broadcast: one set may be laid on many.
    """
    a, b = np.asarray(points_a, float), np.asarray(points_b, float)
    w = np.ones(a.shape[-2]) if weights is None else np.asarray(weights, float)
    w = w / w.sum(-1, keepdims=True)
    a = a - w[..., None, :] @ a
    b = b - w[..., None, :] @ b
    U, s, Vt = np.linalg.svd(np.swapaxes(b * w[..., None], -1, -2) @ a)
    sign = np.where(np.linalg.det(U @ Vt) < 0, -1.0, 1.0)  # never a mirror image
    U = np.concatenate([U[..., :2], U[..., 2:] * sign[..., None, None]], -1)
    spread = np.maximum((w[..., None] * a**2).sum((-2, -1)), _LEAST_SPREAD)
    return RigidFit(
        R=U @ Vt,
        scale=(s[..., 0] + s[..., 1] + sign * s[..., 2]) / spread,
        determinacy=s[..., 1] / spread,
    )
