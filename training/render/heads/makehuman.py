"""Random MakeHuman heads as lists of parts ready to draw, in the head frame (metres; x left, y down, z back)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hpe_core.geometry.rigid import rigid_fit
from training.render import assets
from training.render.assets import Proxy, Surface
from training.render.heads import landmarks

# Turns MakeHuman's axes (after the flip to y down, z back) into the canonical orientation of 300W-LP / BFM:
# v_head = R_HEAD_MESH @ v_mesh. Measured with calibrate.py: consensus of three teachers trained on 300W-LP (3DDFA_V2,
# a lightweight network, FSA-Net) on near-frontal renders (all angles below 20 deg), median of the rotation vector
# of R_true^T R_teacher about x: +6.35 +- 0.35 deg at 0 (200 renders), +0.22 +- 0.18 deg at -7.3 (500 renders).
# The three teachers differ by 1.6 deg among themselves. y and z (measured -0.4, -0.2) are zero by symmetry.
PITCH_MESH_DEG = -7.3
R_HEAD_MESH = Rotation.from_euler("x", PITCH_MESH_DEG, degrees=True).as_matrix()

FLIP = np.diag([1.0, -1.0, -1.0])  # MakeHuman (x left, y up, z front) to head axes
SELLION = [136, 132]  # base vertices around the deepest point of the nose root, on the mid-line
CHIN = 5171
FACE_HEIGHT_M = 0.1138  # sellion to chin of the mean mesh: its size is then that of the teachers' mean face
BODY_LOW_DM, BODY_SIDE_DM = 1.5, 3.5  # what is kept of the body: hips and up, no hands
TORSO_TOP_DM = 5.75  # shoulders below another head
NECK_PIVOT_MESH_DM = np.array([0.0, 6.3, 0.25])  # the body turns about this point relative to the head

RACES, GENDERS = ("african", "asian", "caucasian"), ("female", "male")
WEIGHTS = ("minweight", "averageweight", "maxweight")
SHAPE_FOLDERS = ("cheek", "chin", "ears", "eyes", "eyebrows", "forehead", "head", "mouth", "neck", "nose")
SHAPE_SKIP = (
    "trans-in",
    "trans-out",
    "head-trans",
    "head-angle",
    "head-age",
    "neck-trans",
    "scale-vert",
    "eyefold-",
    "pointed",
    "nubian",
)


EXTRAS = {"glasses": 0.22, "mask": 0.08, "hat": 0.1, "hand": 0.05}  # chances


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


@dataclass
class Head:
    parts: list[Part]
    hat_plane: np.ndarray  # (4,) head frame: hair with plane[:3] . v > plane[3] is hidden under a hat
    landmarks: np.ndarray  # (68, 3) head frame


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
    ict_expression: np.ndarray | None = None  # (57,)


class HeadModel:
    """Loads the MakeHuman data once and builds heads from it."""

    def __init__(self, data: Path = assets.DEFAULT_DATA, split: str | None = None):
        """split: "train", "test" or None, see assets.in_split."""
        root = assets.require(Path(data) / "heads" / "makehuman")
        obj = assets.load_obj(root / "base.obj")
        self.base = obj.vertices
        self.targets = assets.Targets(root / "targets.npz")
        low = (self.base[:, 1] < BODY_LOW_DM) | (np.abs(self.base[:, 0]) > BODY_SIDE_DM)

        def group(*names):
            faces = {f for n in names for f in obj.groups[n]}
            keep = [obj.faces[f] for f in sorted(faces) if not any(low[v] for v, _ in obj.faces[f])]
            return assets.Obj(obj.vertices, obj.uv, keep).surface()

        def below(y_dm):
            faces = [obj.faces[f] for f in obj.groups["body"]]
            keep = [f for f in faces if not any(low[v] or self.base[v, 1] > y_dm for v, _ in f)]
            return assets.Obj(obj.vertices, obj.uv, keep).surface()

        self.surfaces = {
            "body": group("body"),
            "torso": below(TORSO_TOP_DM),
            "teeth": group("helper-upper-teeth", "helper-lower-teeth"),
            "tongue": group("helper-tongue"),
        }
        self.hair = {n: assets.load_proxy(root / "hair" / n) for n in assets.HAIR}
        self.brows = {f.name: assets.load_proxy(f) for f in sorted((root / "eyebrows").iterdir())}
        self.lashes = {f.name: assets.load_proxy(f) for f in sorted((root / "eyelashes").iterdir())}
        eye_texture = root / "eyes" / "materials" / "brown_eye.png"
        self.eyes = assets.load_proxy(root / "eyes" / "high-poly", eye_texture)
        self.textures = {p.stem: p for p in sorted((root / "skins").glob("*.jpg"))}
        self.textures |= {f"eye_{e}": root / "eyes" / "materials" / f"{e}_eye.png" for e in assets.EYES}
        self.textures |= {p.name: p.texture for p in [*self.hair.values(), *self.brows.values(), *self.lashes.values()]}
        skins = sorted(p.stem for p in (root / "skins").glob("*.jpg"))
        self.skins = [s for s in skins if assets.in_split(s, split)]
        self._hair_names = [h for h in assets.HAIR if assets.in_split(h, split)]
        face = (self.base[:, 2] > 0.55) & (self.base[:, 1] > 6.2) & (self.base[:, 1] < 7.9)
        self.face = np.flatnonzero(face & (np.arange(len(self.base)) < 13380))
        self.visible = np.flatnonzero((self.base[:, 1] > 5.9) & (np.arange(len(self.base)) < 13380))
        self._shape_groups = shape_groups(self.targets.names)
        self.reference = self.targets.add(self.base, mean_shape())
        self.reference -= self.reference[SELLION].mean(0)
        self.reference *= 10 * FACE_HEIGHT_M / np.linalg.norm(self.reference[CHIN])
        self.beard_area = beard_area((self.reference - self.reference[SELLION].mean(0)) @ FLIP.T * 0.1)
        mean = self.targets.add(self.base, mean_shape())
        mean_head_m = self.mesh_to_head(mean, 1.0)(mean)
        self.landmark_index, self.landmark_weight = landmarks.mesh_landmarks(self.surfaces["body"], mean_head_m)
        self.pivot_m = R_HEAD_MESH @ FLIP @ (NECK_PIVOT_MESH_DM - self.base[SELLION].mean(0)) * 0.1

    def mesh_to_head(self, shape: np.ndarray, size: float):
        """Similarity that lays the face of `shape` (V, 3) dm on the reference face; returns a function dm -> metres.

        The sellion goes exactly to the origin. Aligning rotation and size on the whole face keeps the canonical
        orientation the same for all identities, whatever their targets do to the skull.
        """
        fit = rigid_fit(shape[self.face], self.reference[self.face])
        M, origin = 0.1 * size * fit.scale * R_HEAD_MESH @ FLIP @ fit.R, shape[SELLION].mean(0)
        return lambda v: (v - origin) @ M.T

    def build(self, look: Look) -> Head:
        """Geometry of one person."""
        shape = self.targets.add(self.base, look.shape)
        to_head = self.mesh_to_head(shape, look.size)
        face = self.targets.add(shape, look.expression)
        v = to_head(face)
        collar = look.collar[0] + look.collar[1] * np.abs(self.base[:, 0]) + look.collar[2] * self.base[:, 2]
        parts = [
            Part(
                "body",
                "skin",
                self.surfaces["body"],
                v,
                look.skin,
                cloth=collar - self.base[:, 1],
                rest=self.base[:, 1],
                beard=look.beard * self.beard_area if look.beard else None,
            ),
            Part("teeth", "solid", self.surfaces["teeth"], v, colour=(0.62, 0.55, 0.46)),
            Part("tongue", "solid", self.surfaces["tongue"], v, colour=(0.35, 0.08, 0.07)),
            proxy_part(self.eyes, face, to_head, "eye", f"eye_{look.eye}"),
            replace(proxy_part(self.brows[look.brow], face, to_head, "brow"), colour=tuple(look.brow_colour)),
            proxy_part(self.lashes[look.lash], face, to_head, "brow"),
        ]
        parts[-1].colour = (0.012, 0.01, 0.008)
        if look.hair:
            parts.append(proxy_part(self.hair[look.hair], shape, to_head, "hair"))
        eyes = to_head(self.eyes.fit(face))
        eyes = np.array([eyes[eyes[:, 0] * side > 0].mean(0) for side in (1, -1)])
        more, plane = wear(look, v[self.visible], eyes)
        return Head(parts + more, plane, landmarks.at(self.landmark_index, self.landmark_weight, v))

    def torso(self, look: Look) -> np.ndarray:
        """Vertices (V, 3) of this body in its own head's frame."""
        shape = self.targets.add(self.base, look.shape)
        return self.mesh_to_head(shape, look.size)(shape)

    def sample(self, rng: np.random.Generator) -> Look:
        """A random person."""
        skin = str(rng.choice(self.skins))
        shape, male, dark = self._sample_shape(rng, skin)
        hair = sample_hair(rng, male, self._hair_names)
        hair_colour = sample_hair_colour(rng, dark, skin.startswith("old"))
        gain = np.exp(rng.normal(0.15 if dark else -0.15, 0.35)) * np.exp(rng.normal(0, 0.06, 3))
        return Look(
            shape=shape,
            expression=sample_expression(rng),
            skin=skin,
            skin_tint=gain,
            skin_saturation=float(rng.uniform(0.55, 0.9) if dark else rng.uniform(0.75, 1.15)),
            hair=hair,
            hair_colour=hair_colour,
            hair_keep=float(rng.choice([0.0, 0.2, 0.4])),
            brow=str(rng.choice(list(self.brows))),
            brow_colour=hair_colour * rng.uniform(0.3, 1.0),
            lash=str(rng.choice(list(self.lashes))),
            eye=str(rng.choice(["brown", "brownlight"] if dark or rng.random() < 0.4 else assets.EYES)),
            collar=np.array([rng.uniform(5.1, 5.9), rng.choice([0, 0, 0.5, 1.0]), -rng.uniform(0.1, 0.5)]),
            cloth_colours=sample_cloth(rng),
            stripe_dm=float(rng.choice([0, 0, 0, 0.15, 0.4])),
            size=float(np.exp(rng.normal(0, 0.03))),
            beard=float(rng.uniform(0.3, 1)) if male and rng.random() < 0.4 else 0.0,
            extras=tuple(n for n, p in EXTRAS.items() if rng.random() < p),
            extras_seed=int(rng.integers(2**31)),
        )

    def _sample_shape(self, rng, skin):
        age_name, _, gender = skin.split("_")[:3]
        dark = "dark" in skin
        male = float(np.clip((gender == "male") + rng.normal(0, 0.15), 0, 1))
        old = {"young": rng.uniform(0, 0.25), "middleage": rng.uniform(0.2, 0.6), "old": rng.uniform(0.6, 1.0)}[
            age_name
        ]
        child = rng.uniform(0.2, 0.8) if age_name == "young" and rng.random() < 0.25 else 0.0
        ages = {"young": (1 - old) * (1 - child), "old": old * (1 - child), "child": child}
        race = rng.dirichlet([6, 0.6, 0.6] if dark else [0.5, 3, 4])
        fat = np.clip(rng.normal(0, 0.45), -1, 1)
        weight = dict(zip(WEIGHTS, (max(-fat, 0), 1 - abs(fat), max(fat, 0)), strict=True))
        shape = macro_weights(dict(zip(RACES, race, strict=True)), {"male": male, "female": 1 - male}, ages, weight)
        for names in self._shape_groups:
            if rng.random() < 0.45:
                left_right = names[rng.integers(len(names))]
                amount = min(abs(rng.normal(0, 0.27)), 0.8)
                shape |= {n: float(np.clip(amount + rng.normal(0, 0.08), 0, 1.1)) for n in left_right}
        for name in rng.choice([n for n in self.targets.names if n.startswith("asym/asym-")], 6, replace=False):
            shape[str(name)] = float(rng.uniform(0, 0.5))
        return shape, male > 0.5, dark


