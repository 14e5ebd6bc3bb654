"""Landmarks before they meet the manifold: checks, weights of hidden ones, the normalisation of the original."""

import numpy as np

from hpe_core.errors import HpeError

# nose tip, outer eye corners (image left, image right) per number of landmarks
NOSE_AND_EYES = {68: (30, 36, 45), 468: (1, 33, 263), 478: (1, 33, 263)}
LEAST_SEEN = 4.0  # a rotation needs at least this many landmarks' worth of weight


def checked(points: np.ndarray, visible: np.ndarray | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, count, 3) and visibilities (N, count) in 0..1 as float64; visible None means all seen.

    Raises HpeError when the shapes are others. Values that are not finite are the caller's to reject.
    """
    points = np.asarray(points, float)
    if points.ndim != 3 or points.shape[1:] != (count, 3):
        raise HpeError(f"landmarks must be (N, {count}, 3) for this model, got {points.shape}")
    visible = np.ones(points.shape[:2]) if visible is None else np.asarray(visible, float)
    if visible.shape != points.shape[:2]:
        raise HpeError(f"visibility must be {points.shape[:2]} as the landmarks, got {visible.shape}")
    return points, np.clip(visible, 0.0, 1.0)


def isotropic(normalised: np.ndarray, width: float, height: float) -> np.ndarray:
    """Pixels (..., 3) of landmarks (..., 3) that a detector gives as fractions of the image, z in units of the width.

    Without it a landmark set from an image that is not square is stretched and its pose is wrong.
    """
    return np.asarray(normalised, float) * [width, height, width]


def original_normalised(points: np.ndarray) -> np.ndarray:
    """The paper's normalisation of points (N, M, 3): nose tip at 0, unit distance of the outer eye corners.

    Rows whose eye corners coincide become NaN. Raises HpeError when M is not a known topology.
    """
    points = np.asarray(points, float)
    if points.shape[-2] not in NOSE_AND_EYES:
        known = ", ".join(map(str, NOSE_AND_EYES))
        raise HpeError(f"nose and eye corners are known for {known} landmarks, got {points.shape[-2]}")
    nose, right, left = NOSE_AND_EYES[points.shape[-2]]
    distance = np.linalg.norm(points[..., right, :] - points[..., left, :], axis=-1)[..., None, None]
    with np.errstate(invalid="ignore"):
        return (points - points[..., nose, None, :]) / np.where(distance > 0, distance, np.nan)


def centred_and_scaled(points: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Points (N, M, 3) with weighted mean 0 and weighted root mean square radius 1: needs no particular landmark."""
    w = visible[..., None] / np.maximum(visible.sum(-1), 1e-9)[..., None, None]
    centred = points - (w * points).sum(-2, keepdims=True)
    radius = np.sqrt((w * centred**2).sum((-2, -1), keepdims=True))
    return centred / np.maximum(radius, 1e-12)
