"""Rotation group functions: float64, batch first, exact near 0 and pi.

Names read output_from_input. Rotation vectors are in radians, quaternions are (x, y, z, w) as in ROS and SciPy.
"""

import numpy as np
from numpy.typing import ArrayLike

from hpe_core.errors import HpeError

_I3 = np.eye(3)
_NO_ANGLE = 1e-100  # sin(x) / x is exact down to here
_FAR_FROM_PI = -0.9  # cosine of the angle
# q = (x, y, z, w) times itself is linear in R: 4 q q' (16) = r (9) @ _OUTER_FROM_R + the unit matrix
_OUTER_FROM_R = np.array(
    [
        [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1],
        [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, -1, 0, 0, -1, 0],
        [0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0],
        [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0],
        [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1],
        [0, 0, 0, -1, 0, 0, 1, 0, 0, 1, 0, 0, -1, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0, -1, 1, 0, 0, 0, 0, -1, 0, 0],
        [0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0],
        [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
    ],
    float,
)
_I4 = np.eye(4)
_BELOW, _ABOVE = np.array([7, 2, 3]), np.array([5, 6, 1])  # elements (2, 1), (0, 2), (1, 0) of a matrix, and transposed


def skew(vector: ArrayLike) -> np.ndarray:
    """Cross-product matrix [v]x of `vector` (..., 3) -> (..., 3, 3), so that skew(a) @ b = a x b."""
    vector = np.asarray(vector, float)
    K = np.zeros(vector.shape + (3,))
    K[..., 2, 1], K[..., 0, 2], K[..., 1, 0] = vector[..., 0], vector[..., 1], vector[..., 2]
    K[..., 1, 2], K[..., 2, 0], K[..., 0, 1] = -vector[..., 0], -vector[..., 1], -vector[..., 2]
    return K


def matrix_from_rotvec(rotvec: ArrayLike) -> np.ndarray:
    """Exponential map: rotation vectors (..., 3) rad -> rotation matrices (..., 3, 3) (Rodrigues)."""
    rotvec = np.asarray(rotvec, float)
    angle = np.maximum(np.sqrt((rotvec * rotvec).sum(-1)), _NO_ANGLE)[..., None, None]
    K = skew(rotvec)
    return _I3 + np.sin(angle) / angle * K + 2.0 * (np.sin(0.5 * angle) / angle) ** 2 * (K @ K)


def quat_from_matrix(R: ArrayLike) -> np.ndarray:
    """Unit quaternions (..., 4) as (x, y, z, w) with w >= 0, from rotation matrices (..., 3, 3).

    Takes the largest of four equivalent forms (Shepperd 1978), so it is exact at every angle.
    """
    R = np.asarray(R, float)
    forms = (R.reshape(-1, 9) @ _OUTER_FROM_R).reshape(-1, 4, 4) + _I4  # each row is q times a number
    largest = forms.reshape(-1, 16)[:, ::5].argmax(-1)
    quat = forms[np.arange(len(forms)), largest].reshape(R.shape[:-2] + (4,))
    quat = quat / np.sqrt((quat * quat).sum(-1, keepdims=True))
    return np.where(quat[..., 3:] < 0, -quat, quat)


def matrix_from_quat(quat: ArrayLike) -> np.ndarray:
    """Rotation matrices (..., 3, 3) from quaternions (..., 4) as (x, y, z, w); any non-zero length.

    Raises HpeError when a quaternion is not finite or has zero length.
    """
    quat = np.asarray(quat, float)
    norm = np.linalg.norm(quat, axis=-1, keepdims=True)
    if not np.all(np.isfinite(norm)) or np.any(norm < 1e-12):
        raise HpeError(f"quaternion must be finite with non-zero length, got norm {norm.min()}")
    q = quat / norm
    vector, w = q[..., :3], q[..., 3][..., None, None]
    K = skew(vector)
    return _I3 + 2.0 * w * K + 2.0 * (K @ K)


def rotvec_from_matrix(R: ArrayLike) -> np.ndarray:
    """Logarithm: rotation matrices (..., 3, 3) -> rotation vectors (..., 3) rad with angle in [0, pi]."""
    R = np.asarray(R, float)
    flat = R.reshape(R.shape[:-2] + (9,))
    twice = flat[..., _BELOW] - flat[..., _ABOVE]
    cosine = 0.5 * (flat[..., ::4].sum(-1) - 1.0)
    if (cosine > _FAR_FROM_PI).all():  # sine and cosine are enough, and faster
        sine = 0.5 * np.sqrt((twice * twice).sum(-1))
        straight = sine < 1e-8
        scale = 0.5 * np.arctan2(sine, cosine) / np.where(straight, 1.0, sine)
        return np.where(straight, 0.5, scale)[..., None] * twice
    quat = quat_from_matrix(R)
    vector, w = quat[..., :3], quat[..., 3]
    sin_half = np.linalg.norm(vector, axis=-1)
    angle = 2.0 * np.arctan2(sin_half, w)
    scale = np.where(sin_half < 1e-8, 2.0, angle / np.where(sin_half < 1e-8, 1.0, sin_half))
    return scale[..., None] * vector


def geodesic_angle(R_a: ArrayLike, R_b: ArrayLike) -> np.ndarray:
    """Angle (...,) rad in [0, pi] between rotations (..., 3, 3): 2 asin(|Ra - Rb|_F / (2 sqrt 2)), stable near 0."""
    distance = np.linalg.norm(np.asarray(R_a, float) - np.asarray(R_b, float), axis=(-2, -1))
    return 2.0 * np.arcsin(np.clip(distance / (2.0 * np.sqrt(2.0)), 0.0, 1.0))


def project_to_rotation(M: ArrayLike, max_residual: float | None = None) -> np.ndarray:
    """Nearest rotation (..., 3, 3) to matrices M (..., 3, 3) in the Frobenius norm (SVD, det +1).

    Raises HpeError when M is not finite, or when |M - R|_F exceeds `max_residual` (half-precision outputs).
    """
    M = np.asarray(M, float)
    if not np.all(np.isfinite(M)):
        raise HpeError("matrix to project to a rotation is not finite")
    U, _, Vt = np.linalg.svd(M)
    sign = np.linalg.det(U @ Vt)
    U = np.concatenate([U[..., :, :2], U[..., :, 2:] * sign[..., None, None]], -1)
    R = U @ Vt
    if max_residual is not None:
        residual = np.max(np.linalg.norm(M - R, axis=(-2, -1)), initial=0.0)
        if residual > max_residual:
            raise HpeError(f"matrix is not a rotation: residual {residual:.3g}, allowed {max_residual:.3g}")
    return R


def matrix_from_sixd(sixd: ArrayLike) -> np.ndarray:
    """Rotation matrices (..., 3, 3) from six numbers (..., 6) = first two columns (Zhou et al., CVPR 2019).

    Gram-Schmidt in float64. Raises HpeError when the two columns are parallel or zero: never identity by default.
    """
    sixd = np.asarray(sixd, float)
    a, b = sixd[..., :3], sixd[..., 3:]
    norm_a = np.sqrt((a * a).sum(-1, keepdims=True))
    x = a / np.maximum(norm_a, 1e-6)
    y = b - (x * b).sum(-1, keepdims=True) * x
    norm_y = np.sqrt((y * y).sum(-1, keepdims=True))
    norms = norm_a + norm_y  # finite where both columns are
    if not ((norm_a >= 1e-6).all() and (norm_y >= 1e-6).all() and (norms < np.inf).all()):
        raise HpeError("six-number rotation is degenerate: its two columns are zero, parallel or not finite")
    R = np.empty(sixd.shape[:-1] + (3, 3))
    R[..., 0], R[..., 1] = x, y / norm_y
    R[..., 2] = (skew(x) @ R[..., 1, None])[..., 0]
    return R


def rotations_or_nan(sixd: np.ndarray) -> np.ndarray:
    """As matrix_from_sixd; NaN where the two columns are parallel, zero or not finite."""
    try:
        return matrix_from_sixd(sixd)
    except HpeError:  # rare: nothing is asked before
        if np.ndim(sixd) == 1:
            return np.full((3, 3), np.nan)
        return np.array([rotations_or_nan(row) for row in sixd])


def mean_rotation(R: ArrayLike, weights: ArrayLike | None = None) -> np.ndarray:
    """Chordal L2 mean (3, 3) of rotations (N, 3, 3) with weights (N,) (Hartley et al., IJCV 2013)."""
    R = np.asarray(R, float)
    weights = np.ones(len(R)) if weights is None else np.asarray(weights, float)
    return project_to_rotation((weights @ R.reshape(len(R), 9)).reshape(3, 3))


def rotation_between(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Minimal rotation (..., 3, 3) with R @ a = b for unit vectors a, b (..., 3).

    For opposite vectors the axis is not unique; a fixed perpendicular to `a` is taken.
    """
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    axis = (skew(a) @ b[..., None])[..., 0]
    one_plus_cosine = 0.5 * np.sum((a + b) ** 2, -1)  # keeps its digits where the vectors are nearly opposite
    opposite = one_plus_cosine < 1e-12
    K = skew(axis)
    scale = 1.0 / np.where(opposite, 1.0, one_plus_cosine)
    R = np.eye(3) + K + scale[..., None, None] * (K @ K)
    if np.any(opposite):
        helper = np.where(np.abs(a[..., :1]) < 0.9, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
        normal = np.cross(a, helper)
        normal = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
        half_turn = 2.0 * normal[..., :, None] * normal[..., None, :] - np.eye(3)
        R = np.where(opposite[..., None, None], half_turn, R)
    return R