def wear(look: Look, skin: np.ndarray, eyes: np.ndarray) -> tuple[list[Part], np.ndarray]:
    """What covers the head: skin (V, 3) vertices, eyes (2, 3) centres, left first -> parts, hat plane (4,)."""
    from training.render.heads import extras

    rng, parts, plane = np.random.default_rng(look.extras_seed), [], np.array([0.0, 0.0, 0.0, 1.0])
    if "glasses" in look.extras:
        parts += extras.glasses(rng, skin, eyes)
    if "mask" in look.extras:
        parts += extras.mask(rng, skin)
    if "hat" in look.extras:
        hat, plane = extras.hat(rng, skin, 0.008 if look.hair else 0.0)
        parts += hat
    if "hand" in look.extras:
        colour = np.array([0.5, 0.3, 0.22]) * look.skin_tint * (0.2 if "dark" in look.skin else 1.0)
        parts += extras.hand(rng, skin, np.clip(colour, 0, 1))
    return parts, plane


def proxy_part(proxy: Proxy, base, to_head, kind, texture=None) -> Part:
    return Part(proxy.name, kind, proxy.surface, to_head(proxy.fit(base)), texture or proxy.name)


def beard_area(v: np.ndarray) -> np.ndarray:
    """v (V, 3) metres, mesh axes of the head frame -> (V,) 0..1: jaw, chin and upper lip without the lips."""
    x, y, z = np.abs(v[:, 0]), v[:, 1], v[:, 2]
    upper = np.where(z > 0.035, 0.03 + 0.0 * z, 0.058 - 0.6 * (x - 0.025).clip(0))
    area = np.clip((y - upper) / 0.025, 0, 1) * np.clip((0.14 - y) / 0.025, 0, 1) * np.clip((0.095 - z) / 0.02, 0, 1)
    lips = (x / 0.028) ** 2 + ((y - 0.077) / 0.012) ** 2
    return area * np.clip(lips - 0.8, 0, 1)


