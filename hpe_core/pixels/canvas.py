"""From the image to a network's input: the letterbox of the whole image, the face-centred crop of a virtual camera.

Where the pixels of an input (its canvas) lie in the image is one pure function for each of the two. OpenCV samples them
here, unless the network's backend does it itself, as TensorRT on a GPU.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.lookat import lookat_rotation

GRID = 9  # nodes of a canvas on each side, evenly from its first to its last pixel, interpolated between
REDUCE_FROM = 1.75  # image pixels per crop pixel; whole factors, OpenCV reduces by others ten times slower
REDUCED_SPREAD = np.sqrt(3.0)  # a mean of f pixels, then linear between means: f^2/12 + f^2/6 on average = 3 f^2/12


class SourceImage:
    """One image for several networks: array (H, W, 3) uint8 BGR; on_device: what a backend notes about its copy."""

    def __init__(self, array: np.ndarray):
        self.array = array
        self.on_device: object = None


@dataclass(frozen=True, eq=False)
class Canvases:
    """N inputs of a network, as places in one image and as pixels.

    nodes: (N, GRID, GRID, 2) image pixels of evenly spaced canvas pixels, from the first to the last; spread: (N,) the
    width that each canvas pixel is the mean of, in canvas pixels, 0 for a point; by_opencv() -> (N, height, width, 3)
    uint8.
    """

    source: SourceImage
    nodes: np.ndarray
    spread: np.ndarray
    by_opencv: Callable[[], np.ndarray]


def check_image(image_bgr: np.ndarray, camera: CameraModel) -> None:
    """Raises HpeError unless the image is (H, W, 3) uint8 with at least one pixel and of its CameraModel's size."""
    if image_bgr.dtype != np.uint8 or image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.size == 0:
        raise HpeError(f"image must be (H, W, 3) uint8 BGR, got {image_bgr.shape} {image_bgr.dtype}")
    height, width = image_bgr.shape[:2]
    if (width, height) != (camera.width, camera.height):
        raise HpeError(f"image is {width}x{height} but the camera model is {camera.width}x{camera.height}")


def letterbox_canvas(
    source: SourceImage, width: int, height: int, halving: bool = False
) -> tuple[Canvases, tuple[float, float]]:
    """The one canvas of width x height that shows the whole image, and its scales, as `letterbox` gives them."""
    image_height, image_width = source.array.shape[:2]
    nodes, spread, scales = letterbox_nodes(image_width, image_height, width, height)
    by_opencv = lambda: letterbox(source.array, width, height, halving)[0][None]  # noqa: E731
    return Canvases(source, nodes[None], np.array([spread]), by_opencv), scales


def crop_canvases(
    source: SourceImage,
    camera: CameraModel,
    rays: np.ndarray,
    range_m: np.ndarray,
    side: int,
    crop_m: float,
    mirrored: bool = False,
    upside_down: bool = False,
) -> Canvases:
    """Canvases (side x side) of the face-centred crops around N unit rays (N, 3) at ranges (N,) in the camera's image.

    mirrored: followed by as many mirrored ones. upside_down: every crop turned by 180 degrees first.
    """
    nodes, factors, spread = crop_nodes(camera, rays, range_m, side, crop_m)
    if upside_down:
        nodes = nodes[:, ::-1, ::-1]

    def by_opencv():
        crops = np.empty((len(nodes) * (1 + mirrored), side, side, 3), np.uint8)
        sampling = np.empty((2, side, side), np.float32)
        for number, one in enumerate(zip(nodes, factors, strict=True)):
            _sample(source.array, *one, sampling, crops[number])
            if mirrored:
                cv2.flip(crops[number], 1, crops[len(nodes) + number])
        return crops

    if not mirrored:
        return Canvases(source, nodes, spread, by_opencv)
    return Canvases(source, np.concatenate([nodes, nodes[:, :, ::-1]]), np.concatenate([spread, spread]), by_opencv)


def letterbox_size(image_width: int, image_height: int, width: int, height: int) -> tuple[tuple[int, int], bool]:
    """Size (width, height) that an image gets on a canvas of width x height, and whether it shrinks by more than 2."""
    scale = min(width / image_width, height / image_height)
    size = min(width, max(1, round(image_width * scale))), min(height, max(1, round(image_height * scale)))
    return size, scale < 0.5


@functools.lru_cache(maxsize=8)  # the same for every image of a stream
def letterbox_nodes(
    image_width: int, image_height: int, width: int, height: int
) -> tuple[np.ndarray, float, tuple[float, float]]:
    """Nodes (GRID, GRID, 2) of a letterbox in image pixels, its spread (1: it shrinks by more than 2), its scales."""
    (new_width, new_height), shrinks = letterbox_size(image_width, image_height, width, height)
    scales = new_width / image_width, new_height / image_height
    x, y = np.meshgrid(np.linspace(0, width - 1, GRID), np.linspace(0, height - 1, GRID))
    return canvas_to_image(np.stack([x, y], -1), scales), float(shrinks), scales


