"""Boxes of another face detector, checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hpe_core.errors import HpeError

_SHAPE = "boxes must be (N, 4): x0, y0, x1, y1 in pixels"


def checked_boxes(boxes: ArrayLike, width: int, height: int) -> np.ndarray:
    """Boxes (N, 4) x0, y0, x1, y1 px as floats. Raises HpeError that names the first box that is none of an image of
    width x height: not finite, empty, its centre outside, or in units of the image's size."""
    try:
        array = np.asarray(boxes, float)
    except (TypeError, ValueError) as error:
        raise HpeError(f"{_SHAPE}, got {type(boxes).__name__} that is no array of numbers") from error
    if array.shape == (0,):
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        hint = "; put a single box into a list: boxes=[box]" if array.shape == (4,) else ""
        raise HpeError(f"{_SHAPE}, got shape {array.shape}{hint}")
    if len(array) and np.all((array >= 0.0) & (array <= 1.0)):
        raise HpeError(f"{_SHAPE}; these all lie in 0 ... 1: multiply x by the width {width}, y by the height {height}")
    for row, (x0, y0, x1, y1) in enumerate(array.tolist()):
        told = f"box {row} is {x0:g}, {y0:g}, {x1:g}, {y1:g}"
        if not np.all(np.isfinite(array[row])):
            raise HpeError(f"{told}: its numbers must be finite")
        if not (x1 > x0 and y1 > y0):
            raise HpeError(f"{told}: x1 must be above x0 and y1 above y0 (x, y, width, height? then add x and y)")
        if not (0.0 <= 0.5 * (x0 + x1) <= width - 1 and 0.0 <= 0.5 * (y0 + y1) <= height - 1):
            raise HpeError(f"{told}: its centre must lie in the image of {width}x{height}")
    return array
