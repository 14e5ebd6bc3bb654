"""Poses of heads in the fixed frame, and how far apart they are."""

from dataclasses import dataclass

import numpy as np

from hpe_core.geometry import so3
from hpe_core.types import HeadPose

# heads err by more than their covariance now and then: half hidden faces, profiles
SLACK = np.diag([0.03**2] * 3 + [0.15**2] * 3)  # m^2, rad^2


@dataclass(frozen=True, eq=False)
class FixedPose:
    """Head frame seen from the fixed frame: v_fixed = R_fixed_head (3, 3) @ v_head + t_fixed_head_m (3,).

    covariance: (6, 6) m^2, rad^2 about the axes of the fixed frame, where the true rotation is exp(error) @ R.
    """

    R_fixed_head: np.ndarray
    t_fixed_head_m: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True, eq=False)
class CameraPlace:
    """Camera optical frame seen from the fixed frame: R_fixed_camera (3, 3), t_fixed_camera_m (3,)."""

    R_fixed_camera: np.ndarray
    t_fixed_camera_m: np.ndarray


def in_fixed_frame(pose: HeadPose, place: CameraPlace, std_m: float = 0.0, std_rad: float = 0.0) -> FixedPose:
    """A head of a camera, with covariance, in the fixed frame; std_m, std_rad: of the camera's own place and turn."""
    assert pose.covariance is not None
    R = place.R_fixed_camera
    turn = np.kron(np.eye(2), R)
    arm_m = R @ pose.t_camera_head_m
    J = -so3.skew(arm_m)  # a turn e of the camera moves the head by e x arm
    covariance = turn @ pose.covariance @ turn.T
    covariance[:3, :3] += std_m**2 * np.eye(3)
    covariance += std_rad**2 * np.block([[J @ J.T, J], [J.T, np.eye(3)]])
    return FixedPose(R @ pose.R_camera_head, arm_m + place.t_fixed_camera_m, covariance)


def apart(a: FixedPose, b: FixedPose) -> np.ndarray:
    """(6,) what must be added to b to get a: metres, then the rotation vector of R_a @ R_b^T."""
    turn = so3.rotvec_from_matrix(a.R_fixed_head @ b.R_fixed_head.T)
    return np.concatenate([a.t_fixed_head_m - b.t_fixed_head_m, turn])


def distance2(a: FixedPose, b: FixedPose) -> tuple[float, float]:
    """(squared Mahalanobis distance of two heads, ln of the determinant of the covariance behind it)."""
    S = a.covariance + b.covariance + SLACK
    e = apart(a, b)
    return float(e @ np.linalg.solve(S, e)), float(np.linalg.slogdet(S)[1])
