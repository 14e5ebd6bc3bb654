"""People with ICT-FaceKit heads, photo textures (training/render/heads/skins.py) and MakeHuman's hair and shoulders."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import cKDTree

from training.render import assets
from training.render.heads.expressions import sample_expression
from training.render.heads.extras import wear
from training.render.heads.head import Head, Look, Part
from training.render.heads.ict import LANDMARKS, IctModel
from training.render.heads.makehuman import HeadModel, proxy_part
from training.render.heads.people import mean_shape

HEAD_VERTICES = 11248  # face, head and neck
SKULL_CENTRE_M, HAIR_LIFT_M = np.array([0.0, -0.01, 0.09]), 0.003
MODES = 40  # of a face's identity; what the other 60 do, half as much as in people, is detail
TORSO_LIFT_M = 0.03  # MakeHuman's neck is longer
IRIS_COLOURS = {  # linear RGB
    **{"brown": (0.06, 0.025, 0.01), "black": (0.015, 0.009, 0.006), "blue": (0.12, 0.22, 0.38)},
    **{"green": (0.13, 0.18, 0.08), "grey": (0.2, 0.23, 0.26)},
}


class PhotoHeads:
    def __init__(self, people: HeadModel, skins: Path, data: Path = assets.DEFAULT_DATA):
        """skins: a file of training.render.heads.skins. Adds its textures to those of `people`."""
        self.people, self.ict = people, IctModel(data)
        with np.load(assets.require(Path(skins))) as d:
            blob, offset, self.person = d["blob"], d["offset"], [str(p) for p in d["person"]]
        self.textures = {
            f"photo_{person}": partial(decode, blob[a:b])
            for person, a, b in zip(self.person, offset[:-1], offset[1:], strict=True)
        }
        self.textures["lashes"] = lashes
        self.textures |= {f"iris_{name}": partial(iris, colour) for name, colour in IRIS_COLOURS.items()}
        mean = people.targets.add(people.base, mean_shape())
        self._mean_to_head = people.mesh_to_head(mean, 1.0)
        v = self._mean_to_head(mean)
        self._mean, self._fitted = mean, {}
        self._torso: tuple = (None, None)  # shape of a look, vertices
        self._mean_skull, self._skull = Skull(v[:13380]), Skull(self.ict.neutral[:HEAD_VERTICES])

    def sample(self, rng: np.random.Generator) -> Look:
        look = self.people.sample(rng)
        identity = rng.normal(0, 1, 100) * np.where(np.arange(100) < MODES, 1.0, 0.5)
        return replace(
            look,
            identity=np.clip(identity, -2.5, 2.5),
            ict_expression=sample_expression(rng, self.ict.expression_names),
            skin=f"photo_{rng.choice(self.person)}",
            size=1.0,
            skin_tint=np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.03, 3)),
            skin_saturation=float(rng.uniform(0.85, 1.1)),
            eye=str(rng.choice(list(IRIS_COLOURS), p=[0.45, 0.2, 0.15, 0.1, 0.1])),
            beard=0.0,
        )

    def another_expression(self, look: Look, rng: np.random.Generator) -> Look:
        """The same person with another random expression."""
        return replace(look, ict_expression=sample_expression(rng, self.ict.expression_names))

    def build(self, look: Look) -> Head:
        """Geometry of one person."""
        ict = self.ict
        v = ict.face(look.identity, look.ict_expression, look.size)
        height_dm = 7.4 - 10 * v[:, 1]  # as in MakeHuman's mesh, where collars are given
        collar = look.collar[0] + 0.3 + look.collar[1] * 10 * np.abs(v[:, 0]) - look.collar[2] * (10 * v[:, 2] - 1.2)
        parts = [
            Part(
                "ict_skin",
                "skin",
                ict.surfaces["skin"],
                v,
                look.skin,
                cloth=collar - height_dm,
                rest=height_dm,
            ),
            Part("ict_teeth", "solid", ict.surfaces["teeth"], v, colour=(0.62, 0.55, 0.46)),
            Part("ict_mouth", "solid", ict.surfaces["mouth"], v, colour=(0.3, 0.07, 0.06)),
            Part("ict_eyes", "eye", ict.surfaces["eyes"], v, f"iris_{look.eye}"),
            Part("ict_lashes", "brow", ict.surfaces["lashes"], v, "lashes", colour=(0.012, 0.01, 0.008)),
        ]
        if self._torso[0] is not look.shape:  # expressions do not move it
            self._torso = look.shape, self.people.torso(look) - [0, TORSO_LIFT_M, 0]
        torso = self._torso[1]
        parts.append(
            Part("torso", "skin", self.people.surfaces["torso"], torso, look.skin, cloth=1.0 + 0 * torso[:, 1])
        )
        parts[-1].rest = 7.4 - 10 * torso[:, 1]
        if look.hair:
            parts.append(self._hair(look.hair, v))
        eyes = np.array([v[ball].mean(0) for ball in ict.eye_balls])
        skin = v[:HEAD_VERTICES]
        more, plane = wear(look, skin[skin[:, 1] < 0.16], eyes)
        shape = {"identity": look.identity, "expression": look.ict_expression}
        return Head(parts + more, plane, v[LANDMARKS], shape | {"gaze_rad": ict.gaze_rad(look.ict_expression)})

    def open_mouth_closed_eyes(self) -> np.ndarray:
        """(53,) an expression that shows the teeth and the lids."""
        shown = {"jawOpen": 0.7, "eyeBlink_L": 1.0, "eyeBlink_R": 1.0}
        return np.array([shown.get(name, 0.0) for name in self.ict.expression_names])

    def _hair(self, name: str, v: np.ndarray) -> Part:
        """MakeHuman's hair as far above this skull as it is above MakeHuman's, along rays from the skull's middle."""
        if name not in self._fitted:
            part = proxy_part(self.people.hair[name], self._mean, self._mean_to_head, "hair")
            d = part.vertices - SKULL_CENTRE_M
            r = np.linalg.norm(d, axis=1)
            gap = r - self._mean_skull.radius(self._mean_skull.nearest(d))
            self._fitted[name] = part, d / r[:, None], gap + HAIR_LIFT_M, self._skull.nearest(d)
        part, direction, gap, near = self._fitted[name]
        r = self._skull.radius(near, v) + gap
        return replace(part, name=f"ict_{name}", vertices=SKULL_CENTRE_M + direction * r[:, None])


