"""Letterboxing: the whole image, shape kept, into the network's input."""

import cv2
import numpy as np

from hpe_core.errors import HpeError


def check_image(image_bgr):
    """Raises HpeError unless the image is (H, W, 3) uint8 with at least one pixel."""
    if image_bgr.dtype != np.uint8 or image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.size == 0:
        raise HpeError(f"image must be (H, W, 3) uint8 BGR, got {image_bgr.shape} {image_bgr.dtype}")


def letterbox(image_bgr, width, height):
    """Canvas (height, width, 3) uint8 with the image resized into its top left corner, rest zero; and its scale.

    Pixel centres map as x_image = (x_canvas + 0.5) / scale_x - 0.5; returns (canvas, (scale_x, scale_y)).
    """
    image_height, image_width = image_bgr.shape[:2]
    scale = min(width / image_width, height / image_height)
    new_width = min(width, max(1, round(image_width * scale)))
    new_height = min(height, max(1, round(image_height * scale)))
    canvas = np.zeros((height, width, 3), np.uint8)
    interpolation = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    view = canvas[:new_height, :new_width]
    view[...] = cv2.resize(image_bgr, (new_width, new_height), interpolation=interpolation)
    return canvas, (new_width / image_width, new_height / image_height)


def canvas_to_image(points_px, scales):
    """Image pixels (..., 2) of canvas pixels (..., 2)."""
    return (np.asarray(points_px, float) + 0.5) / np.asarray(scales) - 0.5
