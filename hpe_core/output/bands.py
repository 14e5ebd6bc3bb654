"""What lies within 95 %: of angles, and of a position."""

import numpy as np

from hpe_core.geometry import euler, so3
from hpe_core.types import HeadPose

# of a normal distribution within this many standard deviations: 95 % in one, two and three dimensions
STD_95, STD_95_2D, STD_95_3D = 1.96, 2.448, 2.795


def angle_bands_deg(pose: HeadPose) -> np.ndarray:
    """(3, 3) degrees: of yaw, pitch and roll (AFLW2000) the angle, and the ends of its 95 % interval; NaN where that is
    unknown or wider than the circle."""
    angles = pose.euler_aflw2000.stacked()
    reach = np.full(3, np.nan)
    if pose.covariance is not None:
        reach = STD_95 * euler.aflw2000.std_deg(pose.R_camera_head, pose.covariance[3:, 3:]).stacked()
    reach = np.where(reach < 180.0, reach, np.nan)
    return np.stack([angles, angles - reach, angles + reach], 1)


def ellipsoid_95(covariance_m2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half axes (3,) m and quaternion (4,) x, y, z, w of the ellipsoid that holds 95 % of a normal
    distribution of covariance (3, 3) m^2."""
    variances, axes = np.linalg.eigh(covariance_m2)
    axes = axes * np.sign(np.linalg.det(axes))  # right-handed
    return STD_95_3D * np.sqrt(np.maximum(variances, 0.0)), so3.quat_from_matrix(axes)


def tip_region_95(R_camera_head: np.ndarray, arm_head_m: np.ndarray, covariance_rad2: np.ndarray, n: int) -> np.ndarray:
    """Outline (n, 3) m in the camera's axes, from the head's origin, of where the end of an arm (3,) of the head lies
    with 95 % when the rotation has covariance (3, 3) rad^2 about the camera's axes: to first order, on a sphere.
    """
    arm = R_camera_head @ arm_head_m
    J = -so3.skew(arm)
    variances, axes = np.linalg.eigh(J @ covariance_rad2 @ J.T)  # nothing along the arm, which comes first
    spans = STD_95_2D * np.sqrt(np.maximum(variances[1:], 0.0)) * axes[:, 1:]
    turns = np.linspace(0.0, 2.0 * np.pi, n, endpoint=False)
    ends = arm + np.stack([np.cos(turns), np.sin(turns)], 1) @ spans.T
    return ends * (np.linalg.norm(arm) / np.linalg.norm(ends, axis=1, keepdims=True))
