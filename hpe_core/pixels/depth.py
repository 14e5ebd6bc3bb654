"""Depth images: pixels of sensor_msgs/Image (REP-118) and of compressed_depth_image_transport, and where they look."""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.pixels.encodings import unpadded_rows
from hpe_core.pixels.image_header import check_image

_SAMPLES = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}  # millimetres, as some drivers say it, metres
DEPTH_ENCODINGS = tuple(_SAMPLES)
_COMPRESSED_HEADER = struct.Struct("<iff")  # kind, and for 32FC1 the two parameters of inverse depth


@dataclass(frozen=True, eq=False)
class DepthImage:
    """How far everything is along the optical axis of `camera`, the depth camera.

    depth: (H, W) uint16 millimetres or float32 metres; 0, negative or not finite where nothing was measured.
    R_depth_camera (3, 3), t_depth_camera_m (3,): v_depth = R_depth_camera @ v_camera + t_depth_camera_m, where v_camera
    is in the optical frame of the camera whose faces are looked for. Left out: both are the same frame.
    Raises HpeError when the array is no depth image of the camera's size.
    """

    depth: np.ndarray
    camera: CameraModel
    R_depth_camera: np.ndarray = field(default_factory=lambda: np.eye(3))
    t_depth_camera_m: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        shape, kind = np.shape(self.depth), getattr(self.depth, "dtype", None)
        if len(shape) != 2 or kind not in (np.uint16, np.float32):
            raise HpeError(f"depth image must be (H, W) uint16 or float32, got {shape} {kind}")
        if shape != (self.camera.height, self.camera.width):
            size = f"{self.camera.width}x{self.camera.height}"
            raise HpeError(f"depth image is {shape[1]}x{shape[0]} but its camera {size}")

    def metres_at(self, pixels: np.ndarray) -> np.ndarray:
        """Metres (...,) at the pixels (..., 2) nearest to those given; NaN beside the image and where it has none."""
        column, row = np.moveaxis(np.rint(np.nan_to_num(pixels, nan=-1.0, posinf=-1.0, neginf=-1.0)), -1, 0)
        inside = (column >= 0) & (row >= 0) & (column < self.camera.width) & (row < self.camera.height)
        found = self.depth[np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int)]
        metres = found * 1e-3 if found.dtype == np.uint16 else found.astype(float)
        return np.where(inside & np.isfinite(metres) & (metres > 0), metres, np.nan)


def depth_from_raw(
    data: bytes | array | np.ndarray,
    height: int,
    width: int,
    encoding: str,
    step: int,
    is_bigendian: bool | int = False,
) -> np.ndarray:
    """(height, width) uint16 millimetres or float32 metres from the fields of sensor_msgs/Image.

    Raises HpeError on an encoding that is not in DEPTH_ENCODINGS, or when data, step and size do not fit together.
    """
    check_depth_encoding(encoding)
    kind = np.dtype(_SAMPLES[encoding])
    rows = unpadded_rows(data, height, width, int(height), int(width) * kind.itemsize, step, encoding)
    samples = rows.view(kind.newbyteorder(">" if is_bigendian else "<"))
    return samples.astype(kind, copy=False)


def check_depth_encoding(encoding: str) -> None:
    """Raises HpeError, listing the allowed, unless `encoding` is one of DEPTH_ENCODINGS."""
    if encoding not in _SAMPLES:
        raise HpeError(f"depth encoding '{encoding}' is unknown, allowed: {', '.join(DEPTH_ENCODINGS)}")


def depth_from_compressed(data: bytes | array | np.ndarray, description: str) -> np.ndarray:
    """(H, W) uint16 millimetres or float32 metres from a sensor_msgs/CompressedImage of a topic `.../compressedDepth`.

    description: its `format`, such as `16UC1; compressedDepth png`. Raises HpeError on another encoding or damage.
    """
    encoding = description.split(";")[0].strip()
    check_depth_encoding(encoding)
    buffer = np.frombuffer(data, np.uint8)
    if buffer.size <= _COMPRESSED_HEADER.size:
        raise HpeError(f"compressed depth image of {buffer.size} bytes is damaged")
    _, scale, offset = _COMPRESSED_HEADER.unpack(buffer[: _COMPRESSED_HEADER.size].tobytes())
    picture = buffer[_COMPRESSED_HEADER.size :]
    check_image(picture.tobytes())
    try:
        image = cv2.imdecode(picture, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise HpeError(f"compressed depth image cannot be decoded: {error.err}") from error
    if image is None or image.ndim != 2 or image.dtype != np.uint16:
        raise HpeError(f"compressed depth image of {buffer.size} bytes is no 16-bit PNG")
    if encoding != "32FC1":
        return image
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # metres = scale / (value - offset); 0: none
        return np.where(image > 0, np.float32(scale) / (image - np.float32(offset)), np.float32(np.nan))
