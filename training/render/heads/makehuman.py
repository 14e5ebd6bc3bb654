"""Random MakeHuman heads as lists of parts ready to draw, in the head frame (metres; x left, y down, z back)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from training.render import assets
from training.render.assets import Proxy
from training.render.heads import extras, landmarks, people
from training.render.heads.head import Head, Look, Part, scaled_rotation

# Turns MakeHuman's axes (after the flip to y down, z back) into the canonical orientation of 300W-LP / BFM:
# v_head = R_HEAD_MESH @ v_mesh. Measured with calibrate.py: consensus of three teachers trained on 300W-LP (3DDFA_V2,
# a lightweight network, FSA-Net) on near-frontal renders (all angles below 20 deg), median of the rotation vector
# of R_true^T R_teacher about x: +6.35 +- 0.35 deg at 0 (200 renders), +0.22 +- 0.18 deg at -7.3 (500 renders).
# The three teachers differ by 1.6 deg among themselves. y and z (measured -0.4, -0.2) are zero by symmetry.
# Against ICT-FaceKit's heads the same teachers and OpNet said 2.1 deg (1.4 to 2.6), the rigid fit of the landmarks that
# do not move, eyes and nose, 2.4: at -6.2 that fit is 0, so that both kinds of head mean the same by "straight ahead".
PITCH_MESH_DEG = -6.1
R_HEAD_MESH = Rotation.from_euler("x", PITCH_MESH_DEG, degrees=True).as_matrix()

FLIP = np.diag([1.0, -1.0, -1.0])  # MakeHuman (x left, y up, z front) to head axes
SELLION = [136, 132]  # base vertices around the deepest point of the nose root, on the mid-line
CHIN = 5171
FACE_HEIGHT_M = 0.1138  # sellion to chin of the mean mesh: its size is then that of the teachers' mean face
BODY_LOW_DM, BODY_SIDE_DM = 1.5, 3.5  # what is kept of the body: hips and up, no hands
TORSO_TOP_DM = 5.75  # shoulders below another head
NECK_PIVOT_MESH_DM = np.array([0.0, 6.3, 0.25])  # the body turns about this point relative to the head


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
        self._shape_groups = people.shape_groups(self.targets.names)
        self.reference = self.targets.add(self.base, people.mean_shape())
        self.reference -= self.reference[SELLION].mean(0)
        self.reference *= 10 * FACE_HEIGHT_M / np.linalg.norm(self.reference[CHIN])
        self.beard_area = beard_area((self.reference - self.reference[SELLION].mean(0)) @ FLIP.T * 0.1)
        mean = self.targets.add(self.base, people.mean_shape())
        mean_head_m = self.mesh_to_head(mean, 1.0)(mean)
        self.landmark_index, self.landmark_weight = landmarks.mesh_landmarks(self.surfaces["body"], mean_head_m)
        self.pivot_m = R_HEAD_MESH @ FLIP @ (NECK_PIVOT_MESH_DM - self.base[SELLION].mean(0)) * 0.1

    def mesh_to_head(self, shape: np.ndarray, size: float):
        """Similarity that lays the face of `shape` (V, 3) dm on the reference face; returns a function dm -> metres.

        The sellion goes exactly to the origin. Aligning rotation and size on the whole face keeps the canonical
        orientation the same for all identities, whatever their targets do to the skull.
        """
        onto_reference = scaled_rotation(shape[self.face], self.reference[self.face])
        M, origin = 0.1 * size * R_HEAD_MESH @ FLIP @ onto_reference, shape[SELLION].mean(0)
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
        more, plane = extras.wear(look, v[self.visible], eyes)
        return Head(parts + more, plane, landmarks.at(self.landmark_index, self.landmark_weight, v))

    def torso(self, look: Look) -> np.ndarray:
        """Vertices (V, 3) of this body in its own head's frame."""
        shape = self.targets.add(self.base, look.shape)
        return self.mesh_to_head(shape, look.size)(shape)

    def sample(self, rng: np.random.Generator) -> Look:
        """A random person."""
        skin = str(rng.choice(self.skins))
        shape, male, dark = people.sample_shape(rng, skin, self.targets.names, self._shape_groups)
        hair = people.sample_hair(rng, male, self._hair_names)
        hair_colour = people.sample_hair_colour(rng, dark, skin.startswith("old"))
        gain = np.exp(rng.normal(0.15 if dark else -0.15, 0.35)) * np.exp(rng.normal(0, 0.06, 3))
        return Look(
            shape=shape,
            expression=people.sample_expression(rng),
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
            cloth_colours=people.sample_cloth(rng),
            stripe_dm=float(rng.choice([0, 0, 0, 0.15, 0.4])),
            size=float(np.exp(rng.normal(0, 0.03))),
            beard=float(rng.uniform(0.3, 1)) if male and rng.random() < 0.4 else 0.0,
            extras=tuple(n for n, p in people.EXTRAS.items() if rng.random() < p),
            extras_seed=int(rng.integers(2**31)),
        )


def proxy_part(proxy: Proxy, base, to_head, kind, texture=None) -> Part:
    return Part(proxy.name, kind, proxy.surface, to_head(proxy.fit(base)), texture or proxy.name)


def beard_area(v: np.ndarray) -> np.ndarray:
    """v (V, 3) metres, mesh axes of the head frame -> (V,) 0..1: jaw, chin and upper lip without the lips."""
    x, y, z = np.abs(v[:, 0]), v[:, 1], v[:, 2]
    upper = np.where(z > 0.035, 0.03 + 0.0 * z, 0.058 - 0.6 * (x - 0.025).clip(0))
    area = np.clip((y - upper) / 0.025, 0, 1) * np.clip((0.14 - y) / 0.025, 0, 1) * np.clip((0.095 - z) / 0.02, 0, 1)
    lips = (x / 0.028) ** 2 + ((y - 0.077) / 0.012) ** 2
    return area * np.clip(lips - 0.8, 0, 1)
