"""One call per image: person, pose, light, picture, label; a pure function of (seed, index)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpe_core.geometry.head import FACE_CENTRE_M
from training.data.labels import FaceLabel, FaceLandmarks
from training.render import assets, post
from training.render.gl import Renderer, Scene
from training.render.heads.head import Head, Look
from training.render.heads.makehuman import HeadModel
from training.render.heads.occlusion import ambient_occlusion
from training.render.heads.people import mean_shape
from training.render.heads.photo_head import PhotoHeads
from training.render.light import encode, load_environments
from training.render.sample import sample_body, sample_group, sample_label, sample_scene

IMAGES_PER_PERSON = 4
MAX_PEOPLE = 8
AWAY_COSINE = 0.3  # of the angle between face and camera: below it the head hides most of its own landmarks
MIN_SEEN = 0.25  # of the landmarks; a face that is covered more gets weight 0


@dataclass
class Face:
    label: FaceLabel
    landmarks: FaceLandmarks
    person: str


@dataclass
class Picture:
    image: np.ndarray  # (h, w, 3) uint8 RGB
    alpha: np.ndarray  # (h, w) uint8 coverage
    faces: list[Face]


class Studio:
    def __init__(
        self,
        data: Path = assets.DEFAULT_DATA,
        split: str | None = None,
        skins: Path | None = None,
        photo_share: float = 0.5,
        every_direction: bool = False,
        facing: bool = False,
        bare: bool = False,
    ):
        """split: see assets.in_split; skins: a file of training.render.heads.skins, for photo_share of the people;
        every_direction, facing: see sample.sample_label; bare: nothing is worn before the face."""
        self.every_direction, self.facing, self.bare = every_direction, facing, bare
        self.model = HeadModel(data, split)
        self.photo = PhotoHeads(self.model, skins, data) if skins else None
        self.photo_share = photo_share if skins else 0.0
        self.environments = [e for e in load_environments(data) if assets.in_split(e.name, split)]
        self.renderer = Renderer(self.model.textures | (self.photo.textures if self.photo else {}))
        self._occlusion: dict = {}
        self._cached: tuple = (None, None, None)  # key, look, head

    def person(self, seed: int, number: int) -> tuple[Look, Head]:
        """Look and uploaded geometry of person `number` of this seed."""
        if self._cached[0] != (seed, number):
            model = self.photo if np.random.default_rng([seed, 3, number]).random() < self.photo_share else self.model
            look = model.sample(np.random.default_rng([seed, 1, number]))
            look = replace(look, extras=()) if self.bare else look
            self._cached = ((seed, number), look, self.load(look))
        return self._cached[1:]

    def load(self, look: Look) -> Head:
        head = (self.model if look.identity is None else self.photo).build(look)
        occlusion = self.occlusion(look)
        for part in head.parts:
            part.ao = occlusion.get(part.name)
        self.renderer.upload(head.parts)
        return head

    def occlusion(self, look: Look) -> dict[str, np.ndarray]:
        """Ambient occlusion on the mean head with this hair."""
        key = (look.hair, look.identity is None)
        if key not in self._occlusion:
            mean = replace(look, shape=mean_shape(), expression={}, size=1, extras=())
            if look.identity is None:
                seen = ambient_occlusion(self.renderer, self.model.build(mean).parts)
            else:  # what an open mouth and closed lids show is lit, too
                mean = replace(mean, identity=np.zeros(1))
                faces = [replace(mean, ict_expression=e) for e in (np.zeros(53), self.photo.open_mouth_closed_eyes())]
                both = [ambient_occlusion(self.renderer, self.photo.build(face).parts) for face in faces]
                seen = {name: np.maximum(*(one[name] for one in both)) for name in both[0]}
            self._occlusion[key] = seen
        return self._occlusion[key]

    def compose(
        self, look: Look, head: Head, scene: Scene, environment, R_world_camera
    ) -> tuple[np.ndarray, np.ndarray]:
        """-> (image (h, w, 3) uint8, alpha (h, w) uint8) before any camera effects."""
        rgba = self.renderer.draw(head.parts, look, replace(scene, hat_plane=head.hat_plane))
        return before_background(rgba, scene, environment, R_world_camera)

    def landmarks(self, head: Head, scene: Scene, label: FaceLabel) -> FaceLandmarks:
        """Of a face in the last drawing."""
        camera = head.landmarks @ label.R_camera_head.T + label.t_camera_head_m
        pixel = camera @ label.K.T
        z_m = (head.landmarks - FACE_CENTRE_M) @ label.R_local[2]
        return FaceLandmarks(pixel[:, :2] / pixel[:, 2:], z_m, self.renderer.seen(scene, camera))

    def face(self, head: Head, scene: Scene, label: FaceLabel, person: str) -> Face:
        """A face in the last drawing; its weight is 0 where too little of it is seen.

        Where every direction counts, only a face that could be seen: that of a head turned away hides itself.
        """
        landmarks = self.landmarks(head, scene, label)
        away = self.every_direction and label.R_local[2, 2] < AWAY_COSINE
        seen = float(away or landmarks.visible.mean() >= MIN_SEEN)
        return Face(replace(label, weight=min(label.weight, seen), **head.shape), landmarks, person)

    def picture(self, seed: int, index: int, size: int) -> Picture:
        """A square training image of one person; ICT-FaceKit's heads have another expression in each."""
        rng = np.random.default_rng([seed, 0, index])
        number = index // IMAGES_PER_PERSON
        look, head = self.person(seed, number)
        if self.photo and look.identity is not None:
            look = self.photo.another_expression(look, np.random.default_rng([seed, 5, index]))
            head = self.load(look)
        label = sample_label(rng, size, self.every_direction, self.facing)
        environment = self.environments[rng.integers(len(self.environments))]
        scene, R_world_camera = sample_scene(rng, label, size, environment, self.model.pivot_m)
        image, alpha = self.compose(look, head, scene, environment, R_world_camera)
        face = self.face(head, scene, label, name_of(look, seed, number))
        return Picture(post.degrade(rng, image), alpha, [face])

    def view(self, seed: int, index: int, width: int, height: int, people: tuple[int, int] = (1, 1)) -> Picture:
        """A full frame with between people[0] and people[1] people, as a camera in a room sees them; for tests."""
        rng = np.random.default_rng([seed, 4, index])
        labels = sample_group(rng, width, height, int(rng.integers(people[0], people[1] + 1)))
        environment = self.environments[rng.integers(len(self.environments))]
        scene, R_world_camera = sample_scene(rng, labels[0], width, environment, self.model.pivot_m)
        scene = replace(scene, height=height)
        self.renderer.begin(scene)
        drawn = []
        for k in np.argsort([-np.linalg.norm(a.t_camera_head_m) for a in labels]):  # what blends comes last
            number = index * MAX_PEOPLE + int(k)
            look, head = self.person(seed, number)
            own = replace(
                scene,
                R_camera_head=labels[k].R_camera_head,
                t_camera_head_m=labels[k].t_camera_head_m,
                body_rotvec=sample_body(rng, labels[k].R_local),
                hat_plane=head.hat_plane,
            )
            self.renderer.add(head.parts, look, own)
            drawn.append((labels[k], head, name_of(look, seed, number)))
        image, alpha = before_background(self.renderer.read(scene), scene, environment, R_world_camera)
        faces = [self.face(head, scene, label, person) for label, head, person in drawn]
        if rng.random() < 0.5:
            image = post.degrade(rng, image)
        return Picture(image, alpha, faces)


def before_background(rgba: np.ndarray, scene: Scene, environment, R_world_camera) -> tuple[np.ndarray, np.ndarray]:
    """What was drawn, (h, w, 4) premultiplied, before the environment -> (image (h, w, 3), alpha (h, w)) uint8."""
    view = environment.view(scene.K, scene.width, scene.height, R_world_camera)
    background = encode(view * scene.exposure) * 255
    alpha = rgba[..., 3]
    return np.clip(rgba[..., :3] + background * (1 - alpha[..., None] / 255) + 0.5, 0, 255).astype(np.uint8), alpha


def name_of(look: Look, seed: int, number: int) -> str:
    """Person id; with a photo texture it names the photographed person too."""
    photo = "" if look.identity is None else f"_{look.skin.removeprefix('photo_')}"
    return f"{'mh' if look.identity is None else 'ict'}{seed}_{number}{photo}"