def macro_weights(race, gender, age, weight) -> dict[str, float]:
    """MakeHuman's macro targets: race x gender x age, and gender x age x weight at average muscle."""
    out = {
        f"macrodetails/{r}-{g}-{a}": wr * wg * wa
        for r, wr in race.items()
        for g, wg in gender.items()
        for a, wa in age.items()
    }
    out |= {
        f"macrodetails/universal-{g}-{a}-averagemuscle-{w}": wg * wa * ww
        for g, wg in gender.items()
        for a, wa in age.items()
        for w, ww in weight.items()
    }
    return {k: float(v) for k, v in out.items() if v > 1e-3}


def mean_shape() -> dict[str, float]:
    """The adult that fixes size and orientation: all races and both genders in equal parts."""
    third, half = dict.fromkeys(RACES, 1 / 3), dict.fromkeys(GENDERS, 0.5)
    return macro_weights(third, half, {"young": 0.75, "old": 0.25}, {"averageweight": 1.0})


def shape_groups(names: list[str]) -> list[list[tuple[str, ...]]]:
    """Alternatives that exclude each other (incr / decr ...), each a tuple of targets set together (left and right)."""
    groups: dict[str, dict[str, list[str]]] = {}
    for name in names:
        folder, _, leaf = name.partition("/")
        if folder not in SHAPE_FOLDERS or any(s in name for s in SHAPE_SKIP):
            continue
        both = leaf[2:] if leaf[:2] in ("l-", "r-") else leaf
        stem = "-".join(both.split("-")[:-1]) or both
        groups.setdefault(f"{folder}/{stem}", {}).setdefault(both, []).append(name)
    return [[tuple(pair) for pair in sides.values()] for _, sides in sorted(groups.items())]


