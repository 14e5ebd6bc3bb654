"""Training shards: JPEG bytes and face labels in plain npz files (keys and meaning in the training README)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

JPEG_QUALITY = 95
UNKNOWN = 255  # visibility of a landmark


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """The 68 landmarks of a face: px (68, 2); z_m (68,), depth beyond the face centre C in the look-at camera, metres
    (0.2 m = size_px); visible (68,) 1, 0 or UNKNOWN."""

    px: np.ndarray
    z_m: np.ndarray
    visible: np.ndarray

    @classmethod
    def unknown(cls) -> FaceLandmarks:
        return cls(np.full((68, 2), np.nan), np.full(68, np.nan), np.full(68, UNKNOWN))


@dataclass(frozen=True)
class FaceLabel:
    """R_local (3, 3); centre_px (2,), the projected face centre C, pixel centres at integers; size_px: 0.2 m there."""

    R_local: np.ndarray
    centre_px: np.ndarray
    size_px: float
    rot_std_deg: float
    weight: float  # 1 = train on it, 0 = something like a face, label unknown
    landmarks: FaceLandmarks | None = None


def encode(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


class ShardWriter:
    """Collects images and writes shard_0000.npz, shard_0001.npz, ... as they fill up; a shard appears all at once."""

    def __init__(self, folder: Path, images_per_shard: int = 1000):
        self.folder, self.images_per_shard, self.shards = folder, images_per_shard, 0
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("shard_*.npz"):
            old.unlink()
        self._clear()

    def _clear(self):
        self.jpegs, self.person, self.source, self.faces, self.face_image = [], [], [], [], []

    def add(self, jpeg: bytes, person: str, source: str, faces: list[FaceLabel]):
        self.face_image += [len(self.jpegs)] * len(faces)
        self.faces += faces
        self.jpegs.append(jpeg)
        self.person.append(person)
        self.source.append(source)
        if len(self.jpegs) == self.images_per_shard:
            self.flush()

    def flush(self):
        if not self.jpegs:
            return
        path = self.folder / f"shard_{self.shards:04d}.npz"
        landmarks = [f.landmarks or FaceLandmarks.unknown() for f in self.faces]
        partial = path.with_suffix(".partial")
        with partial.open("wb") as f:
            np.savez(
                f,
                blob=np.frombuffer(b"".join(self.jpegs), np.uint8),
                offset=np.cumsum([0] + [len(j) for j in self.jpegs], dtype=np.int64),
                person=np.array(self.person),
                source=np.array(self.source),
                face_image=np.array(self.face_image, np.int32),
                R_local=np.array([f.R_local for f in self.faces], np.float32).reshape(-1, 3, 3),
                centre_px=np.array([f.centre_px for f in self.faces], np.float32).reshape(-1, 2),
                size_px=np.array([f.size_px for f in self.faces], np.float32),
                rot_std_deg=np.array([f.rot_std_deg for f in self.faces], np.float32),
                weight=np.array([f.weight for f in self.faces], np.float32),
                landmarks_px=np.array([m.px for m in landmarks], np.float32).reshape(-1, 68, 2),
                landmarks_z_m=np.array([m.z_m for m in landmarks], np.float32).reshape(-1, 68),
                landmarks_visible=np.array([m.visible for m in landmarks], np.uint8).reshape(-1, 68),
            )
        partial.rename(path)
        self.shards += 1
        self._clear()


def read_shards(folder: Path) -> Iterator[tuple[np.ndarray, str, str, list[FaceLabel]]]:
    """Image (BGR), person, source and labels of every image in a folder of shards."""
    for path in sorted(folder.glob("shard_*.npz")):
        with np.load(path, allow_pickle=False) as z:
            shard = {k: z[k] for k in z.files}
        labels = [
            FaceLabel(*row)
            for row in zip(
                shard["R_local"].astype(float),
                shard["centre_px"].astype(float),
                shard["size_px"].tolist(),
                shard["rot_std_deg"].tolist(),
                shard["weight"].tolist(),
                strict=True,
            )
        ]
        for i in range(len(shard["person"])):
            jpeg = shard["blob"][shard["offset"][i] : shard["offset"][i + 1]]
            faces = [labels[j] for j in np.flatnonzero(shard["face_image"] == i)]
            yield cv2.imdecode(jpeg, cv2.IMREAD_COLOR), str(shard["person"][i]), str(shard["source"][i]), faces
