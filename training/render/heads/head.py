"""What a head is made of, and everything random about a person; head frame (metres; x left, y down, z back)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hpe_core.geometry.rigid import rotation_between_points
from hpe_core.io.shards import SHAPE
from training.render.assets import Surface


@dataclass
class Part:
    """One draw call. kind: skin, eye, hair, flat (textured, own colour), solid, lens."""

    name: str
    kind: str
    surface: Surface
    vertices: np.ndarray  # (V, 3) head frame, metres
    texture: str | None = None  # key of the renderer's texture table
    colour: tuple = (1.0, 1.0, 1.0)
    ao: np.ndarray | None = None  # (V,)
    opacity: float = 1.0
    cloth: np.ndarray | None = None  # (V,) > 0 where the surface is clothing
    rest: np.ndarray | None = None  # (V,) height in the rest pose, dm, for stripes
    beard: np.ndarray | None = None  # (V,) 0..1


def unknown_shape() -> dict[str, np.ndarray]:
    """That of a head which is not ICT-FaceKit's."""
    return {key: np.full(size, np.nan) for key, size in SHAPE.items()}


@dataclass
class Head:
    parts: list[Part]
    hat_plane: np.ndarray  # (4,) head frame: hair with plane[:3] . v > plane[3] is hidden under a hat
    landmarks: np.ndarray  # (68, 3) head frame
    shape: dict[str, np.ndarray] = field(default_factory=unknown_shape)  # by the keys of hpe_core.io.shards.SHAPE


@dataclass
class Look:
    """Everything random about a person except pose and light."""

    shape: dict[str, float]
    expression: dict[str, float]
    skin: str
    skin_tint: np.ndarray  # (3,) linear gain
    skin_saturation: float
    hair: str | None
    hair_colour: np.ndarray  # (3,) linear
    hair_keep: float  # share of the hair texture's own colour
    brow: str
    brow_colour: np.ndarray
    lash: str
    eye: str
    collar: np.ndarray  # (3,) dm: height, slope along |x|, slope along z
    cloth_colours: np.ndarray  # (2, 3) linear
    stripe_dm: float
    size: float  # head size relative to the reference
    beard: float  # 0 none, 1 full
    extras: tuple[str, ...]  # of glasses, mask, hat, hand
    extras_seed: int
    identity: np.ndarray | None = None  # (100,) of ICT-FaceKit instead of MakeHuman's shape
    ict_expression: np.ndarray | None = None  # (53,)


def scaled_rotation(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """s R (3, 3) of the best reference (N, 3) ~ s R points (N, 3) + t."""
    R, singular = rotation_between_points(points, reference)
    return singular.sum() / points.var(0).sum() * R
