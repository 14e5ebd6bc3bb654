"""Meshes of faces drawn over images: shaded, as normals, as depth, or as lines."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from hpe_core.geometry.camera import CameraModel
from hpe_core.mesh.face_mesh import FaceMesh
from hpe_core.mesh.head_model import EYE_LEFT, EYE_RIGHT, MOUTH, SKIN, TEETH, HeadModel
from hpe_core.mesh.normals import VertexNormals
from hpe_core.mesh.raster import rasterised

MOST_PIXELS = 20_000  # that are computed; a larger face is enlarged from so many, as surfaces are smooth
MOST_PIXELS_OF_LINES = 6_000  # on which is decided what hides them
OPACITY = {"mesh": 0.85, "normals": 1.0, "depth": 1.0}
LIPS_APART_M = 0.002  # between the inner lips: else teeth and tongue are hidden, and not computed
_INNER_LIPS = 62, 66  # landmarks
_BGR = {SKIN: (196, 205, 214), EYE_LEFT: (240, 240, 240), EYE_RIGHT: (240, 240, 240), MOUTH: (110, 110, 190)}
_BGR |= {TEETH: (225, 235, 235)}
_IRIS_BGR, _PUPIL_BGR = (110, 90, 70), (20, 20, 20)
_IRIS_RAD, _PUPIL_RAD = 0.5, 0.2  # around the axis out of the eye, seen from its middle
_AMBIENT, _LIGHT = 0.35, np.array([0.0, -0.35, -0.94], np.float32)  # from above the camera
_LINE_BGR = (240, 200, 90)
_SHIFT = 4  # OpenCV draws to 1 / 2^4 pixels
_BORDER_PX = 1
_HIDDEN_M = 0.003  # a vertex so far behind what is seen at its pixel is hidden


def draw_mesh(canvas: np.ndarray, camera: CameraModel, mesh: FaceMesh, style: str) -> None:
    """Draw a FaceMesh into an image (H, W, 3) uint8 BGR of `camera`; style: mesh (shaded), normals (red: to the right,
    green: up, blue: to the camera), depth (near is bright) or wireframe (the edges that are not hidden).
    """
    seen = _surface(mesh.model, _mouth_open(mesh))
    vertices = mesh.vertices_m[: seen.count]
    pixels = FaceMesh(vertices, mesh.model).pixels(camera)
    lines = style == "wireframe"
    window = Window.around(pixels, canvas, MOST_PIXELS_OF_LINES if lines else MOST_PIXELS)
    if window is None:
        return
    colours = np.zeros((len(vertices), 1), np.float32) if lines else _COLOURS[style](vertices, seen)
    placed = window.reduced(pixels)
    picture, depth_m = rasterised(placed, vertices[:, 2], seen.triangles, colours, *window.reduced_size)
    if lines:
        shown = _unhidden(placed, vertices[:, 2], depth_m)
        _draw_lines(canvas, pixels, seen.edges[shown[seen.edges].all(1)])
        return
    share = np.where(np.isfinite(depth_m), np.float32(OPACITY[style]), np.float32(0.0))
    if window.reduced_size != window.size:
        picture = cv2.resize(_spread(picture, share), window.size, interpolation=cv2.INTER_LINEAR)
        share = cv2.resize(share, window.size, interpolation=cv2.INTER_LINEAR)
    ground = canvas[window.top : window.top + window.size[1], window.left : window.left + window.size[0]]
    drawn = cv2.convertScaleAbs(picture)
    ground[:] = cv2.blendLinear(drawn, np.ascontiguousarray(ground), share, 1.0 - share)


@dataclass(frozen=True)
class Window:
    """The part of an image that a mesh covers; size and reduced_size: width and height in pixels, as it is
    there and as it is computed."""

    left: int
    top: int
    size: tuple[int, int]
    reduced_size: tuple[int, int]

    @classmethod
    def around(cls, pixels: np.ndarray, canvas: np.ndarray, most: int) -> Window | None:
        """The Window around pixels (V, 2) in an image (H, W, 3), computed on `most` pixels at most; None when none of
        the pixels lies in it."""
        limits = np.array(canvas.shape[1::-1])
        with np.errstate(invalid="ignore"):
            inside = pixels[((pixels > -1.0) & (pixels < limits)).all(1)]
        if not len(inside):
            return None
        left, top = np.maximum(np.floor(inside.min(0)).astype(int) - _BORDER_PX, 0).tolist()
        right, bottom = np.minimum(np.ceil(inside.max(0)).astype(int) + 1 + _BORDER_PX, limits).tolist()
        width, height = right - left, bottom - top
        scale = min(1.0, float(np.sqrt(most / (width * height))))
        return cls(left, top, (width, height), (max(1, round(width * scale)), max(1, round(height * scale))))

    def reduced(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (V, 2) of the image in the window as it is computed."""
        return (pixels - (self.left, self.top) + 0.5) * np.divide(self.reduced_size, self.size) - 0.5