def letterbox(
    image_bgr: np.ndarray, width: int, height: int, halving: bool = False
) -> tuple[np.ndarray, tuple[float, float]]:
    """Canvas (height, width, 3) uint8 with the image resized into its top left corner, rest zero; and its scale.

    Pixel centres map as x_image = (x_canvas + 0.5) / scale_x - 0.5; returns (canvas, (scale_x, scale_y)). halving: an
    image that shrinks to a quarter or less is halved first, which takes a third of the time and rounds once more.
    """
    image_height, image_width = image_bgr.shape[:2]
    (new_width, new_height), shrinks = letterbox_size(image_width, image_height, width, height)
    canvas = np.zeros((height, width, 3), np.uint8)
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    while halving and shrinks and not np.any(np.array(image_bgr.shape[:2]) % 2) and image_bgr.shape[1] >= 4 * new_width:
        half = image_bgr.shape[1] // 2, image_bgr.shape[0] // 2
        image_bgr = cv2.resize(image_bgr, half, interpolation=cv2.INTER_AREA)
    view = canvas[:new_height, :new_width]
    view[...] = cv2.resize(image_bgr, (new_width, new_height), interpolation=interpolation)
    return canvas, (new_width / image_width, new_height / image_height)


def canvas_to_image(points_px: np.ndarray, scales: tuple[float, float]) -> np.ndarray:
    """Image pixels (..., 2) of canvas pixels (..., 2)."""
    return (np.asarray(points_px, float) + 0.5) / np.asarray(scales) - 0.5


def crop_nodes(
    camera: CameraModel, rays: np.ndarray, range_m: np.ndarray | float, side: int, crop_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes (..., GRID, GRID, 2) in image pixels of the crops of virtual cameras turned to unit rays (..., 3).

    A crop has side x side pixels and spans crop_m metres at range_m (...,). Through the camera's own projection,
    distortion included. Also returned: the whole factors (...,) by which OpenCV reduces the image first, and the spread
    (...,) that blurs as much as that does (in pixels of the crop; 0 where nothing is reduced).
    """
    range_m = np.asarray(range_m, float)
    directions = np.empty(range_m.shape + (GRID, GRID, 3))
    directions[...] = _node_directions(side)
    directions[..., :2] *= (crop_m / range_m)[..., None, None, None]
    nodes = camera.project(directions @ lookat_rotation(rays)[..., None, :, :])
    extent = nodes.max((-3, -2)) - nodes.min((-3, -2))
    reduction = np.sqrt(extent[..., 0] * extent[..., 1]) / side
    factor = (reduction + 2.0 - REDUCE_FROM).astype(int)
    return nodes, factor, np.where(factor > 1, REDUCED_SPREAD * factor / reduction, 0.0)


def face_centred_crop(
    image_bgr: np.ndarray, camera: CameraModel, ray: np.ndarray, range_m: float, side: int, crop_m: float
) -> np.ndarray:
    """Crop (side, side, 3) uint8 of a virtual camera turned to `ray`; it spans crop_m metres at range_m.

    Pixels beyond the image repeat its border.
    """
    nodes, factor, _ = crop_nodes(camera, ray, range_m, side, crop_m)
    crop = np.empty((side, side, 3), np.uint8)
    _sample(image_bgr, nodes, factor, np.empty((2, side, side), np.float32), crop)
    return crop


def _sample(image_bgr, nodes, factor, sampling, crop):
    """Fill a crop (side, side, 3) uint8 at nodes (GRID, GRID, 2) of the image reduced by `factor`, its border repeated.

    sampling: (2, side, side) float32, room for the map; new memory for each crop of a crowd would take as long again.
    """
    flat = nodes.reshape(-1, 2)
    (x0, x1), (y0, y1) = map(_pixels_around, flat.min(0).tolist(), flat.max(0).tolist(), image_bgr.shape[1::-1])
    region, nodes = image_bgr[y0:y1, x0:x1], nodes - (x0, y0)
    if factor > 1 and min(region.shape[:2]) >= factor:
        height, width = region.shape[0] // factor, region.shape[1] // factor
        nodes = (nodes + 0.5) / factor - 0.5
        region = cv2.resize(region[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA)
    B = _interpolation(len(crop))
    sampling[...] = B @ nodes.transpose(2, 0, 1) @ B.T
    cv2.remap(region, sampling[0], sampling[1], cv2.INTER_LINEAR, crop, cv2.BORDER_REPLICATE)


def _pixels_around(least, most, size):
    """First pixel, and the one after the last, that places between least and most of an axis are sampled from."""
    first = min(max(math.floor(least) - 2, 0), size - 1)
    return first, min(max(math.ceil(most) + 3, first + 1), size)


@functools.cache
def _node_directions(side):
    """Nodes (GRID, GRID, 3) of a crop one metre wide, one metre away."""
    offset = (np.linspace(0, side - 1, GRID) - (side - 1) / 2.0) / side
    x, y = np.meshgrid(offset, offset)
    return np.stack([x, y, np.ones_like(x)], -1)


@functools.cache
def _interpolation(side):
    """Weights (side, GRID) of linear interpolation between nodes."""
    return interpolation_weights(np.linspace(0, GRID - 1, side))


def interpolation_weights(positions: np.ndarray) -> np.ndarray:
    """Weights (P, GRID) of positions (P,) in units of nodes: linear between the two around each, or the nearest two."""
    first = np.clip(np.floor(positions), 0, GRID - 2)
    share = (positions - first)[:, None]
    nodes = np.arange(GRID)
    return np.where(nodes == first[:, None], 1.0 - share, 0.0) + np.where(nodes == first[:, None] + 1, share, 0.0)
