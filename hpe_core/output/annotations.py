"""What can be drawn on an image of the result, as plain numbers: the content of foxglove_msgs/ImageAnnotations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpe_core.face_id import FaceId
from hpe_core.geometry import frames
from hpe_core.geometry.camera import CameraModel
from hpe_core.types import Face

Rgb = tuple[float, float, float]  # each channel 0 to 1

AXIS_LENGTH_M = 0.10
# of the REP-155 face frame: x out of the face red, y to the subject's left green, z to the scalp blue
_AXIS_COLOURS: tuple[Rgb, ...] = ((1.0, 0.24, 0.24), (0.31, 0.86, 0.31), (0.24, 0.55, 1.0))
PLATE_OPACITY = 0.6  # of the black plate behind a text
_NO_ID: Rgb = (1.0, 1.0, 1.0)
_SEEN: Rgb = (1.0, 1.0, 1.0)
_HIDDEN: Rgb = (0.5, 0.5, 0.5)
_NEAREST_M = 0.01  # what is nearer than this to the camera's plane has no place in the image
_LINE_PX, _AXIS_PX, _DOT_PX, _TEXT_PX = 2.0, 3.0, 3.0, 14.0  # in an image of 640 pixels
_CORNER_TO_CENTRE_PX = 0.5


@dataclass(frozen=True)
class PointsAnnotation:
    """Points or lines; kind: as in foxglove_msgs; colours: one, or one per line of a `line_list`."""

    kind: Literal["points", "line_loop", "line_list"]
    points_px: list[tuple[float, float]]
    colours: list[Rgb]
    thickness_px: float


@dataclass(frozen=True)
class CircleAnnotation:
    """A ring."""

    centre_px: tuple[float, float]
    diameter_px: float
    colour: Rgb
    thickness_px: float


@dataclass(frozen=True)
class TextAnnotation:
    """A line of text; position_px: its bottom left."""

    position_px: tuple[float, float]
    text: str
    size_px: float
    colour: Rgb


@dataclass(frozen=True)
class Annotations:
    """Of one image. Pixels are counted from the image's top left corner, as Foxglove does: half a pixel more than in
    Face.box_px and CameraModel.project, where the middle of the first pixel is 0."""

    points: list[PointsAnnotation]
    circles: list[CircleAnnotation]
    texts: list[TextAnnotation]


def image_annotations(camera: CameraModel, faces: Sequence[Face]) -> Annotations:
    """Per Face its box, axes (AXIS_LENGTH_M), landmarks, a ring at the origin of its frame, and a text."""
    points, circles, texts = [], [], []
    unit = max(camera.width, camera.height) / 640.0
    for face in faces:
        colour = colour_of(face)
        x0, y0, x1, y1 = (np.asarray(face.box_px, float) + _CORNER_TO_CENTRE_PX).tolist()
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        points.append(PointsAnnotation("line_loop", corners, [colour], _LINE_PX * unit))
        points += _axes(camera, face, unit) + _landmarks(camera, face, unit)
        if face.pose.t_camera_head_m[2] > _NEAREST_M:
            (origin,) = _pixels(camera, face.pose.t_camera_head_m[None])
            circles.append(CircleAnnotation(origin, 2.0 * _AXIS_PX * unit, colour, _LINE_PX * unit))
        texts.append(TextAnnotation((x0, y0 - _LINE_PX * unit), face_text(face), _TEXT_PX * unit, colour))
    return Annotations(points, circles, texts)


def face_text(face: Face) -> str:
    """Id, distance and the three angles (AFLW2000) in one line."""
    angles = face.pose.euler_aflw2000
    # rounded first: there is no -0 among integers
    yaw, pitch, roll = (round(float(angle)) for angle in (angles.yaw, angles.pitch, angles.roll))
    numbers = f"yaw {yaw:+d} pitch {pitch:+d} roll {roll:+d}"
    return f"{face.face_id or 'face'} {np.linalg.norm(face.pose.t_camera_head_m):.2f} m, {numbers}"


def colour_of(face: Face) -> Rgb:
    """The colour of its id, white before tracking."""
    if not face.face_id:
        return _NO_ID
    red, green, blue = FaceId(face.face_id).colour_rgb
    return red / 255.0, green / 255.0, blue / 255.0


def _axes(camera: CameraModel, face: Face, unit: float) -> list[PointsAnnotation]:
    origin_m = face.pose.t_camera_head_m
    ends_m = origin_m + AXIS_LENGTH_M * frames.face_from_head(face.pose.R_camera_head).T
    ahead = (ends_m[:, 2] > _NEAREST_M) & (origin_m[2] > _NEAREST_M)
    if not ahead.any():
        return []
    lines = np.stack([np.broadcast_to(origin_m, (3, 3)), ends_m], 1)[ahead]
    colours = [colour for colour, drawn in zip(_AXIS_COLOURS, ahead, strict=True) if drawn]
    return [PointsAnnotation("line_list", _pixels(camera, lines.reshape(-1, 3)), colours, _AXIS_PX * unit)]


def _landmarks(camera: CameraModel, face: Face, unit: float) -> list[PointsAnnotation]:
    points_camera_m = face.landmarks_camera_m
    if face.landmarks is None or points_camera_m is None:
        return []
    ahead, seen = points_camera_m[:, 2] > _NEAREST_M, face.landmarks.visible > 0.5
    groups = ((ahead & seen, _SEEN), (ahead & ~seen, _HIDDEN))
    return [
        PointsAnnotation("points", _pixels(camera, points_camera_m[group]), [colour], _DOT_PX * unit)
        for group, colour in groups
        if group.any()
    ]


def _pixels(camera: CameraModel, points_camera_m: np.ndarray) -> list[tuple[float, float]]:
    """(N, 3) metres to pixels from the image's corner."""
    return [(x, y) for x, y in (camera.project(points_camera_m) + _CORNER_TO_CENTRE_PX).tolist()]
