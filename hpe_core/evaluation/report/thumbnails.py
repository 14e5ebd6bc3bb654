"""Pictures of single frames with the estimated and the true head drawn in, as JPEG data for a page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import box_from_pose
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG, CameraChoice
from hpe_core.io.sources.bag import BagSource

SIDE_PX, QUALITY, AXIS_M = 240, 80, 0.09
AXES_HEAD = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # x, y, z of the REP-155 face frame
ESTIMATE_BGR = ((60, 60, 255), (80, 220, 80), (255, 140, 60))
TRUE_BGR = ((255, 255, 255),) * 3
Pose = tuple[np.ndarray, np.ndarray]  # R (3, 3), t_m (3,) in the camera frame


def thumbnails(
    bag_path: str | Path,
    wanted: Mapping[int, Sequence[tuple[Pose, bool]]],
    topic: str | None = None,
    camera: CameraModel | None = None,
    hfov_deg: float | None = None,
) -> dict[int, str]:
    """dict stamp -> JPEG data URL. wanted: dict stamp_ns -> list of poses ((R, t_m), is_truth) to draw.

    Empty when the bag has no images; a frame that cannot be decoded is left out.
    """
    if not wanted:
        return {}
    cameras = CameraChoice(camera, DEFAULT_HFOV_DEG if hfov_deg is None else hfov_deg)
    out = {}
    try:
        with BagSource(bag_path, topic) as source:
            for frame in source:
                if frame.stamp_ns in wanted and frame.image_bgr is not None:
                    out[frame.stamp_ns] = _picture(frame.image_bgr, cameras.of(frame), wanted[frame.stamp_ns])
                    if len(out) == len(wanted):
                        break
    except HpeError:  # no images in this bag
        return {}
    return out


def _picture(image_bgr: np.ndarray, camera: CameraModel, poses: Sequence[tuple[Pose, bool]]) -> str:
    """Data URL of the part of the image around the poses, with their axes."""
    canvas = image_bgr.copy()
    boxes = []
    for (R, t_m), is_truth in sorted(poses, key=lambda pose: not pose[1]):
        if t_m[2] < 0.05:
            continue
        boxes.append(box_from_pose(camera, R, t_m))
        colours, thick = (TRUE_BGR, 1) if is_truth else (ESTIMATE_BGR, 2)
        unit = max(1, round(thick * np.ptp(boxes[-1][[0, 2]]) / 120.0))
        ends = camera.project(np.concatenate([t_m[None], t_m + AXIS_M * AXES_HEAD @ R.T]))
        ends = np.clip(np.round(ends), -1e4, 1e4).astype(int).tolist()
        for end, colour in zip(ends[1:], colours, strict=True):
            cv2.arrowedLine(canvas, ends[0], end, colour, unit, cv2.LINE_AA, tipLength=0.15)
    return data_url(around(canvas, np.array(boxes)) if boxes else canvas)


def data_url(crop: np.ndarray) -> str:
    """An image (H, W, 3) uint8, SIDE_PX large, as the URL of a JPEG."""
    scale = SIDE_PX / max(crop.shape[:2])
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    _, jpeg = cv2.imencode(
        ".jpg", cv2.resize(crop, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()


def around(canvas: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The square around boxes (N, 4) with a margin, as far as it lies in the image; all of it when that is nothing."""
    height, width = canvas.shape[:2]
    centre = 0.5 * (boxes[:, :2].min(0) + boxes[:, 2:].max(0))
    half = min(0.9 * np.max(boxes[:, 2:].max(0) - boxes[:, :2].min(0)), float(max(width, height)))
    x0, y0 = np.clip(centre - half, 0, [width, height]).astype(int)
    x1, y1 = np.clip(centre + half, 0, [width, height]).astype(int)
    return canvas[y0:y1, x0:x1] if x1 - x0 > 8 and y1 - y0 > 8 else canvas
