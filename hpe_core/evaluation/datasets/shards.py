"""The project's own labelled images: <folder>/shard_0000.npz ..., as training reads them (hpe_core.io.shards).

A face of weight 0 has an unknown label: it is no Sample, but a detection there is not false either. Rendered sets add
K, R_camera_head and t_camera_head_m, which make positions comparable.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.images.dataset_kind import Dataset
from hpe_core.evaluation.images.sample import Sample
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from hpe_core.io.shards import EXACT, LABEL, LANDMARKS, PATTERN, encoded, paths
from hpe_core.pixels.encodings import bgr_from_compressed

DATASET = Dataset(title="shard_*.npz", marks=("shard_*.npz",), ours=True)

NEEDED = ("blob", "offset", "face_image", "R_local", "centre_px", "size_px", "weight")
SHAPES = {key: LABEL[key] for key in ("R_local", "centre_px", "weight")} | EXACT
SHAPES |= {"face_image": (), "landmarks_px": LANDMARKS["landmarks_px"]}
# what bounds the 68 landmarks of a mean adult, head frame: jaw, chin, brows, tip of the nose
OUTLINE_M = np.array(
    [
        *([sign * x, y, z] for sign in (-1, 1) for x, y, z in ((0.074, -0.01, 0.071), (0.07, 0.032, 0.068))),
        *([sign * x, y, z] for sign in (-1, 1) for x, y, z in ((0.058, 0.075, 0.059), (0.031, 0.103, 0.036))),
        *([sign * x, y, z] for sign in (-1, 1) for x, y, z in ((0.059, -0.019, 0.026), (0.038, -0.0265, 0.005))),
        *([0.0, 0.112, 0.021], [0.0, 0.037, -0.018]),
    ]
)


def samples(folder: str | Path) -> Iterator[Sample]:
    """Sample of every face of known label, image by image. Raises HpeError when there is no shard, or a broken one."""
    shards = paths(folder)
    if not shards:
        raise HpeError(f"{folder} holds no {PATTERN}")
    for path in shards:
        yield from _samples(path, _read(path))


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as data:
            shard = {key: data[key] for key in data.files if not key.startswith("alpha")}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise HpeError(f"{path} is not a shard: {' '.join(str(error).split())}") from error
    missing = [key for key in NEEDED if key not in shard]
    if missing:
        raise HpeError(f"{path} has no {', '.join(missing)}")
    count, images = len(shard["size_px"]), len(shard["offset"]) - 1
    for key, shape in SHAPES.items():
        if key in shard and shard[key].shape != (count, *shape):
            raise HpeError(f"{path}: {key} must be {(count, *shape)}, got {shard[key].shape}")
    if count and not 0 <= shard["face_image"].min() <= shard["face_image"].max() < images:
        raise HpeError(f"{path}: face_image names images beyond the {images} that there are")
    return shard


def _samples(path: Path, shard: dict[str, np.ndarray]) -> Iterator[Sample]:
    boxes = _boxes(shard)
    exact = all(key in shard for key in EXACT)
    for i in range(len(shard["offset"]) - 1):
        faces = np.flatnonzero(shard["face_image"] == i)
        known = faces[shard["weight"][faces] > 0]
        if not len(known):
            continue
        jpeg = encoded(shard, i).tobytes()
        image_id = f"{path.stem}/{i}"
        size = bgr_from_compressed(jpeg).shape[:2] if exact else None
        for number, face in enumerate(known):
            common = {
                "name": f"{image_id}/{number}",
                "path": path,
                "sequence": "",
                "stamp_ns": len(boxes),
                "box_px": boxes[face],
                "size_px": float(shard["size_px"][face]),
                "image_id": image_id,
                "encoded": jpeg,
                "others_px": boxes[faces[faces != face]],
            }
            if size is not None and np.all(np.isfinite(shard["t_camera_head_m"][face])):
                R, t_m = shard["R_camera_head"][face].astype(float), shard["t_camera_head_m"][face].astype(float)
                camera = CameraModel(size[1], size[0], shard["K"][face].astype(float))
                yield Sample(R=R, local=False, t_m=t_m, camera=camera, **common)
            else:
                yield Sample(R=shard["R_local"][face].astype(float), local=True, **common)


def _boxes(shard: dict[str, np.ndarray]) -> np.ndarray:
    """Boxes (F, 4) around the 68 landmarks; those of a mean head where the landmarks are not known."""
    scale = shard["size_px"].astype(float)[:, None, None] / REFERENCE_LENGTH_M
    arms = (OUTLINE_M - FACE_CENTRE_M) @ np.swapaxes(shard["R_local"].astype(float), -1, -2)
    points = shard["centre_px"].astype(float)[:, None] + scale * arms[..., :2]
    boxes = np.concatenate([points.min(1), points.max(1)], -1)
    landmarks = shard.get("landmarks_px")
    if landmarks is not None and len(landmarks):
        known = np.all(np.isfinite(landmarks), axis=(1, 2))
        boxes[known] = np.concatenate([landmarks[known].min(1), landmarks[known].max(1)], -1)
    return boxes
