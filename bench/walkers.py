"""People who walk through an image: photographed faces (LFW), pasted where they are in each frame."""

import itertools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.crowd import decoded, photo_names
from hpe_core.config import PipelineConfig, overridden
from hpe_core.geometry.camera import CameraModel
from hpe_core.pipeline import Pipeline

WIDTH, HEIGHT = 640, 480
PHOTOS, FACE_OF_PHOTO = 120, 0.42  # photos; width of the face by that of its photo
WEAK_SCORE = 0.1  # of a second face in the background of a photo
SWELL_S = 90.0  # from one person to the most and back


@dataclass(frozen=True)
class Walker:
    """Somebody who walks through the image. face_px: width of the face; y_px: of its middle; speed: pixels per frame,
    negative to the left."""

    number: int
    photo: int
    face_px: float
    y_px: float
    speed: float
    since: int  # frame

    def middle_px(self, frame: int) -> np.ndarray:
        """Middle of the face (2,)."""
        gone = self.speed * (frame - self.since)
        start = -self.face_px if self.speed > 0 else WIDTH + self.face_px
        return np.array([start + gone, self.y_px + 0.05 * self.face_px * np.sin(0.02 * abs(gone))])


class Crowd:
    """Who is there in frame 0, 1, 2 ...; the same seed always gives the same people."""

    def __init__(self, seed: int, most: int, rate_hz: float):
        self._rng, self._most, self._rate_hz = np.random.default_rng(seed), most, rate_hz
        self.frame, self.there, self._count = -1, [], 0

    def go_on(self) -> list[Walker]:
        """The people of the next frame, the smallest first."""
        self.frame += 1
        swell = 0.5 - 0.5 * np.cos(2.0 * np.pi * self.frame / (SWELL_S * self._rate_hz))
        wanted = 1 + round((self._most - 1) * swell)
        self.there = [
            one for one in self.there if -2 * one.face_px < one.middle_px(self.frame)[0] < WIDTH + 2 * one.face_px
        ]
        if len(self.there) < wanted:
            self._count += 1
            face_px = self._rng.uniform(45.0, 100.0)
            speed = self._rng.choice([-1, 1]) * self._rng.uniform(40.0, 130.0) / self._rate_hz
            y_px, photo = self._rng.uniform(0.8 * face_px, HEIGHT - 0.8 * face_px), int(self._rng.integers(PHOTOS))
            self.there.append(Walker(self._count, photo, face_px, y_px, speed, self.frame))
            self.there.sort(key=lambda one: one.face_px)
        return self.there


def oval(shape: tuple[int, ...]) -> np.ndarray:
    """Mask (H, W, 3) float32 of the head in a photo of that shape, 0 to 1, with a soft border."""
    mask, (height, width) = np.zeros(shape, np.float32), shape[:2]
    axes = (round(0.30 * width), round(0.42 * height))
    cv2.ellipse(mask, (width // 2, height // 2), axes, 0, 0, 360, (1.0, 1.0, 1.0), -1)
    return cv2.GaussianBlur(mask, (0, 0), 4.0)


def with_one_face(path: Path) -> Iterator[np.ndarray]:
    """Photos (H, W, 3) uint8 of lfw.zip in whose oval the detector, asked for weak candidates too, finds one face."""
    weak = {"model": "head6dof_int8", "score_threshold": WEAK_SCORE}
    options = {"estimator": weak, "tracker": {"new_face_score": WEAK_SCORE}}
    pipeline = Pipeline(overridden(PipelineConfig(), options))
    with zipfile.ZipFile(path) as file:
        for name in photo_names(file, 4 * PHOTOS):
            photo = decoded(file.read(name))
            mask = oval(photo.shape)
            seen = (photo * mask + 128.0 * (1.0 - mask)).astype(np.uint8)
            pipeline.reset()
            camera = CameraModel.from_hfov(seen.shape[1], seen.shape[0], 60.0)
            if len(pipeline.process(seen, camera, 0).faces) == 1:
                yield photo


class Painter:
    """Paints crowds; data: folder with photos/lfw.zip."""

    def __init__(self, data: Path):
        path = data / "photos" / "lfw.zip"
        if not path.exists():
            raise SystemExit(f"no {path}")
        self._photos = list(itertools.islice(with_one_face(path), PHOTOS))
        self._cut: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # by number of the walker

    def _heads(self, one: Walker) -> tuple[np.ndarray, np.ndarray]:
        """(photo times mask, 1 - mask) at the size of a walker, both (S, S, 3) float32; the mask is a soft ellipse."""
        if one.number not in self._cut:
            photo, size = self._photos[one.photo], round(one.face_px / FACE_OF_PHOTO)
            mask = cv2.resize(oval(photo.shape), (size, size), interpolation=cv2.INTER_AREA)
            pixels = cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA)
            if len(self._cut) > 64:
                self._cut.clear()
            self._cut[one.number] = pixels * mask, 1.0 - mask
        return self._cut[one.number]

    def paint(self, people: list[Walker], frame: int) -> np.ndarray:
        """Image (480, 640, 3) uint8."""
        image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        for one in people:
            head, rest = self._heads(one)
            size = len(head)
            x, y = np.round(one.middle_px(frame) - size / 2).astype(int)
            x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + size, WIDTH), min(y + size, HEIGHT)
            if x0 < x1 and y0 < y1:
                of = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
                image[y0:y1, x0:x1] = head[of] + rest[of] * image[y0:y1, x0:x1]
        return image
