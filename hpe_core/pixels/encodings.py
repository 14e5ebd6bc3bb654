"""Pixels of sensor_msgs/Image and sensor_msgs/CompressedImage as (H, W, 3) uint8 BGR; no ROS needed.

Encoding names: sensor_msgs/image_encodings.hpp. Colour codes and 16 to 8 bit scaling are those of cv_bridge.
"""

from array import array

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.pixels.image_header import MAX_PIXELS, check_image

MAX_SIDE_PX = 1 << 15

# encoding -> (bytes per sample, samples per pixel, OpenCV conversion to BGR or None)
_PACKED = {
    "bgr8": (1, 3, None),
    "8UC3": (1, 3, None),
    "rgb8": (1, 3, cv2.COLOR_RGB2BGR),
    "bgra8": (1, 4, cv2.COLOR_BGRA2BGR),
    "8UC4": (1, 4, cv2.COLOR_BGRA2BGR),
    "rgba8": (1, 4, cv2.COLOR_RGBA2BGR),
    "mono8": (1, 1, cv2.COLOR_GRAY2BGR),
    "8UC1": (1, 1, cv2.COLOR_GRAY2BGR),
    "bgr16": (2, 3, None),
    "rgb16": (2, 3, cv2.COLOR_RGB2BGR),
    "mono16": (2, 1, cv2.COLOR_GRAY2BGR),
    "yuv422": (1, 2, cv2.COLOR_YUV2BGR_UYVY),
    "uyvy": (1, 2, cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": (1, 2, cv2.COLOR_YUV2BGR_YUY2),
    "yuyv": (1, 2, cv2.COLOR_YUV2BGR_YUY2),
    # OpenCV names Bayer patterns by the second row, ROS by the first
    "bayer_rggb8": (1, 1, cv2.COLOR_BayerBG2BGR),
    "bayer_bggr8": (1, 1, cv2.COLOR_BayerRG2BGR),
    "bayer_gbrg8": (1, 1, cv2.COLOR_BayerGR2BGR),
    "bayer_grbg8": (1, 1, cv2.COLOR_BayerGB2BGR),
}
# luma plane, then interleaved chroma at half height and half width; `step` is the length of one row of both
_SEMI_PLANAR = {"nv12": cv2.COLOR_YUV2BGR_NV12, "nv21": cv2.COLOR_YUV2BGR_NV21}
_EVEN_WIDTH = ("yuv422", "uyvy", "yuv422_yuy2", "yuyv", *_SEMI_PLANAR)

ENCODINGS = (*_PACKED, *_SEMI_PLANAR)


def check_encoding(encoding: str) -> None:
    """Raises HpeError, listing the allowed, unless `encoding` is a name that `bgr_from_raw` reads."""
    if encoding not in ENCODINGS:
        raise HpeError(f"image encoding '{encoding}' is unknown, allowed: {', '.join(ENCODINGS)}")


def bgr_from_raw(
    data: bytes | array | np.ndarray,
    height: int,
    width: int,
    encoding: str,
    step: int,
    is_bigendian: bool | int = False,
    shared: bool = False,
) -> np.ndarray:
    """(height, width, 3) uint8 BGR from the fields of sensor_msgs/Image. The result owns its memory.

    data: bytes or uint8 array; step: bytes per row, padding included; is_bigendian matters for 16-bit samples; shared:
    the result may be a view of data, which takes no time where that is BGR already, for a caller that changes neither.
    Raises HpeError on an unknown encoding, or when data, step and size do not fit together.
    """
    check_encoding(encoding)
    height = int(height)
    width = int(width)
    if (encoding in _EVEN_WIDTH and width % 2) or (encoding in _SEMI_PLANAR and height % 2):
        raise HpeError(f"image of encoding {encoding} must have an even size, got {width}x{height}")
    if encoding.startswith("bayer") and 0 < min(width, height) < 4:
        raise HpeError(f"image of encoding {encoding} must be at least 4x4, got {width}x{height}")
    rows = height * 3 // 2 if encoding in _SEMI_PLANAR else height
    if encoding in _SEMI_PLANAR:
        sample_bytes, samples, code = (1, 1, _SEMI_PLANAR[encoding])
    else:
        sample_bytes, samples, code = _PACKED[encoding]
    pixels = unpadded_rows(data, height, width, rows, width * samples * sample_bytes, step, encoding)
    if sample_bytes == 2:
        wide = pixels.view(">u2" if is_bigendian else "<u2")
        pixels = cv2.convertScaleAbs(wide.astype(np.uint16), alpha=255.0 / 65535.0)
    pixels = pixels.reshape((rows, width) if samples == 1 else (rows, width, samples))
    if code is not None:
        return cv2.cvtColor(pixels, code)
    return pixels if shared else pixels.copy()


def unpadded_rows(
    data: bytes | array | np.ndarray, height: int, width: int, rows: int, row_bytes: int, step: int, encoding: str
) -> np.ndarray:
    """(rows, row_bytes) uint8 of an image of width x height pixels, without the padding that ends its rows.

    Raises HpeError when the size is out of range, or data, step and size do not fit together.
    """
    height, width, step = int(height), int(width), int(step)
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX):
        raise HpeError(f"image size must lie in [1, {MAX_SIDE_PX}], got {width}x{height}")
    if width * height > MAX_PIXELS:
        raise HpeError(f"image may have at most {MAX_PIXELS} pixels, got {width}x{height}")
    buffer = np.frombuffer(data, np.uint8)
    if step < row_bytes:
        raise HpeError(f"image step is {step} bytes but a row of {width} pixels {encoding} takes {row_bytes}")
    if buffer.size != rows * step:
        raise HpeError(f"image data is {buffer.size} bytes but {rows} rows of step {step} make {rows * step}")
    return np.ascontiguousarray(buffer.reshape(rows, step)[:, :row_bytes])


def bgr_from_compressed(data: bytes | array | np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 BGR from the bytes (or a uint8 array of them) of a file in one of image_header.FORMATS.

    Raises HpeError when the data is empty, cut off, not an image or one of more than MAX_PIXELS.
    """
    buffer = np.frombuffer(data, np.uint8)
    check_image(buffer.tobytes())
    try:
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise HpeError(f"compressed image cannot be decoded: {error.err}") from error
    if image is None or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise HpeError(f"compressed image of {buffer.size} bytes is damaged")
    return image