def sample_expression(rng) -> dict[str, float]:
    """Expression units with weights; most faces are near neutral."""
    e: dict[str, float] = {}

    def put(chance, high, *units, low=0.0):
        if rng.random() < chance:
            e.update({f"expression/units/caucasian/{u}": float(rng.uniform(low, high)) for u in units})

    put(0.35, 1.0, "mouth-open")
    put(0.45, 1.0, "mouth-corner-puller")
    put(0.15, 0.8, "mouth-pursing")
    put(0.15, 0.8, "mouth-retraction")
    put(0.15, 0.8, "mouth-depression")
    put(0.10, 0.7, "mouth-upward-retraction")
    for unit in ("eye-{}-slit", "eye-{}-opened-up", "eyebrows-{}-up", "eyebrows-{}-down", "eyebrows-{}-inner-up"):
        put(0.2, 0.8, *(unit.format(side) for side in ("left", "right")))
    put(0.12, 1.0, "eye-left-closure", "eye-right-closure", low=0.7)
    return e


def sample_hair(rng, male: bool, allowed) -> str | None:
    if rng.random() < (0.15 if male else 0.03):
        return None
    short, long = ("short01", "short02", "short04"), ("bob02", "braid01", "long01", "ponytail01", "short03")
    usual, other = (short, long) if male else (long, short)
    wanted = [h for h in (usual if rng.random() < 0.9 else other) if h in allowed]
    return str(rng.choice(wanted or list(allowed)))


def sample_hair_colour(rng, dark: bool, old: bool) -> np.ndarray:
    """Linear RGB."""
    colours = [0.012, 0.010, 0.009], [0.09, 0.045, 0.022], [0.42, 0.27, 0.12], [0.24, 0.07, 0.02], [0.4, 0.4, 0.4]
    # black, brown, blond, red, grey
    p = [0.85, 0.12, 0.01, 0.01, 0.01] if dark else [0.3, 0.35, 0.2, 0.07, 0.08]
    if old:
        p = [0.25, 0.2, 0.1, 0.05, 0.4]
    colour = np.array(colours[rng.choice(5, p=p)])
    if rng.random() < 0.03:
        colour = rng.uniform(0.02, 0.6, 3)
    return np.clip(colour * np.exp(rng.normal(0, 0.3)) * np.exp(rng.normal(0, 0.08, 3)), 0, 0.9)


def sample_cloth(rng) -> np.ndarray:
    value = rng.uniform(0.01, 0.8, (2, 1))
    return np.clip(value * (1 - rng.uniform(0, 0.9, (2, 1)) * rng.random((2, 3))), 0, 1)
