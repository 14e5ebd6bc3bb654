"""Texts on pictures, each on a dark plate: where they fit, and how they are drawn."""

import re
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

Bgr = tuple[int, int, int]
Line = tuple[str, Bgr]  # a text and its colour

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAP_PX = 21.0  # height of a capital letter of size 1
_SIGNS = re.compile("([°±])")  # which OpenCV's fonts do not have
_DARK = 0.3  # what a plate leaves of the image
_AROUND = np.array([(x, y) for y in (0.0, 1.0, 0.5) for x in (1.0, -1.0)] + [(0, -1), (0, 2), (0.5, -1), (0.5, 2)])


@dataclass(frozen=True)
class Plate:
    """Lines of text, each with its colour (blue, green, red); size: of the font."""

    lines: tuple[Line, ...]
    size: float

    @property
    def weight(self) -> int:
        """Thickness of the strokes, pixels."""
        return max(1, round(1.9 * self.size))

    @property
    def _pad(self) -> int:
        return max(2, round(6 * self.size))

    @property
    def _row(self) -> int:
        return max(8, round(1.65 * _CAP_PX * self.size))

    @cached_property
    def _runs(self) -> list[list[tuple[str, float]]]:
        """Of every line its parts that are drawn in one go, with their widths."""
        return [[(part, self._advance(part)) for part in _SIGNS.split(text) if part] for text, _ in self.lines]

    @cached_property
    def extent(self) -> tuple[int, int]:
        """Width and height of the plate, pixels."""
        width = max(sum(advance for _, advance in runs) for runs in self._runs)
        return round(width) + 2 * self._pad, self._row * len(self.lines) + self._pad

    def draw(self, canvas: np.ndarray, left: int, top: int) -> None:
        """Draw it with its top left corner there; all of it must lie in the canvas (H, W, 3) uint8."""
        width, height = self.extent
        ground = canvas[top : top + height, left : left + width]
        cv2.convertScaleAbs(ground, ground, _DARK)
        for i, (runs, (_, colour)) in enumerate(zip(self._runs, self.lines, strict=True)):
            x, y = float(left + self._pad), top + self._row * (i + 1) - max(1, self._pad // 4)
            for part, advance in runs:
                self._put(canvas, part, x, y, colour)
                x += advance

    def _advance(self, part: str) -> float:
        if part == "°":
            return 0.45 * _CAP_PX * self.size
        text = "+" if part == "±" else part
        return cv2.getTextSize(text, _FONT, self.size, self.weight)[0][0]

    def _put(self, canvas: np.ndarray, part: str, x: float, y: int, colour: Bgr) -> None:
        cap, left = _CAP_PX * self.size, round(x)
        if part == "°":
            centre = (round(x + 0.22 * cap), round(y - 0.85 * cap))
            cv2.circle(canvas, centre, max(1, round(0.15 * cap)), colour, max(1, self.weight - 1), cv2.LINE_AA)
        elif part == "±":
            cv2.putText(canvas, "+", (left, round(y - 0.1 * cap)), _FONT, self.size, colour, self.weight, cv2.LINE_AA)
            ends = (round(x + 0.2 * cap), y), (round(x + self._advance(part) - 0.2 * cap), y)
            cv2.line(canvas, *ends, colour, self.weight, cv2.LINE_AA)
        else:
            cv2.putText(canvas, part, (left, y), _FONT, self.size, colour, self.weight, cv2.LINE_AA)


def place_beside(
    extent: tuple[int, int], head: np.ndarray, heads: np.ndarray, taken: np.ndarray, size: tuple[int, int]
) -> np.ndarray | None:
    """Rectangle (4,) int x0, y0, x1, y1 for a plate of an extent (width, height) beside a head (4,): within an image of
    `size` (width, height), off what is taken (N, 4) already, else off all heads (M, 4), else near. None when the image
    is smaller than the plate.
    """
    room = np.array(size) - extent
    if room.min() < 0:
        return None
    gap = 3.0
    low, high, wide = head[:2] - gap, head[2:] + gap, np.array(extent, float)
    # right and left of the head, level with its top, its bottom and its middle; above it and below it; and farther
    steps = np.concatenate([_AROUND, _AROUND + [0, -1.2], _AROUND + [0, 1.2], _AROUND * [2.2, 1.0]])
    x, y = steps.T
    lefts = np.where(x >= 1, high[0] + (x - 1) * wide[0], np.where(x <= -1, low[0] + x * wide[0], low[0]))
    lefts = np.where((x > 0) & (x < 1), high[0] - wide[0], lefts)
    tops = low[1] + y * np.maximum(high[1] - low[1] - wide[1], wide[1])
    above, below = (np.abs(x) < 1) & (y < 0), (np.abs(x) < 1) & (y > 1)
    tops = np.where(above, low[1] + y * wide[1], np.where(below, high[1] + (y - 2) * wide[1], tops))
    corners = np.clip(np.round(np.stack([lefts, tops], 1)), 0, room)
    boxes = np.concatenate([corners, corners + extent], 1)
    far = np.linalg.norm(boxes[:, :2] + wide / 2 - (head[:2] + head[2:]) / 2, axis=1)
    far = far + wide[0] * (above | below)  # rather at its side
    cost = 1e3 * _overlap(boxes, taken) + 10.0 * _overlap(boxes, heads) + 10.0 * _overlap(boxes, head[None]) + far
    return boxes[int(np.argmin(cost))].astype(int)


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pixels (N,) that boxes (N, 4) share with others (M, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.maximum(high - low, 0.0).prod(-1).sum(-1)
