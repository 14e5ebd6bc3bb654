"""Measured or exact landmarks of single faces with their true rotation: what a model is adapted to and evaluated on.

A file (.npz) holds points (N, 68, 3) metres, NaN where no face was found; visible (N, 68); R_local (N, 3, 3) truth;
person (N,) and source (N,) names.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from hpe_core.errors import HpeError
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.nlml import angles as euler
from hpe_core.npz_file import read_npz
from training.data.shards import ShardSet, shard_paths
from training.nlml import heads
from training.nlml.sources import random_distance


@dataclass(frozen=True, eq=False)
class Samples:
    """N faces; see above."""

    points: np.ndarray
    visible: np.ndarray
    R_local: np.ndarray
    person: np.ndarray
    source: np.ndarray

    def __len__(self):
        return len(self.points)

    def __getitem__(self, rows):
        return Samples(self.points[rows], self.visible[rows], self.R_local[rows], self.person[rows], self.source[rows])

    @property
    def found(self):
        """(N,) bool, where there are landmarks."""
        return np.isfinite(self.points).all((1, 2))

    def save(self, path):
        with open(path, "wb") as file:
            np.savez_compressed(
                file,
                points=self.points.astype(np.float32),
                visible=self.visible.astype(np.float32),
                R_local=self.R_local.astype(np.float32),
                person=np.asarray(self.person, str),
                source=np.asarray(self.source, str),
            )


def load(path):
    """Samples of a file. Raises HpeError when it is none."""
    arrays = read_npz(path)
    shapes = {"points": (3, 3), "visible": (2, 0), "R_local": (3, 3), "person": (1, 0), "source": (1, 0)}
    for name, (dimensions, last) in shapes.items():
        value = arrays.get(name)
        if value is None or value.ndim != dimensions or len(value) != len(arrays["points"]):
            raise HpeError(f"{path} holds no samples: '{name}' is missing or has a wrong shape")
        if last and value.shape[-1] != last:
            raise HpeError(f"{path} holds no samples: '{name}' has shape {value.shape}")
    numbers = {name: arrays[name].astype(float) for name in ("points", "visible", "R_local")}
    return Samples(**numbers, person=arrays["person"], source=arrays["source"])


def synthetic(count, limits_deg, seed=7, data=heads.DATA, noise=None, order="yaw_first", near_m=0.4, far_m=3.0):
    """Faces of random heads, each another person, at random rotations within limits (3, 2) degrees of an order.

    noise: a heads.DetectorNoise, None for exact landmarks.
    """
    model, rng = heads.IctHeads(data), np.random.default_rng([seed, 77])
    angles = np.radians(rng.uniform(limits_deg[:, 0], limits_deg[:, 1], (count, 3)))
    R = euler.matrix_from_angles(angles, order)
    shapes = np.stack([model.sample(rng) for _ in range(count)])
    distances = random_distance(rng, near_m, far_m, count)
    points = heads.seen(shapes, R, distances)
    visible = heads.facing(model.normals, R, points, distances)
    if noise is not None:
        points = noise.add(rng, points, visible)
    names = np.array([f"test{seed}_{i}" for i in range(count)])
    return Samples(points, visible, R, names, names)


def from_shards(folders, detector, limit=None):
    """Samples of labelled faces of training shards, cut at their true place and measured by a CropDetector.

    limit: most faces per folder, spread evenly over its images.
    """
    rows = []
    for folder in folders:
        shards, people = ShardSet([folder]), _people(folder)
        count, order = 0, range(len(shards))
        if limit:
            order = np.linspace(0, len(shards) - 1, min(len(shards), 3 * limit)).astype(int)
            order = np.random.default_rng(0).permutation(np.unique(order))
        for index in tqdm(order, unit="image", desc=Path(folder).name):
            image, faces, *_ = shards.read(int(index))
            for f in np.flatnonzero(faces.weight > 0):
                points, visible = detector.measure(image, faces.centre_px[f], faces.size_px[f])
                rows.append((points, visible, faces.R_local[f], people[index], f"{Path(folder).name} {index}"))
                count += 1
            if limit and count >= limit:
                break
    if not rows:
        raise HpeError(f"no labelled face in {', '.join(map(str, folders))}")
    return Samples(*(np.array(column) for column in zip(*rows, strict=True)))


def _people(folder):
    """Person of every image of a folder of shards."""
    parts = []
    for path in shard_paths(folder):
        with np.load(path) as shard:
            parts.append(shard["person"])
    return np.concatenate(parts)


def from_images(folder, detector):
    """Samples of a folder with labels.csv (file, yaw_deg, pitch_deg, roll_deg in AFLW2000's order) and its images.

    Faces are found by head6dof; an image without one is kept with NaN landmarks, so that it counts as a failure. The
    labels are taken as those of the virtual camera, as AFLW2000's weak-perspective fits are.
    """
    folder = Path(folder)
    try:
        rows = list(csv.DictReader(open(folder / "labels.csv", encoding="utf-8")))
        truth = np.array([[float(row[key]) for key in ("yaw_deg", "pitch_deg", "roll_deg")] for row in rows])
        names = [row["file"] for row in rows]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise HpeError(
            f"{folder}/labels.csv with file, yaw_deg, pitch_deg, roll_deg cannot be read: {error}"
        ) from error
    if not names:
        raise HpeError(f"{folder}/labels.csv names no image")
    points, visible = np.full((len(names), 68, 3), np.nan), np.zeros((len(names), 68))
    for i, name in enumerate(tqdm(names, unit="image")):
        path = next(folder.rglob(name), None)
        image = None if path is None else cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        found = None if image is None else detector(image)
        if found is not None:
            points[i], visible[i] = found
    R = aflw2000.to_matrix(EulerDeg(*truth.T))
    return Samples(points, visible, R, np.array(names), np.array(names))
