"""Which hidden face another one may be: bounds in metres and degrees.

By its filter alone a head that has not been seen for a second may be more than a metre away, and somebody who comes
then would be taken for somebody who left. People who come back do so near their way, at their distance, turned much as
they were, and not after they walked out of the image. Only a head that was turning away may come round from behind.
"""

from __future__ import annotations

import numpy as np

from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.gaze import GAZE_HEAD

# all but a few in a hundred who come back within a second lie within; measured on simulated ways of people who walk,
# stop and turn round, and on photographed faces that cover each other
REACH_M, REACH_MPS = 0.1, 0.3  # across the line of sight, from the way between the last place and the expected one
RANGE_REL, RANGE_REL_PER_S = 0.15, 0.2  # along it, relative, from the last place
TURNED_RAD, TURNED_RADPS = np.radians(45.0), np.radians(60.0)  # from the last rotation
ASIDE_COSINE = 0.5  # to the camera: a head that points farther aside than this, then and now, may have turned round


def may_return(
    R: np.ndarray,
    t_m: np.ndarray,
    R_last: np.ndarray,
    t_last_m: np.ndarray,
    t_expected_m: np.ndarray,
    hidden_s: np.ndarray,
    camera: CameraModel | None = None,
) -> np.ndarray:
    """Mask (N, M): which of N faces, rotations (N, 3, 3) and positions (N, 3) m in the camera frame, may be which of M
    hidden ones, seen last at R_last, t_last_m and expected at t_expected_m after hidden_s (M,) seconds.

    camera: its image, which those have left who are expected beyond its border; None: nobody has.
    """
    range_m, last_m = np.linalg.norm(t_m, axis=-1)[:, None], np.linalg.norm(t_last_m, axis=-1)
    rays, last = t_m / range_m, t_last_m / last_m[:, None]
    way = t_expected_m / np.linalg.norm(t_expected_m, axis=-1, keepdims=True) - last
    off = rays[:, None] - last
    share = np.sum(off * way, -1) / np.maximum(np.sum(way * way, -1), 1e-12)
    across_m = last_m * np.linalg.norm(off - np.clip(share, 0.0, 1.0)[..., None] * way, axis=-1)
    turned_rad = so3.geodesic_angle(R[:, None], R_last)
    round_behind = (_to_camera(R, rays) < ASIDE_COSINE)[:, None] & (_to_camera(R_last, last) < ASIDE_COSINE)
    inside = camera is None or camera.in_range(t_expected_m) & camera.on_image(camera.project(t_expected_m))
    return (
        (across_m < REACH_M + REACH_MPS * hidden_s)
        & (np.abs(np.log(range_m / last_m)) < RANGE_REL + RANGE_REL_PER_S * hidden_s)
        & (round_behind | (turned_rad < TURNED_RAD + TURNED_RADPS * hidden_s))
        & inside
    )


def _to_camera(R: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Cosines (N,) between where heads of rotations (N, 3, 3) on rays (N, 3) point and the way to the camera."""
    return -np.sum((R @ GAZE_HEAD) * rays, -1)
