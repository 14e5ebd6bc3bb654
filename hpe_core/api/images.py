"""Images as people have them (a path, an array, a PIL image) as (H, W, 3) uint8 BGR."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Union

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.io.files import read_regular
from hpe_core.pixels.encodings import bgr_from_compressed, bgr_from_raw
from hpe_core.pixels.image_header import MAX_FILE_BYTES, MAX_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

ImageLike = Union[str, "os.PathLike[str]", np.ndarray, "Image"]
# (dtype, channels) -> encodings (hpe_core.pixels.encodings) of BGR and of RGB
_ENCODINGS = {
    ("uint8", 1): ("mono8", "mono8"),
    ("uint8", 3): ("bgr8", "rgb8"),
    ("uint8", 4): ("bgra8", "rgba8"),
    ("uint16", 1): ("mono16", "mono16"),
    ("uint16", 3): ("bgr16", "rgb16"),
}
_WANTED = "a path, a uint8 or uint16 array (H, W), (H, W, 3) or (H, W, 4), or a PIL image"


def is_image(thing: object) -> bool:
    """Whether a thing is one image, and not several of them."""
    return isinstance(thing, str | os.PathLike | np.ndarray) or is_pil(thing)


def bgr_of(image: ImageLike, rgb: bool) -> np.ndarray:
    """The image (H, W, 3) uint8 BGR; may share memory with an array that is just that.

    rgb: whether colour arrays are RGB; files and PIL images know it themselves. Alpha is left out, 16 bits are scaled
    to 8, and the EXIF orientation is applied. Raises HpeError when it is no image or cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        return _of_file(Path(image))
    if isinstance(image, np.ndarray):
        return _of_array(image, rgb)
    if is_pil(image):
        return _of_pil(image)
    raise HpeError(f"an image must be {_WANTED}, got {type(image).__name__}")


def is_pil(thing: object) -> bool:
    """Whether a thing is a PIL image; without loading PIL, since who has such an image has loaded it."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(thing, module.Image)


def _of_file(path: Path) -> np.ndarray:
    if not os.path.lexists(path):
        raise HpeError(f"{path} does not exist")
    try:
        return bgr_from_compressed(read_regular(path, MAX_FILE_BYTES))
    except HpeError as error:
        told = str(error)
        raise error if str(path) in told else HpeError(f"{path}: {told}") from error


def _of_array(array: np.ndarray, rgb: bool) -> np.ndarray:
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if array.size and array.dtype == np.uint16 and channels == 4:
        array, channels = array[:, :, :3], 3
    names = _ENCODINGS.get((array.dtype.name, channels))
    if names is None or array.size == 0:
        hint = ""
        if array.size and array.dtype.kind == "f" and channels in (1, 3, 4):
            hint = "; convert it, for 0 ... 1 with (255 * image).astype(numpy.uint8)"
        elif array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "; the channels come last: image.transpose(1, 2, 0)"
        raise HpeError(f"an image must be {_WANTED}, got shape {array.shape} {array.dtype.name}{hint}")
    height, width = array.shape[:2]
    if names[rgb] == "bgr8" and height * width <= MAX_PIXELS:
        return np.ascontiguousarray(array)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return bgr_from_raw(array.reshape(-1).view(np.uint8), height, width, names[rgb], array.nbytes // height)


def _of_pil(image: Image) -> np.ndarray:
    from PIL import ImageOps

    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        raise HpeError(f"a PIL image may have 1 to {MAX_PIXELS} pixels, got {width}x{height}")
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits; PIL would cut them off at 255
            return _of_array(np.clip(np.asarray(upright), 0, 65535).astype(np.uint16), rgb=True)
        if upright.mode == "F":
            raise HpeError("a PIL image of mode F (floating point) has no known range: convert it to L or RGB")
        return cv2.cvtColor(np.asarray(upright.convert("RGB")), cv2.COLOR_RGB2BGR)
    except (OSError, ValueError, SyntaxError) as error:  # a file that PIL reads only now
        raise HpeError(f"the PIL image cannot be read: {error}") from error
