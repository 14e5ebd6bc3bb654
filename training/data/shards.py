"""Shards read and written (hpe_core.io.shards says what is in them); read without copies of the whole set."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.io import shards as files
from training.data.labels import FaceLabel, FaceLandmarks

JPEG_QUALITY = 95


class ShardSet:
    """All images of the shards in some folders, by index. Raises HpeError when a folder holds no shard."""

    def __init__(self, folders: Sequence[str | Path]):
        self._shards: list[dict[str, np.ndarray]] = []
        self._faces: list[list[np.ndarray]] = []  # of each shard and image: the numbers of its faces
        self._index: list[tuple[int, int]] = []
        for folder in folders:
            for path in shard_paths(folder):
                shard = read(path)
                order = np.argsort(shard["face_image"], kind="stable")
                images = np.arange(len(shard["offset"]) - 1)
                self._faces.append(np.split(order, np.searchsorted(shard["face_image"][order], images[1:])))
                self._index += [(len(self._shards), i) for i in range(len(images))]
                self._shards.append(shard)

    def __len__(self) -> int:
        return len(self._index)

    def read(self, index: int) -> tuple[np.ndarray, FaceLabel, np.ndarray | None]:
        """Image (H, W, 3) uint8 BGR, FaceLabel of its faces without landmarks, coverage mask (H, W) uint8 or None."""
        s, i = self._index[index]
        shard = self._shards[s]
        alpha = None
        if "alpha_blob" in shard:
            alpha = cv2.imdecode(files.encoded(shard, i, "alpha_"), cv2.IMREAD_GRAYSCALE)
        return decoded(shard, i), labels_of(shard, self._faces[s][i]), alpha

    def landmarks(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks (F, 68, 3) of the faces of one image, x and y in px, z in metres from the face centre's depth, NaN
        where unknown, and visible (F, 68) uint8: 1 seen, 0 hidden, 255 unknown.
        """
        s, i = self._index[index]
        shard = self._shards[s]
        faces = self._faces[s][i]
        points = shard["landmarks_px"][faces].astype(float)
        if "landmarks_z_m" not in shard:
            unknown = np.full(points.shape[:2], files.UNKNOWN, np.uint8)
            return np.concatenate([points, points[..., :1] * np.nan], -1), unknown
        return np.concatenate([points, shard["landmarks_z_m"][faces][..., None]], -1), shard["landmarks_visible"][faces]

    def shape(self, index: int) -> dict[str, np.ndarray]:
        """Of the faces of one image: hpe_core.io.shards.SHAPE, NaN where unknown, and per_range (F,): 1 / range
        of the face's centre, 1/m, 0 where unknown."""
        s, i = self._index[index]
        shard = self._shards[s]
        faces = self._faces[s][i]
        known = {
            key: shard[key][faces] if key in shard else np.full((len(faces), *size), np.nan, np.float32)
            for key, size in files.SHAPE.items()
        }
        if "t_camera_head_m" not in shard:
            return known | {"per_range": np.zeros(len(faces))}
        centre = shard["R_camera_head"][faces] @ FACE_CENTRE_M + shard["t_camera_head_m"][faces]
        return known | {"per_range": 1.0 / np.linalg.norm(centre, axis=-1)}

    def yaw_deg(self) -> np.ndarray:
        """Largest |yaw| (images,) of the labelled faces of each image; 0 where there is none."""
        yaws = np.zeros(len(self))
        for n, (s, i) in enumerate(self._index):
            faces = self._faces[s][i]
            faces = faces[self._shards[s]["weight"][faces] > 0]
            if len(faces):
                sine = np.clip(self._shards[s]["R_local"][faces, 0, 2], -1, 1)
                yaws[n] = np.degrees(np.abs(np.arcsin(sine))).max()
        return yaws


