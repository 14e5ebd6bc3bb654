"""What can be looked at: a ball around a point of a frame."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpe_core.errors import HpeError

EXAMPLE = "tablet frame=tablet_link point=0,0,0.1 radius=0.15"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MAX_RADIUS_M = 100.0


@dataclass(frozen=True)
class Target:
    """A ball of radius_m around point_m (x, y, z metres) in frame_id; an empty frame_id is the frame of the heads."""

    name: str
    frame_id: str = ""
    point_m: tuple[float, ...] = (0.0, 0.0, 0.0)
    radius_m: float = 0.0


@dataclass(frozen=True, eq=False)
class PlacedTarget:
    """A target seen from the frame of the heads; point_camera_m (3,) metres, or None while its place is unknown."""

    name: str
    point_camera_m: np.ndarray | None
    radius_m: float


def parse_target(text: str) -> Target:
    """Target from `NAME [frame=FRAME] [point=X,Y,Z] [radius=R]`, metres. Raises HpeError that quotes the text."""
    words = text.split() if isinstance(text, str) else []
    if not words or not _NAME.fullmatch(words[0]):
        raise HpeError(f"target must be like '{EXAMPLE}' with a name of letters, digits and _, got {text!r}")
    values = {}
    for word in words[1:]:
        key, _, value = word.partition("=")
        if key not in ("frame", "point", "radius") or not value or key in values:
            raise HpeError(f"target {text!r}: got '{word}', allowed once each: frame=, point=, radius=")
        values[key] = value
    point = _numbers(text, "point", values.get("point", "0,0,0"), 3)
    (radius,) = _numbers(text, "radius", values.get("radius", "0"), 1)
    if not 0.0 <= radius <= _MAX_RADIUS_M:
        raise HpeError(f"target {text!r}: radius must lie in [0, {_MAX_RADIUS_M:g}] m, got {radius:g}")
    return Target(words[0], values.get("frame", "").lstrip("/"), point, radius)


def parse_targets(texts: Sequence[str]) -> tuple[Target, ...]:
    """Targets from texts. Raises HpeError when there is none or a name occurs twice."""
    targets = tuple(parse_target(text) for text in texts)
    names = [target.name for target in targets]
    if not targets or len(set(names)) < len(names):
        raise HpeError(f"targets must be at least one, each with a name of its own, got {', '.join(names) or 'none'}")
    return targets


def _numbers(text: str, key: str, value: str, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in value.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        plural = "" if count == 1 else "s"
        raise HpeError(f"target {text!r}: {key} must be {count} finite number{plural}, got '{value}'")
    return numbers
