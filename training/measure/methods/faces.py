"""Faces with known rotations, and the crops that a network sees of them: the same places for every method.

A place is that of the label, shaken as the whole-image network's detections scatter (JITTER): found once, seeded, for
every face, so that no method profits from faces that a detector missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import REFERENCE_LENGTH_M, range_from_size
from hpe_core.geometry.lookat import lookat_rotation
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG
from hpe_core.pixels.canvas import face_centred_crop
from training.data.shards import decoded, labels_of, read, shard_paths

# of head6dof on rendered heads of every direction (median absolute deviation x 1.48); on photos 0.5 % and 7 %
JITTER_CENTRE, JITTER_LOG_SIZE = 0.02, 0.08  # per size of the face; of its logarithm
MOST_SIGMA = 3.0
SMALL_PX = 40.0
BLUR = 0.02  # Gaussian sigma per size of the face, as training.measure.conditions has it


@dataclass(frozen=True, eq=False)
class Face:
    """One face as every method gets it: a unit ray (3,) to the place, its range, and R (3, 3), the true rotation in the
    camera turned to that ray."""

    image: np.ndarray  # (H, W, 3) uint8 BGR
    camera: CameraModel
    ray: np.ndarray
    range_m: float
    R: np.ndarray
    person: str


def faces_of(folder: str | Path, limit: int, seed: int = 0) -> list[Face]:
    """Of at most `limit` images of a folder of shards the largest face of known label, in an order drawn once.

    Images without a camera get the assumed one. Raises HpeError when there is no shard or no such face.
    """
    shards = [read(path) for path in shard_paths(folder)]
    known = [(s, i, face) for s, shard in enumerate(shards) for i, face in _main_faces(shard)]
    if not known:
        raise HpeError(f"{folder} has no labelled face")
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(known))[:limit].tolist()
    return [_face(shards[s], i, face, rng) for s, i, face in (known[n] for n in chosen)]


def _main_faces(shard: dict[str, np.ndarray]) -> list[tuple[int, int]]:
    """Pairs (image, face) of a shard: of every image the largest face whose label is known."""
    size = np.where(shard["weight"] > 0, shard["size_px"], 0.0)
    found = []
    for image in range(len(shard["offset"]) - 1):
        faces = np.flatnonzero((shard["face_image"] == image) & (size > 0))
        if len(faces):
            found.append((image, int(faces[np.argmax(size[faces])])))
    return found


def _face(shard: dict[str, np.ndarray], image: int, number: int, rng: np.random.Generator) -> Face:
    pixels, label = decoded(shard, image), labels_of(shard, number)
    height, width = pixels.shape[:2]
    if "K" in shard:
        camera = CameraModel(width, height, shard["K"][number].astype(float))
    else:
        camera = CameraModel.from_hfov(width, height, DEFAULT_HFOV_DEG)
    shake = np.clip(rng.normal(size=3), -MOST_SIGMA, MOST_SIGMA)
    ray = camera.rays(label.centre_px + shake[:2] * JITTER_CENTRE * label.size_px)
    size_px = label.size_px * np.exp(shake[2] * JITTER_LOG_SIZE)
    R_camera_head = lookat_rotation(camera.rays(label.centre_px)).T @ label.R_local
    range_m = float(range_from_size(camera, ray, size_px))
    return Face(pixels, camera, ray, range_m, lookat_rotation(ray) @ R_camera_head, str(shard["person"][image]))


def rotations_of(faces: Sequence[Face]) -> np.ndarray:
    """True rotations (N, 3, 3), each in the camera of its crop."""
    return np.array([face.R for face in faces])


def people_of(faces: Sequence[Face]) -> np.ndarray:
    """Whose face it is, (N,) texts."""
    return np.array([face.person for face in faces])


def crops_of(faces: Sequence[Face], side: int, crop_m: float) -> np.ndarray:
    """Crops (N, side, side, 3) uint8 BGR, crop_m metres wide at the faces."""
    return np.array([face_centred_crop(f.image, f.camera, f.ray, f.range_m, side, crop_m) for f in faces])


def shrunk(crops: np.ndarray, crop_m: float) -> np.ndarray:
    """Crops (N, S, S, 3) as faces of SMALL_PX (the reference length) would give them."""
    side, small = crops.shape[1], max(2, round(SMALL_PX * crop_m / REFERENCE_LENGTH_M))
    if small >= side:
        return crops
    return np.array(
        [cv2.resize(cv2.resize(c, (small, small), interpolation=cv2.INTER_AREA), (side, side)) for c in crops]
    )


def blurred(crops: np.ndarray, crop_m: float) -> np.ndarray:
    """Crops (N, S, S, 3) out of focus, by BLUR of the reference length."""
    sigma = BLUR * REFERENCE_LENGTH_M * crops.shape[1] / crop_m
    return np.array([cv2.GaussianBlur(crop, (0, 0), sigma) for crop in crops])
