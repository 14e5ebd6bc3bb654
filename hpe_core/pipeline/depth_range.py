"""How far faces are by a depth image, relative to how far their size says they are.

A head of twice the size at twice the distance looks the same: everything about it, seen from the camera, is twice as
far. So each point of the mean face, laid into the size-based pose, gives one ratio of measured to expected depth, and
the sellion of the true head is the size-based one times that ratio, whatever the surface between them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpe_core.geometry.face_surface import FACE_NORMALS, FACE_SURFACE_M
from hpe_core.pixels.depth import DepthImage
from hpe_core.types import Face, RangeReading

RATIOS = 0.65, 1.5  # others are no head where a face of this size is: background, a hand, a picture of a face
FACING_COS = 0.5  # of the angle between the face's normal and the line of sight: the border has mixed pixels
FLOOR_M = 0.004  # how much faces differ from the mean one, 1 sigma per point
MIN_POINTS, MIN_SHARE = 12, 0.3  # of the points that face the camera must agree
MAX_SPREAD = 0.06  # of the ratios, 1 sigma: more is no face
CELL_PX = 5  # errors of stereo are alike within about such a window of the image
TUKEY_SIGMAS, ROUNDS = 4.685, 5
# what all points share, so that no number of them takes it away
SURFACE_STD_M = 0.004  # a face lies so much before or behind the mean one, its sellion being where it is
CAMERA_REL_STD = 0.01  # calibration of depth cameras


def with_depth(faces: Sequence[Face], depth: DepthImage) -> tuple[list[Face], dict[str, int]]:
    """The faces with the RangeReading of each that has one, and how many have (`depth.measured`) and have not.

    Their poses are the size-based ones in the frame that the DepthImage is registered to.
    """
    readings = range_readings(faces, depth)
    measured = sum(reading is not None for reading in readings)
    counts = {"depth.measured": measured, "depth.unusable": len(readings) - measured}
    return [replace(face, reading=reading) for face, reading in zip(faces, readings, strict=True)], counts


def range_readings(faces: Sequence[Face], depth: DepthImage) -> list[RangeReading | None]:
    """RangeReading of each face, None where too little of the face has a depth that makes sense."""
    if not len(faces):
        return []
    R = np.array([face.pose.R_camera_head for face in faces])
    t = np.array([face.pose.t_camera_head_m for face in faces])
    points = FACE_SURFACE_M @ np.swapaxes(R, -1, -2) + t[:, None]  # (N, K, 3)
    normals = FACE_NORMALS @ np.swapaxes(R, -1, -2)
    facing = -np.sum(normals * points, -1) > FACING_COS * np.linalg.norm(points, axis=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a face without any depth is NaN all through
        ratios, cells = _ratios(points, facing, depth)
        ratio, spread, weight = robust_mean(ratios, FLOOR_M / points[..., 2].mean(-1))
    readings: list[RangeReading | None] = []
    for i in range(len(faces)):
        agreeing = weight[i] > 0
        enough = max(MIN_POINTS, MIN_SHARE * np.sum(facing[i]))
        if np.sum(agreeing) < enough or not spread[i] < MAX_SPREAD:
            readings.append(None)
            continue
        independent = len(np.unique(cells[i, agreeing], axis=0))
        own = SURFACE_STD_M / np.linalg.norm(t[i])
        readings.append(RangeReading(ratio[i], spread[i] / np.sqrt(independent), np.hypot(own, CAMERA_REL_STD)))
    return readings


def _ratios(points: np.ndarray, facing: np.ndarray, depth: DepthImage) -> tuple[np.ndarray, np.ndarray]:
    """Measured by expected depth (N, K) of points (N, K, 3), NaN where there is none, and the cells (N, K, 2) of the
    depth image that they lie in.

    A depth camera beside the other one sees a point that is farther off elsewhere, so it is looked up again there.
    """
    apart = bool(np.any(depth.t_depth_camera_m))
    seen = points @ depth.R_depth_camera.T
    common, pixels = np.ones((len(points), 1)), np.empty(0)
    ratios = np.empty(0)
    for _ in range(3 if apart else 1):
        places = common[..., None] * seen + depth.t_depth_camera_m
        pixels = depth.camera.project(np.where(facing[..., None], places, [0.0, 0.0, 1.0]))
        usable = facing & depth.camera.in_range(places)
        ratios = np.where(usable, (depth.metres_at(pixels) - depth.t_depth_camera_m[2]) / seen[..., 2], np.nan)
        ratios[~((ratios > RATIOS[0]) & (ratios < RATIOS[1]))] = np.nan
        middle = np.nanmedian(ratios, -1, keepdims=True)
        common = np.where(np.isfinite(middle), middle, common)
    return ratios, np.floor_divide(pixels, CELL_PX)


def robust_mean(values: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tukey's M-estimate (N,) of each row of values (N, K), its spread (N,), 1 sigma, and the weights (N, K).

    NaN counts as missing. floor (N,): spread that is to be expected anyway. A row without values gives NaN.
    """
    centre = np.nanmedian(values, -1)
    spread = np.maximum(1.4826 * np.nanmedian(np.abs(values - centre[:, None]), -1), floor)
    weight = np.zeros(values.shape)
    for _ in range(ROUNDS):
        u = np.nan_to_num((values - centre[:, None]) / (TUKEY_SIGMAS * spread[:, None]), nan=1.0)
        weight = np.maximum(1.0 - u**2, 0.0) ** 2
        centre = np.nansum(weight * values, -1) / np.sum(weight, -1)
    return centre, spread, weight
