"""Estimated poses beside the true ones: all that bags, images and data sets hand over to be measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpe_core.geometry import euler
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, pixels_per_metre


@dataclass(frozen=True, eq=False, kw_only=True)
class Heads:
    """K ground-truth heads, in time order."""

    R: np.ndarray  # (K, 3, 3) R_camera_head, or R_local of labels that are fits of a face crop
    t_m: np.ndarray  # (K, 3) metres in the camera frame, NaN where unknown
    size_px: np.ndarray  # (K,) of the face, NaN where unknown
    time_s: np.ndarray  # (K,) since the first frame

    def __len__(self) -> int:
        return len(self.R)

    @property
    def range_m(self) -> np.ndarray:
        """Distances (K,) from the camera in metres."""
        return np.linalg.norm(self.t_m, axis=-1)

    @property
    def angles_deg(self) -> np.ndarray:
        """Yaw, pitch, roll (K, 3) in the AFLW2000 convention."""
        return aflw2000_angles_deg(self.R)

    @property
    def facing_deg(self) -> np.ndarray:
        """Pan, tilt, roll (K, 3)."""
        return facing_angles_deg(self.R)


@dataclass(frozen=True, eq=False, kw_only=True)
class PosePairs:
    """P estimated poses, each with the ground-truth head that it belongs to."""

    R: np.ndarray  # (P, 3, 3) in the frame of `true`
    t_m: np.ndarray  # (P, 3) metres, NaN where unknown
    true: Heads
    covariance: np.ndarray | None = None  # (P, 6, 6) as in HeadPose, NaN where unknown

    def __len__(self) -> int:
        return len(self.R)

    @property
    def t_error_m(self) -> np.ndarray:
        """Estimated less true position (P, 3) in metres, camera frame."""
        return self.t_m - self.true.t_m


def face_size_px(camera: CameraModel | None, R: np.ndarray, t_m: np.ndarray) -> np.ndarray:
    """Size (N,) in pixels of the reference length on heads (N, 3, 3), (N, 3); NaN without a camera or behind it."""
    centre = R @ FACE_CENTRE_M + t_m
    size = np.full(len(centre), np.nan)
    front = centre[:, 2] > 0.01
    if camera is not None and front.any():
        size[front] = REFERENCE_LENGTH_M * pixels_per_metre(camera, centre[front])
    return size


def aflw2000_angles_deg(R: np.ndarray) -> np.ndarray:
    """Yaw, pitch, roll (N, 3) in the AFLW2000 convention."""
    return euler.aflw2000.from_matrix(R).stacked()


def facing_angles_deg(R: np.ndarray) -> np.ndarray:
    """Pan, tilt, roll (N, 3) of rotations (N, 3, 3)."""
    return euler.pan_tilt.from_matrix(R).stacked()
