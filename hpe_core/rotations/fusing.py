"""One rotation of two estimates, by their covariances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpe_core.candidates import Candidates
from hpe_core.geometry import so3


class FusedRotation:
    """A RotationSource: of the crop network and the whole-image network, whose errors have this correlation."""

    def __init__(self, correlation: float):
        self._correlation = correlation

    def rotated(self, seen: Candidates, upside_down: np.ndarray, found: Candidates | None) -> Candidates:
        if found is None:
            return seen
        # the whole-image network takes all faces for upright; a crop may give no rotation
        upright = ~upside_down & np.isfinite(seen.R_local).all((1, 2))
        R, covariance = seen.R_local.copy(), seen.rotation_covariance.copy()
        R[upright], covariance[upright] = fuse_rotations(
            R[upright],
            covariance[upright],
            found.R_local[upright],
            found.rotation_covariance[upright],
            self._correlation,
        )
        return replace(seen, R_local=R, rotation_covariance=covariance)

    def take_counts(self) -> dict[str, int]:
        return {}


def fuse_rotations(
    R_a: np.ndarray, P_a: np.ndarray, R_b: np.ndarray, P_b: np.ndarray, correlation: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (N, 3, 3) of least error between two estimates, and its covariance.

    correlation in [0, 1): of their errors; both networks learnt from the same labels. With the cross covariance
    C = correlation * P_a^1/2 P_b^1/2, R_a weighs W = (P_b - C') (P_a + P_b - C - C')^-1 (Bar-Shalom and Campo, IEEE
    Trans. AES 1986), and the covariance is that of W e_a + (1 - W) e_b.
    """
    cross = correlation * symmetric_root(P_a) @ symmetric_root(P_b)
    crossed = cross.swapaxes(-1, -2)
    W = (P_b - crossed) @ np.linalg.inv(P_a + P_b - cross - crossed)
    V = np.eye(3) - W
    between = so3.rotvec_from_matrix(R_a @ R_b.swapaxes(-1, -2))
    R = so3.matrix_from_rotvec((W @ between[..., None])[..., 0]) @ R_b
    mixed = W @ cross @ V.swapaxes(-1, -2)
    P = W @ P_a @ W.swapaxes(-1, -2) + V @ P_b @ V.swapaxes(-1, -2) + mixed + mixed.swapaxes(-1, -2)
    return R, P


def symmetric_root(P: np.ndarray) -> np.ndarray:
    """Symmetric square roots (..., 3, 3) of covariances (..., 3, 3)."""
    values, vectors = np.linalg.eigh(P)
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ vectors.swapaxes(-1, -2)
