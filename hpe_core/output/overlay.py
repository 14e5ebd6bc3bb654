"""Pictures of the result: contours, axes, uncertainty and numbers drawn on the images, as large as the faces are."""

from collections.abc import Collection, Sequence

import cv2
import numpy as np

from hpe_core.face_id import FaceId
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import head_cuboid
from hpe_core.mesh.drawing import draw_mesh
from hpe_core.mesh.face_mesh import mesh_of
from hpe_core.mesh.head_model import shipped_small
from hpe_core.output.bands import STD_95, angle_bands_deg, tip_region_95
from hpe_core.output.choices import (
    AXES,
    BOX,
    CONTOURS,
    CUBOID,
    DEFAULT_PARTS,
    LABEL,
    LANDMARKS_PART,
    LEGEND,
    MESHES,
    POINTS,
    UNCERTAINTY,
)
from hpe_core.output.labels import Bgr, Line, Plate, place_beside
from hpe_core.types import Face

MAX_SIDE_PX = 1280
AXIS_LENGTH_M = 0.10
SMALL_PX = 60.0  # faces below have labels of two lines
# REP-155 face frame: x out of the face red, y to the subject's left green, z to the scalp blue; BGR
_HEAD_AXES: tuple[tuple[np.ndarray, Bgr], ...] = (
    (np.array([0.0, 0.0, -1.0]), (60, 60, 255)),
    (np.array([1.0, 0.0, 0.0]), (80, 220, 80)),
    (np.array([0.0, -1.0, 0.0]), (255, 140, 60)),
)
_WHITE: Bgr = (255, 255, 255)
_HIDDEN: Bgr = (140, 140, 140)
_LEGEND: tuple[Line, ...] = (
    ("x out of the face", _HEAD_AXES[0][1]),
    ("y to the subject's left", _HEAD_AXES[1][1]),
    ("z to the scalp", (255, 160, 90)),
)
_HAIR = 0.25  # of the side of a box: how far a head reaches above it
_CONE_SHARE = 0.4  # how opaque a cone is
_NEAREST_M = 0.01  # what is nearer than this to the camera's plane has no place in the image
_SHIFT = 4  # OpenCV draws to 1 / 2^4 pixels
# pairs of landmarks that a line joins: jaw, brows, nose, and closed: eyes, lips
_OPEN, _CLOSED = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36)), ((36, 42), (42, 48), (48, 60), (60, 68))
_CONTOURS = np.array(
    [(i, i + 1) for first, end in (*_OPEN, *_CLOSED) for i in range(first, end - 1)]
    + [(end - 1, first) for first, end in _CLOSED]
)
_CUBOID_FRONT, _CUBOID_BACK = [(0, 1), (1, 2), (2, 3), (3, 0)], [(4, 5), (5, 6), (6, 7), (7, 4)]
_CUBOID_SIDES = [(0, 4), (1, 5), (2, 6), (3, 7)]


def draw(
    image_bgr: np.ndarray,
    camera: CameraModel,
    faces: Sequence[Face],
    max_side_px: int = MAX_SIDE_PX,
    parts: Collection[str] = DEFAULT_PARTS,
) -> np.ndarray:
    """A copy of the image (H, W, 3) with the faces drawn, reduced so that no side exceeds `max_side_px`.

    parts: of hpe_core.output.choices.PARTS. The cone around the axis out of the face, and the numbers after ±, hold the
    true direction and angles with 95 % by the covariance of the pose.
    """
    height, width = image_bgr.shape[:2]
    scale = min(1.0, max_side_px / max(height, width))
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        canvas = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
        camera = camera.resized(*size)
    else:
        canvas = image_bgr.copy()
    far_first = sorted(faces, key=lambda face: -np.linalg.norm(face.pose.t_camera_head_m))
    drawn = [_DrawnFace(canvas, camera, face, (np.asarray(face.box_px) + 0.5) * scale - 0.5) for face in far_first]
    for one in drawn:
        one.draw(parts)
    _draw_texts(canvas, drawn[::-1], parts)
    return canvas


