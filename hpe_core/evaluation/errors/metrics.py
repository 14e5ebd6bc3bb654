"""Errors of N estimated against N true poses, one number per pose. Pure functions, batch first."""

import numpy as np

from hpe_core.geometry import euler, so3
from hpe_core.geometry.head import REFERENCE_POINTS_M


def geodesic_deg(R, R_true):
    """Angle (N,) in degrees between rotations (N, 3, 3)."""
    return np.degrees(so3.geodesic_angle(R, R_true))


def euler_error_deg(R, R_true):
    """Signed errors (N, 3) of yaw, pitch, roll (AFLW2000 convention), wrapped to [-180, 180), never folded."""
    a, b = euler.aflw2000.from_matrix(R), euler.aflw2000.from_matrix(R_true)
    difference = np.stack([a.yaw - b.yaw, a.pitch - b.pitch, a.roll - b.roll], -1)
    return (difference + 180.0) % 360.0 - 180.0


def maev_deg(R, R_true):
    """Mean angle (N,) in degrees between the three columns of R and of R_true (Cao et al., WACV 2021)."""
    cosine = np.sum(np.asarray(R, float) * R_true, axis=-2)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).mean(-1)


def depth_error_m(t_m, t_true_m):
    """Signed error (N,) along the true line of sight; positive: too far."""
    range_m = np.linalg.norm(t_true_m, axis=-1)
    return np.sum((t_m - t_true_m) * t_true_m, -1) / np.where(range_m > 0, range_m, 1.0)


def add_m(R, t_m, R_true, t_true_m):
    """ADD (N,): mean distance in metres between the reference points of both heads (Hinterstoisser, ACCV 2012)."""
    arms = (R - R_true) @ REFERENCE_POINTS_M.T  # (N, 3, P)
    return np.linalg.norm(arms + (t_m - t_true_m)[..., None], axis=-2).mean(-1)


def pose_error_vector(R, t_m, R_true, t_true_m):
    """Errors (N, 6): true minus estimated position, and rotation vector of R_true R', as HeadPose.covariance."""
    turn = so3.rotvec_from_matrix(R_true @ np.swapaxes(R, -1, -2))
    return np.concatenate([t_true_m - t_m, turn], -1)


def summary(values):
    """dict mean, median, p95, max, rmse of numbers (N,); all None when there is none."""
    values = np.asarray(values, float)
    if len(values) == 0:
        return dict.fromkeys(("mean", "median", "p95", "max", "rmse"))
    return {
        "mean": float(np.mean(values)),
        "median": float(np.median(values)),
        "p95": float(np.percentile(values, 95)),
        "max": float(np.max(values)),
        "rmse": float(np.sqrt(np.mean(values**2))),
    }
