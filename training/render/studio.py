"""One call per image: person, pose, light, picture, label; a pure function of (seed, index)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpe_core.geometry.head import FACE_CENTRE_M
from training.render import assets, post
from training.render.gl import Renderer, Scene
from training.render.head import Head, HeadModel, Look, mean_shape
from training.render.light import encode, load_environments
from training.render.occlusion import ambient_occlusion
from training.render.sample import Label, sample_label, sample_scene

IMAGES_PER_PERSON = 4


@dataclass
class Picture:
    image: np.ndarray  # (h, w, 3) uint8 RGB
    alpha: np.ndarray  # (h, w) uint8 coverage
    label: Label
    person: str
    landmarks: Landmarks


@dataclass
class Landmarks:
    """The 68 points of one face."""

    px: np.ndarray  # (68, 2) pixel centres at integers
    z_m: np.ndarray  # (68,) depth in the look-at camera minus that of the face centre
    visible: np.ndarray  # (68,) bool


class Studio:
    def __init__(self, data: Path = assets.DEFAULT_DATA, split: str | None = None):
        self.model = HeadModel(data, split)
        self.environments = [e for e in load_environments(data) if assets.in_split(e.name, split)]
        self.renderer = Renderer(self.model.textures)
        self._occlusion: dict = {}
        self._cached: tuple = (None, None, None)  # key, look, head

    def person(self, seed: int, number: int) -> tuple[Look, Head]:
        """Look and uploaded geometry of person `number` of this seed."""
        if self._cached[0] != (seed, number):
            look = self.model.sample(np.random.default_rng([seed, 1, number]))
            self._cached = ((seed, number), look, self.load(look))
        return self._cached[1:]

    def load(self, look: Look) -> Head:
        head = self.model.build(look)
        occlusion = self.occlusion(look.hair)
        for part in head.parts:
            part.ao = occlusion.get(part.name)
        self.renderer.upload(head.parts)
        return head

    def occlusion(self, hair: str | None) -> dict[str, np.ndarray]:
        if hair not in self._occlusion:
            mean = replace(
                self.model.sample(np.random.default_rng(0)),
                shape=mean_shape(),
                expression={},
                hair=hair,
                size=1,
                extras=(),
            )
            self._occlusion[hair] = ambient_occlusion(self.renderer, self.model.build(mean).parts)
        return self._occlusion[hair]

    def compose(
        self, look: Look, head: Head, scene: Scene, environment, R_world_camera
    ) -> tuple[np.ndarray, np.ndarray]:
        """-> (image (h, w, 3) uint8, alpha (h, w) uint8) before any camera effects."""
        rgba = self.renderer.draw(head.parts, look, replace(scene, hat_plane=head.hat_plane))
        view = environment.view(scene.K, scene.width, scene.height, R_world_camera)
        background = encode(view * scene.exposure) * 255
        alpha = rgba[..., 3]
        return np.clip(rgba[..., :3] + background * (1 - alpha[..., None] / 255) + 0.5, 0, 255).astype(np.uint8), alpha

    def landmarks(self, head: Head, scene: Scene, label: Label) -> Landmarks:
        """Of the face that was drawn last."""
        camera = head.landmarks @ label.R_camera_head.T + label.t_camera_head_m
        pixel = camera @ label.K.T
        z_m = (head.landmarks - FACE_CENTRE_M) @ label.R_local[2]
        return Landmarks(pixel[:, :2] / pixel[:, 2:], z_m, self.renderer.seen(scene, camera))

    def picture(self, seed: int, index: int, size: int) -> Picture:
        rng = np.random.default_rng([seed, 0, index])
        number = index // IMAGES_PER_PERSON
        look, head = self.person(seed, number)
        label = sample_label(rng, size)
        environment = self.environments[rng.integers(len(self.environments))]
        scene, R_world_camera = sample_scene(rng, label, size, environment, self.model.pivot_m)
        image, alpha = self.compose(look, head, scene, environment, R_world_camera)
        landmarks = self.landmarks(head, scene, label)
        return Picture(post.degrade(rng, image), alpha, label, f"mh{seed}_{number}", landmarks)