class _DrawnFace:
    """One Face on a canvas, whose CameraModel is `camera`; box_px: of the face on it."""

    def __init__(self, canvas: np.ndarray, camera: CameraModel, face: Face, box_px: np.ndarray):
        self._canvas, self._camera, self.face = canvas, camera, face
        self.colour: Bgr = _WHITE
        if face.face_id:
            red, green, blue = FaceId(face.face_id).colour_rgb
            self.colour = (blue, green, red)
        blue, green, red = (255 - round(0.6 * (255 - value)) for value in self.colour)  # lighter, to be read
        self._text_colour: Bgr = (blue, green, red)
        self._limit = 4.0 * max(canvas.shape[:2])  # a face at the edge may reach far outside
        self.box = np.clip(box_px, -self._limit, self._limit)
        self.side_px = float(np.sqrt(max(1.0, np.prod(self.box[2:] - self.box[:2]))))
        self._thick = int(np.clip(round(self.side_px / 90.0), 1, 5))
        hair = np.array([0.0, _HAIR * self.side_px, 0.0, 0.0])
        self.extent = self.box - hair  # of the head, and of everything that is drawn of it

    def draw(self, parts: Collection[str]) -> None:
        """Everything but the texts."""
        face, origin = self.face, self.face.pose.t_camera_head_m
        if BOX in parts:
            x0, y0, x1, y1 = self.box
            corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
            self._lines(corners[[(0, 1), (1, 2), (2, 3), (3, 0)]], self.colour, self._thick)
        if CUBOID in parts:
            corners = self._pixels(head_cuboid(face.pose.R_camera_head, origin))
            if corners is not None:
                self._lines(corners[_CUBOID_BACK + _CUBOID_SIDES], self.colour, max(1, self._thick // 2))
                self._lines(corners[_CUBOID_FRONT], self.colour, self._thick + 1)
        for style in MESHES:
            mesh = mesh_of(face, shipped_small()) if style in parts and face.shape is not None else None
            if mesh is not None:
                draw_mesh(self._canvas, self._camera, mesh, style)
        if {CONTOURS, POINTS, LANDMARKS_PART} & {*parts}:
            self._draw_landmarks(parts)
        if UNCERTAINTY in parts:
            self._draw_cone()
        if AXES in parts:
            for axis, colour in _HEAD_AXES:
                ends = self._pixels(np.stack([origin, origin + AXIS_LENGTH_M * face.pose.R_camera_head @ axis]))
                if ends is not None:
                    start, end = self._fixed(ends).tolist()
                    cv2.arrowedLine(
                        self._canvas, start, end, colour, self._thick + 1, cv2.LINE_AA, _SHIFT, tipLength=0.12
                    )
                    self._widen(ends)

    def _draw_landmarks(self, parts: Collection[str]) -> None:
        """White where the network sees the point, grey where it is hidden."""
        points_m = self.face.landmarks_camera_m
        points = None if points_m is None else self._pixels(points_m)
        if self.face.landmarks is None or points is None:
            return
        seen = self.face.landmarks.visible > 0.5
        if {CONTOURS, LANDMARKS_PART} & {*parts}:
            whole = seen[_CONTOURS].all(1)
            thin = max(1, round(0.6 * self._thick))
            self._lines(points[_CONTOURS[~whole]], _HIDDEN, thin)
            self._lines(points[_CONTOURS[whole]], _WHITE, thin)
        if {POINTS, LANDMARKS_PART} & {*parts}:
            radius = self._thick << _SHIFT
            for point, visible in zip(self._fixed(points).tolist(), seen.tolist(), strict=True):
                colour = _WHITE if visible else _HIDDEN
                cv2.circle(self._canvas, point, radius, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)

    def _draw_cone(self) -> None:
        """Where the axis out of the face ends, with 95 %."""
        pose = self.face.pose
        if pose.covariance is None:
            return
        arm = AXIS_LENGTH_M * _HEAD_AXES[0][0]
        region = tip_region_95(pose.R_camera_head, arm, pose.covariance[3:, 3:], 24) + pose.t_camera_head_m
        points = self._pixels(np.concatenate([pose.t_camera_head_m[None], region]))
        if points is None:
            return
        height, width = self._canvas.shape[:2]
        hull = cv2.convexHull(np.round(points).astype(np.int32))
        x, y, w, h = cv2.boundingRect(hull)
        x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + w), min(height, y + h)
        if x1 <= x0 or y1 <= y0:
            return
        ground = self._canvas[y0:y1, x0:x1]
        tinted = ground.copy()
        cv2.fillConvexPoly(tinted, hull - np.array([x0, y0], np.int32), _HEAD_AXES[0][1], cv2.LINE_AA)
        cv2.addWeighted(tinted, _CONE_SHARE, ground, 1.0 - _CONE_SHARE, 0.0, ground)
        self._lines(np.stack([points[1:], np.roll(points[1:], 1, 0)], 1), _HEAD_AXES[0][1], 1)
        self._widen(points)

    def _pixels(self, points_camera_m: np.ndarray) -> np.ndarray | None:
        """(N, 2) on the canvas; None when one of the points has no place in the image."""
        if points_camera_m[:, 2].min() <= _NEAREST_M:
            return None
        return np.clip(self._camera.project(points_camera_m), -self._limit, self._limit)

    def _lines(self, ends: np.ndarray, colour: Bgr, thick: int) -> None:
        """Lines between ends (N, 2, 2)."""
        if len(ends):
            cv2.polylines(self._canvas, list(self._fixed(ends)), False, colour, thick, cv2.LINE_AA, _SHIFT)
            self._widen(ends)

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        return np.round(points * (1 << _SHIFT)).astype(np.int32)

    def _widen(self, points: np.ndarray) -> None:
        points = points.reshape(-1, 2)
        self.extent[:2] = np.minimum(self.extent[:2], points.min(0))
        self.extent[2:] = np.maximum(self.extent[2:], points.max(0))

    def label(self, unit: float) -> list[Plate]:
        """Plates to choose from, the one that says most first; unit: 1 for a picture of 1280 pixels."""
        face, angles = self.face, angle_bands_deg(self.face.pose)
        largest = 0.15 + 0.6 * unit
        size = float(np.clip(0.0033 * self.side_px, max(0.36, 0.55 * largest), max(0.36, largest)))
        name, metres = face.face_id or "face", float(np.linalg.norm(face.pose.t_camera_head_m))
        reach_m = STD_95 * face.pose.depth_std_m
        distance = f"{name}  {metres:.2f}" + (f" ±{reach_m:.2f} m" if np.isfinite(reach_m) else " m")
        rows = [distance]
        for title, (angle, low, _) in zip(("yaw", "pitch", "roll"), angles.tolist(), strict=True):
            band = (
                f" ±{angle - low:.0f}" if angle - low < 90.0 else ""
            )  # not where NaN: roll and pitch near a yaw of 90
            rows.append(f"{title} {angle:+.0f}°{band}")
        short = [f"{name} {metres:.1f} m", "  ".join(f"{angle:+.0f}°" for angle in angles[:, 0].tolist())]
        few, many = (tuple(zip(lines, [self._text_colour, *3 * [_WHITE]], strict=False)) for lines in (short, rows))
        plates = [Plate(many, size), Plate(few, size), Plate(few, 0.75 * size)]
        return plates if self.side_px >= SMALL_PX else plates[1:]


def _draw_texts(canvas: np.ndarray, near_first: Sequence[_DrawnFace], parts: Collection[str]) -> None:
    """Labels beside the heads, and the legend once."""
    height, width = canvas.shape[:2]
    unit = max(width, height) / MAX_SIDE_PX
    taken = np.zeros((0, 4))
    if LEGEND in parts and near_first:
        legend = _legend(unit, parts, short=any(one.side_px < SMALL_PX for one in near_first))
        if legend and legend.extent[0] <= 0.5 * width and legend.extent[1] <= 0.3 * height:
            left, top = 0, height - legend.extent[1]
            legend.draw(canvas, left, top)
            taken = np.array([[left, top, left + legend.extent[0], height]], float)
    if LABEL not in parts:
        return
    heads = np.array([one.extent for one in near_first]).reshape(-1, 4)
    for i, one in enumerate(near_first):
        others = np.delete(heads, i, axis=0)
        for plate in one.label(unit):
            place = place_beside(plate.extent, one.extent, others, taken, (width, height))
            if place is not None:
                plate.draw(canvas, *place[:2].tolist())
                taken = np.concatenate([taken, place[None]])
                break


def _legend(unit: float, parts: Collection[str], short: bool) -> Plate | None:
    """What is drawn; short: whether labels have the angles without their names."""
    lines = list(_LEGEND) if AXES in parts else []
    if LABEL in parts and short:
        lines.append(("yaw, pitch, roll", _WHITE))
    held = [text for text, part in (("±", LABEL), ("cone", UNCERTAINTY)) if part in parts]
    if held:
        lines.append((f"{' and '.join(held)}: 95 %", _WHITE))
    return Plate(tuple(lines), max(0.34, 0.1 + 0.4 * unit)) if lines else None
