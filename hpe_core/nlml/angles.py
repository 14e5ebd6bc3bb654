"""Yaw, pitch, roll of the tensor's grid, in radians, by named order; limits and what a small change of them turns.

The signs are AFLW2000's (yaw > 0: face to the image's left, pitch > 0: up, roll > 0: clockwise in the image). Each
order is a product of three coordinate turns. `yaw_first` turns like a neck and is regular at a yaw of 90 degrees, where
the order of AFLW2000 cannot tell pitch from roll; its singular points are pitches of +-90 degrees.
"""

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.euler import axis_turn

# per order: (axis, sign, which of yaw, pitch, roll) of the three turns, first factor of the product first
ORDERS = {
    "yaw_first": ((1, 1.0, 0), (0, -1.0, 1), (2, 1.0, 2)),  # Ry(yaw) Rx(-pitch) Rz(roll)
    "aflw2000": ((0, -1.0, 1), (1, 1.0, 0), (2, 1.0, 2)),  # Rx(-pitch) Ry(yaw) Rz(roll)
}


def check_order(order: str) -> str:
    """The order. Raises HpeError for an unknown order."""
    if order not in ORDERS:
        raise HpeError(f"angle order '{order}' is unknown, known: {', '.join(ORDERS)}")
    return order


def matrix_from_angles(angles_rad: np.ndarray, order: str) -> np.ndarray:
    """Rotations (..., 3, 3) from (..., 3) yaw, pitch, roll in radians."""
    angles = np.asarray(angles_rad, float)
    A, B, C = (axis_turn(axis, sign * angles[..., which]) for axis, sign, which in ORDERS[order])
    return A @ B @ C


def angles_from_matrix(R: np.ndarray, order: str) -> np.ndarray:
    """Yaw, pitch, roll (..., 3) in radians of rotations (..., 3, 3); the middle turn lies in [-pi/2, pi/2]."""
    R = np.asarray(R, float)
    (i, sign_i, first), (j, sign_j, second), (k, sign_k, third) = ORDERS[order]
    parity = 1.0 if (j - i) % 3 == 1 else -1.0  # R = T_i(a) T_j(b) T_k(c) with i, j, k all different
    angles = np.empty(R.shape[:-2] + (3,))
    angles[..., second] = sign_j * np.arcsin(np.clip(parity * R[..., i, k], -1.0, 1.0))
    locked = np.abs(R[..., i, k]) > 1.0 - 1e-12
    free = np.arctan2(-parity * R[..., j, k], R[..., k, k])
    angles[..., first] = sign_i * np.where(locked, np.arctan2(parity * R[..., k, j], R[..., j, j]), free)
    angles[..., third] = sign_k * np.where(locked, 0.0, np.arctan2(-parity * R[..., i, j], R[..., i, i]))
    return angles


def tangent_from_angles(angles_rad: np.ndarray, order: str) -> np.ndarray:
    """T (..., 3, 3): a small change d of yaw, pitch, roll turns the head by the rotation vector T d, left of R."""
    angles = np.asarray(angles_rad, float)
    T = np.empty(angles.shape + (3,))
    before = np.broadcast_to(np.eye(3), T.shape)
    for axis, sign, which in ORDERS[order]:
        T[..., :, which] = sign * before[..., :, axis]
        before = before @ axis_turn(axis, sign * angles[..., which])
    return T


def excess_deg(angles_rad: np.ndarray, limits_deg: np.ndarray) -> np.ndarray:
    """How far (...,) the worst of yaw, pitch, roll (..., 3) rad lies beyond limits (3, 2) degrees; <= 0 inside."""
    degrees = np.degrees(angles_rad)
    limits = np.asarray(limits_deg, float)
    return np.maximum(limits[:, 0] - degrees, degrees - limits[:, 1]).max(-1)