def shard_paths(folder: str | Path) -> list[Path]:
    """The shards of a folder, in order. Raises HpeError when there is none."""
    paths = files.paths(folder)
    if not paths:
        raise HpeError(f"no {files.PATTERN} in {folder}")
    return paths


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a shard by their keys."""
    with np.load(path, allow_pickle=False) as data:
        return {key: data[key] for key in data.files}


def decoded(shard: dict[str, np.ndarray], image: int) -> np.ndarray:
    """An image (H, W, 3) uint8 BGR of a shard. Raises HpeError when it is none."""
    pixels = cv2.imdecode(files.encoded(shard, image), cv2.IMREAD_COLOR)
    if pixels is None:
        raise HpeError(f"image {image} of a shard cannot be decoded")
    return pixels


def labels_of(shard: dict[str, np.ndarray], faces: np.ndarray | int) -> FaceLabel:
    """FaceLabel of some faces of a shard by their numbers, or of one; without landmarks and exact pose."""
    return FaceLabel.of_columns({key: shard[key][faces].astype(float) for key in files.LABEL})


def read_shards(folder: Path) -> Iterator[tuple[np.ndarray, str, str, list[FaceLabel]]]:
    """Image (BGR), person, source and labels of every image in a folder of shards."""
    for path in files.paths(folder):
        shard = read(path)
        for i in range(len(shard["person"])):
            faces = [labels_of(shard, int(face)) for face in np.flatnonzero(shard["face_image"] == i)]
            yield decoded(shard, i), str(shard["person"][i]), str(shard["source"][i]), faces


def encode(image: np.ndarray) -> bytes:
    """An image (H, W, 3) uint8 BGR as JPEG."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def packed(chunks: Sequence[bytes], kind: str = "") -> dict[str, np.ndarray]:
    """`blob` and `offset` of encoded images; the twin of hpe_core.io.shards.encoded."""
    return {
        f"{kind}blob": np.frombuffer(b"".join(chunks), np.uint8),
        f"{kind}offset": np.cumsum([0] + [len(chunk) for chunk in chunks], dtype=np.int64),
    }


def write(path: Path, images: dict[str, np.ndarray], labels: FaceLabel, face_image: Sequence[int] | np.ndarray) -> None:
    """Write a shard, which is complete or absent.

    images: `packed`, person and source of each; labels: of the F faces; face_image: (F,) the image that each is in.
    """
    if labels.landmarks is None:
        labels = replace(labels, landmarks=FaceLandmarks.unknown(len(labels)))
    save(path, images | {"face_image": np.asarray(face_image, np.int32)} | stored(labels.columns()))


def stored(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns of faces in the types of a shard."""
    return {
        key: np.asarray(value, np.uint8 if key == "landmarks_visible" else np.float32) for key, value in columns.items()
    }


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the arrays of a shard, which is complete or absent."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    partial.rename(path)


class ShardWriter:
    """Collects images and writes shard_0000.npz, shard_0001.npz, ... as they fill up."""

    def __init__(self, folder: Path, images_per_shard: int = 1000):
        self.folder, self.images_per_shard, self.shards = folder, images_per_shard, 0
        folder.mkdir(parents=True, exist_ok=True)
        for old in files.paths(folder):
            old.unlink()
        self._clear()

    def _clear(self) -> None:
        self.jpegs: list[bytes] = []
        self.person: list[str] = []
        self.source: list[str] = []
        self.faces: list[FaceLabel] = []
        self.face_image: list[int] = []

    def add(self, jpeg: bytes, person: str, source: str, faces: Sequence[FaceLabel]) -> None:
        """One more image with its faces; those without landmarks get unknown ones."""
        self.face_image += [len(self.jpegs)] * len(faces)
        self.faces += [face if face.landmarks else replace(face, landmarks=FaceLandmarks.unknown()) for face in faces]
        self.jpegs.append(jpeg)
        self.person.append(person)
        self.source.append(source)
        if len(self.jpegs) == self.images_per_shard:
            self.flush()

    def flush(self) -> None:
        """Write what was collected, if anything."""
        if not self.jpegs:
            return
        images = packed(self.jpegs) | {"person": np.array(self.person), "source": np.array(self.source)}
        write(self.folder / files.name(self.shards), images, FaceLabel.stack(self.faces), self.face_image)
        self.shards += 1
        self._clear()
