"""Probability that the gaze falls on a target, given the covariance of the pose.

Model: the gaze's offset from the middle of the target is a plane vector (arc and across, see geometry.gaze), normally
distributed around (angle, 0) with covariance J C J^T. Looking means that the offset lies in a disc. The plane stands
in for the sphere of directions, which is good to a percent for spreads up to 12 degrees (a test compares with Monte
Carlo on rotations); wider spreads are `uncertain` and never decided on.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from hpe_core.attention.targets import PlacedTarget
from hpe_core.geometry import gaze
from hpe_core.types import HeadPose

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_SPAN_SIGMA = 7.0
_MIN_STD_RAD = 1e-6
_MIN_DISTANCE_M = 1e-6


@dataclass(frozen=True, eq=False)
class GazeOffset:
    """Gaze against the middle of a target; covariance: (2, 2) rad^2 of the offset; radius_rad: of the target itself."""

    angle_rad: float
    covariance: np.ndarray
    radius_rad: float

    @property
    def std_deg(self) -> float:
        """Standard deviation of the offset in its worst direction, degrees."""
        return float(np.degrees(np.sqrt(np.linalg.eigvalsh(self.covariance)[-1])))


def gaze_offset(pose: HeadPose, target: PlacedTarget) -> GazeOffset:
    """Of a pose with covariance from a target with a place.

    The angular radius is that of the ball's rim, asin(radius / distance); a head inside the ball looks at it anyway.
    """
    R, t, point = pose.R_camera_head, pose.t_camera_head_m, target.point_camera_m
    assert point is not None and pose.covariance is not None
    distance = np.linalg.norm(point - t)
    if distance <= max(target.radius_m, _MIN_DISTANCE_M):
        return GazeOffset(0.0, np.zeros((2, 2)), np.pi)
    J = gaze.angle_jacobian(R, t, point)
    angle = float(np.radians(gaze.angle_to_target_deg(R, t, point)))
    return GazeOffset(angle, J @ pose.covariance @ J.T, float(np.arcsin(target.radius_m / distance)))


def probability_within(offset: GazeOffset, cone_rad: float) -> float:
    """Probability in [0, 1] that the true gaze is closer than cone_rad to the rim of the target."""
    return disc_probability(offset.angle_rad, offset.covariance, offset.radius_rad + cone_rad)


def disc_probability(distance: float, covariance: np.ndarray, radius: float) -> float:
    """P(|e| <= radius) for e ~ N((distance, 0), covariance (2, 2)).

    In the principal axes the inner integral is a difference of normal distribution functions; the outer one, over the
    narrower axis, is Gauss-Legendre in the angle on the circle (x = radius sin a), which has no singular ends.
    """
    variance, axes = np.linalg.eigh(covariance)
    std = np.sqrt(np.maximum(variance, _MIN_STD_RAD**2))
    mean = axes[0] * distance  # (distance, 0) in the principal axes
    low, high = np.clip([mean[0] - _SPAN_SIGMA * std[0], mean[0] + _SPAN_SIGMA * std[0]], -radius, radius)
    if radius <= 0.0 or low >= high:
        return 0.0
    ends = np.arcsin(np.array([low, high]) / radius)
    half = 0.5 * (ends[1] - ends[0])
    a = 0.5 * (ends[0] + ends[1]) + half * _NODES  # (48,)
    x, chord = radius * np.sin(a), radius * np.cos(a)
    inner = ndtr((chord - mean[1]) / std[1]) - ndtr((-chord - mean[1]) / std[1])
    density = np.exp(-0.5 * ((x - mean[0]) / std[0]) ** 2) / (std[0] * np.sqrt(2.0 * np.pi))
    return float(np.clip(half * np.sum(_WEIGHTS * density * inner * chord), 0.0, 1.0))