def drawn_triangles(mesh: FaceMesh) -> np.ndarray:
    """The triangles (T, 3) of a FaceMesh that can be seen: teeth and tongue only behind open lips."""
    return _surface(mesh.model, _mouth_open(mesh)).triangles


def _spread(picture: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The picture whose border pixels outside have the colour of their neighbours, so that none is mixed with black."""
    return np.where(share[..., None] > 0.0, picture, cv2.dilate(picture, np.ones((3, 3), np.uint8)))


class Surface:
    """The part of a HeadModel that is drawn. count: its vertices are the first so many; triangles (T, 3)."""

    def __init__(self, model: HeadModel, mouth_open: bool):
        shown = model.part <= (TEETH if mouth_open else EYE_RIGHT)
        self.triangles = model.triangles[shown[model.triangles].all(1)]
        self.count = int(self.triangles.max()) + 1
        self.normals = VertexNormals(self.triangles)
        self.albedo = _albedo(model)[: self.count]

    @functools.cached_property
    def edges(self) -> np.ndarray:
        """(E, 2) vertices: the edges of the triangles, each once."""
        return np.unique(np.sort(self.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1), axis=0)


@functools.lru_cache(maxsize=4)
def _surface(model: HeadModel, mouth_open: bool) -> Surface:
    return Surface(model, mouth_open)


def _mouth_open(mesh: FaceMesh) -> bool:
    upper, lower = mesh.vertices_m[mesh.model.landmark_vertices[list(_INNER_LIPS)]]
    return float(np.linalg.norm(upper - lower)) > LIPS_APART_M


def _albedo(model: HeadModel) -> np.ndarray:
    """Colours (V, 3) float32 BGR of the vertices in white light."""
    colours = np.array([_BGR[part] for part in model.part.tolist()], np.float32)
    for part in (EYE_LEFT, EYE_RIGHT):
        ball = np.flatnonzero(model.part == part)
        if not len(ball):
            continue
        points = model.mean_m[ball]
        arms = points - (points.max(0) + points.min(0)) / 2.0
        cosine = -arms[:, 2] / np.linalg.norm(arms, axis=1)
        colours[ball[cosine > np.cos(_IRIS_RAD)]] = _IRIS_BGR
        colours[ball[cosine > np.cos(_PUPIL_RAD)]] = _PUPIL_BGR
    return colours


def _shaded(vertices: np.ndarray, seen: Surface) -> np.ndarray:
    light: np.ndarray = np.maximum(seen.normals(vertices) @ _LIGHT, 0.0)
    return seen.albedo * (_AMBIENT + (1.0 - _AMBIENT) * light)[:, None]


def _as_normals(vertices: np.ndarray, seen: Surface) -> np.ndarray:
    return 127.5 - 127.5 * seen.normals(vertices)[:, ::-1] * np.array([1.0, 1.0, -1.0], np.float32)


def _as_depth(vertices: np.ndarray, seen: Surface) -> np.ndarray:
    depth = vertices[:, 2]
    near, far = depth.min(), depth.max()
    return np.repeat(40.0 + 215.0 * (far - depth[:, None]) / max(far - near, 1e-6), 3, 1)


_COLOURS: dict[str, Callable[[np.ndarray, Surface], np.ndarray]] = {
    "mesh": _shaded,
    "normals": _as_normals,
    "depth": _as_depth,
}


def _unhidden(pixels: np.ndarray, vertex_depth_m: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    """Which vertices (V,) nothing lies before, by the depths (H, W) at the pixels around them."""
    height, width = depth_m.shape
    known: np.ndarray = np.all(np.isfinite(pixels), axis=1)
    x, y = np.round(np.where(known[:, None], pixels, 0.0)).astype(int).T
    farthest = cv2.dilate(np.where(np.isfinite(depth_m), depth_m, 0.0), np.ones((3, 3), np.uint8))
    inside = known & (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return inside & (vertex_depth_m < farthest[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] + _HIDDEN_M)


def _draw_lines(canvas: np.ndarray, pixels: np.ndarray, edges: np.ndarray) -> None:
    ends = pixels[edges]
    lines = list(np.round(ends * (1 << _SHIFT)).astype(np.int32))
    cv2.polylines(canvas, lines, False, _LINE_BGR, 1, cv2.LINE_AA, _SHIFT)
