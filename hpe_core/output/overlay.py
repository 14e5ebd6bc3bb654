"""Pictures of the result: box, axes and numbers drawn on the images."""

from collections.abc import Sequence

import cv2
import numpy as np

from hpe_core.face_id import FaceId
from hpe_core.geometry.camera import CameraModel
from hpe_core.types import Face

MAX_SIDE_PX = 1280
AXIS_LENGTH_M = 0.10
# REP-155 face frame: x out of the face red, y to the subject's left green, z to the scalp blue; BGR
_HEAD_AXES = (
    (np.array([0.0, 0.0, -1.0]), (60, 60, 255)),
    (np.array([1.0, 0.0, 0.0]), (80, 220, 80)),
    (np.array([0.0, -1.0, 0.0]), (255, 140, 60)),
)
_NO_ID_RGB = (255, 255, 255)


def draw(
    image_bgr: np.ndarray, camera: CameraModel, faces: Sequence[Face], max_side_px: int = MAX_SIDE_PX
) -> np.ndarray:
    """A copy of the image (H, W, 3) with the faces drawn, reduced so that no side exceeds `max_side_px`."""
    height, width = image_bgr.shape[:2]
    scale = min(1.0, max_side_px / max(height, width))
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        canvas = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
        camera = camera.resized(*size)
    else:
        canvas = image_bgr.copy()
    unit = max(0.35, max(canvas.shape[:2]) / 1280.0)
    for face in sorted(faces, key=lambda face: -np.linalg.norm(face.pose.t_camera_head_m)):
        box_px = (np.asarray(face.box_px) + 0.5) * scale - 0.5
        _draw_face(canvas, camera, face, box_px, unit)
    return canvas


def _draw_face(canvas: np.ndarray, camera: CameraModel, face: Face, box_px: np.ndarray, unit: float) -> None:
    colour = (FaceId(face.face_id).colour_rgb if face.face_id else _NO_ID_RGB)[::-1]
    thick = max(1, round(2 * unit))
    limit = 4.0 * max(canvas.shape[:2])  # a face at the edge may reach far outside
    x0, y0, x1, y1 = (int(v) for v in np.clip(np.round(box_px), -limit, limit))
    cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, thick, cv2.LINE_AA)
    points_camera_m = face.landmarks_camera_m
    if face.landmarks is not None and points_camera_m is not None:
        _draw_landmarks(canvas, camera.project(points_camera_m), face.landmarks.visible, limit, thick)
    origin = face.pose.t_camera_head_m
    for axis, axis_colour in _HEAD_AXES:
        ends = np.stack([origin, origin + AXIS_LENGTH_M * face.pose.R_camera_head @ axis])
        if ends[:, 2].min() <= 0.01:
            continue
        start, end = np.clip(np.round(camera.project(ends)), -limit, limit).astype(int).tolist()
        cv2.arrowedLine(canvas, start, end, axis_colour, thick + 1, cv2.LINE_AA, tipLength=0.15)
    angles = face.pose.euler_aflw2000
    lines = (
        f"{face.face_id or 'face'}  {np.linalg.norm(origin):.2f} m",
        f"yaw {angles.yaw:+.0f}  pitch {angles.pitch:+.0f}  roll {angles.roll:+.0f}",
    )
    _draw_label(canvas, lines, x0, y0, y1, colour, unit)


def _draw_landmarks(canvas: np.ndarray, points_px: np.ndarray, visible: np.ndarray, limit: float, radius: int) -> None:
    """Dots (68, 2) px: white where the network sees the point, grey where it is hidden."""
    for point, seen in zip(
        np.clip(np.round(points_px), -limit, limit).astype(int).tolist(), visible > 0.5, strict=True
    ):
        cv2.circle(canvas, point, radius, (255, 255, 255) if seen else (130, 130, 130), cv2.FILLED, cv2.LINE_AA)


def _draw_label(
    canvas: np.ndarray, lines: Sequence[str], x0: int, y0: int, y1: int, colour: Sequence[int], unit: float
) -> None:
    """Lines of text on a dark plate above the box, or below it when there is no room, always inside the image."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    size = 0.55 * unit + 0.15
    weight = max(1, round(1.4 * unit))
    extents = [cv2.getTextSize(line, font, size, weight)[0] for line in lines]
    row = round(max(height for _, height in extents) * 1.6)
    pad = max(2, round(5 * unit))
    plate_width = max(width for width, _ in extents) + 2 * pad
    plate_height = row * len(lines) + pad
    height, width = canvas.shape[:2]
    top = y0 - plate_height - 2 if y0 - plate_height - 2 >= 0 else y1 + 2
    top = int(np.clip(top, 0, max(0, height - plate_height)))
    left = int(np.clip(x0, 0, max(0, width - plate_width)))
    plate = canvas[top : top + plate_height, left : left + plate_width]
    plate[...] = plate * 0.35
    for i, line in enumerate(lines):
        position = (left + pad, top + row * (i + 1) - pad // 2)
        cv2.putText(canvas, line, position, font, size, colour if i == 0 else (255, 255, 255), weight, cv2.LINE_AA)