class Skull:
    """Distance of a skull's surface from SKULL_CENTRE_M by direction, from its vertices; ears and neck left out."""

    def __init__(self, v: np.ndarray):
        """v (V, 3) vertices of the mean head."""
        d = v - SKULL_CENTRE_M
        r = np.linalg.norm(d, axis=1)
        keep = (d[:, 1] < 0.04) & (np.abs(d[:, 0]) < 0.082) & (r > 0.06)
        self._index, self._mean = np.flatnonzero(keep), v
        self._tree = cKDTree((d / r[:, None])[keep])

    def nearest(self, d: np.ndarray) -> np.ndarray:
        """The 3 vertices nearest in direction to d (N, 3): (N, 3) indices."""
        return self._index[self._tree.query(d / np.linalg.norm(d, axis=1, keepdims=True), 3)[1]]

    def radius(self, near: np.ndarray, v: np.ndarray | None = None) -> np.ndarray:
        """Mean distance of vertices near (N, 3) of the head v, or of the mean head: (N,)."""
        v = self._mean if v is None else v
        return np.linalg.norm(v[near] - SKULL_CENTRE_M, axis=-1).mean(-1)


def decode(jpeg: np.ndarray) -> np.ndarray:
    image = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGBA)[::-1])


def lashes(upper: float = 0.5, lower: float = 0.15) -> np.ndarray:
    """Opacity of a strip of lashes, dense at the lid: upper lid left, lower lid right."""
    along = np.linspace(1, 0, 32)[:, None] ** 1.5 * np.repeat([upper, lower], 8)
    return np.repeat((along * 255).astype(np.uint8)[..., None], 4, axis=2)


def iris(colour, size: int = 256) -> np.ndarray:
    """An eyeball from the front: white, iris with a dark rim, pupil; the image is as wide as 26 mm."""
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    r = np.hypot(x - (size - 1) / 2, y - (size - 1) / 2) / size * 26  # mm
    angle = np.arctan2(y - size / 2, x - size / 2)
    white = np.stack([0.62 + 0 * r, 0.55 - 0.012 * r, 0.52 - 0.014 * r], -1)
    fibres = 1 + 0.25 * np.sin(37 * angle) * np.sin(11 * angle + 1)
    rim = np.clip((5.9 - r) / 0.8, 0.25, 1)
    image = np.where((r < 5.9)[..., None], np.array(colour) * (fibres * rim)[..., None], white)
    image = np.where((r < 1.9)[..., None], 0.003, image)
    srgb = np.clip(image, 0, 1) ** (1 / 2.2) * 255
    srgb = cv2.GaussianBlur(srgb, (0, 0), 1.0)
    return np.ascontiguousarray(np.dstack([srgb, np.full(r.shape, 255.0)]).astype(np.uint8))
