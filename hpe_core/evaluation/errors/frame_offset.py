"""The constant pose of the estimated head frame in the true one (a marker on the head, another dataset's frame)."""

from dataclasses import dataclass

import numpy as np

from hpe_core.geometry import so3

ROUNDS = 10
MIN_POSES = 10


@dataclass(frozen=True, eq=False)
class FrameOffset:
    """Estimated head = true head turned by R (3, 3) and moved by t_m (3,), both in the true head's frame; fitted on
    `poses` poses."""

    R: np.ndarray
    t_m: np.ndarray
    poses: int

    @property
    def angle_deg(self) -> float:
        """Size of the rotation."""
        return float(np.degrees(so3.geodesic_angle(self.R, np.eye(3))))

    def applied(self, R_true: np.ndarray, t_true_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """True poses (N, 3, 3), (N, 3) carried over to the estimate's head frame."""
        return R_true @ self.R, t_true_m + R_true @ self.t_m


def fit(R: np.ndarray, t_m: np.ndarray, R_true: np.ndarray, t_true_m: np.ndarray) -> FrameOffset | None:
    """FrameOffset of estimated poses (N, 3, 3), (N, 3) over true ones, or None for fewer than MIN_POSES.

    Rotation: L1 mean (Weiszfeld weights; Hartley et al., CVPR 2011), so that outliers do not count; position: median.
    """
    if len(R) < MIN_POSES:
        return None
    relative = np.swapaxes(R_true, -1, -2) @ R
    mean = so3.mean_rotation(relative)
    for _ in range(ROUNDS):
        mean = so3.mean_rotation(relative, 1.0 / np.maximum(so3.geodesic_angle(relative, mean), 1e-3))
    shift = (np.swapaxes(R_true, -1, -2) @ (t_m - t_true_m)[..., None])[..., 0]
    return FrameOffset(mean, np.median(shift, 0), len(R))
