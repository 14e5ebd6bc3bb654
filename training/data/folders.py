"""Labelled faces of folders of 300W-LP, AFLW2000-3D and BIWI, for training by a recipe (training.recipes).

300W-LP and AFLW2000-3D have no camera; their labels are fits to a crop, so R_local is the label itself. BIWI has one:
its published label is that in the depth camera, R_local that of the colour camera turned to the face. The set comes
without face boxes; they are those of the labelled head.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.datasets.biwi import read_calibration
from hpe_core.evaluation.images.protocols import PROTOCOLS, samples_in
from hpe_core.evaluation.images.sample import Sample
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, box_from_pose, pixels_per_metre
from hpe_core.geometry.landmarks68 import REFERENCE_LANDMARKS_M
from hpe_core.geometry.lookat import local_from_global
from hpe_core.io.shards import UNKNOWN
from hpe_core.pixels.canvas import face_centred_crop
from training.data.crops import STORE_M, STORE_PX, cut
from training.recipes import Recipe

LABEL_STD_DEG = 2.0  # of a fit, or of a depth camera


@dataclass(frozen=True, eq=False)
class Labelled:
    """A face of a folder. R (3, 3): as published; R_local (3, 3): in the camera turned to the face; box_px (4,): around
    its landmarks or its head; landmarks_px (68, 2), NaN where unknown."""

    sample: Sample
    R: np.ndarray
    R_local: np.ndarray
    box_px: np.ndarray
    centre_px: np.ndarray
    px_per_m: float
    landmarks_px: np.ndarray

    def landmarks_m(self) -> np.ndarray:
        """Landmarks (68, 3) from the face's centre at its scale; depth is that of the mean head."""
        xy = (self.landmarks_px - self.centre_px) / self.px_per_m
        return np.concatenate([xy, ((REFERENCE_LANDMARKS_M - FACE_CENTRE_M) @ self.R_local.T)[:, 2:]], -1)

    def stored_crop(self) -> np.ndarray:
        """The face as training.data.crops stores it (STORE_PX, STORE_PX, 3)."""
        image, camera = self.sample.image(), self.sample.camera
        if camera is None:
            return cut(image, self.centre_px, self.px_per_m, 0.0)
        ray = camera.rays(self.centre_px)
        range_m = pixels_per_metre(camera, ray) / self.px_per_m
        return face_centred_crop(image, camera, ray, float(range_m), STORE_PX, STORE_M)


def labelled(sample: Sample, folder: str | Path) -> Labelled:
    """Labelled of a Sample. Raises HpeError when its set is none of those that are taken here."""
    unknown = np.full((68, 2), np.nan)
    if sample.camera is not None and sample.t_m is not None and (sample.path.parent / "rgb.cal").is_file():
        centre_m = sample.t_m + sample.R @ FACE_CENTRE_M
        R_local, _, _ = local_from_global(sample.R, centre_m)
        R_depth = read_calibration(sample.path.parent / "rgb.cal").R_rgb_depth.T @ sample.R
        box = box_from_pose(sample.camera, sample.R, sample.t_m)
        centre_px, scale = sample.camera.project(centre_m), float(pixels_per_metre(sample.camera, centre_m))
        return Labelled(sample, R_depth, R_local, box, centre_px, scale, unknown)
    if sample.box_px is None or sample.sellion_px is None or sample.size_px is None:
        raise HpeError(
            f"{folder}: --data takes 300W-LP, AFLW2000-3D and BIWI; shards become --crops by training.data.crops"
        )
    scale = sample.size_px / REFERENCE_LENGTH_M
    centre_px = sample.sellion_px + scale * (sample.R @ FACE_CENTRE_M)[:2]
    points = unknown if sample.landmarks_px is None else sample.landmarks_px
    return Labelled(sample, sample.R, sample.R, sample.box_px, centre_px, scale, points)


def faces_of(folders: Sequence[str | Path], recipe: Recipe, lists: Sequence[str | Path] = ()) -> list[Labelled]:
    """Every face of some folders that a recipe trains on: within its limit, in no test sequence, in a list where there
    are any.

    Raises HpeError when a folder holds no labels, a list names what no folder has, or no face is left.
    """
    wanted = _listed(lists)
    found, names, beyond, tested = [], set(), 0, 0
    test = PROTOCOLS[recipe.protocol].test_sequences if recipe.protocol else ()
    for folder in folders:
        for sample in samples_in(folder):
            names.add(sample.name)
            if wanted is not None and sample.name not in wanted:
                continue
            if sample.sequence in test:
                tested += 1
            elif not np.all(np.abs(sample.angles.stacked()) < recipe.limit_deg):
                beyond += 1
            else:
                found.append(labelled(sample, folder))
    missing = sorted((wanted or set()) - names)
    if missing:
        raise HpeError(f"{len(missing)} files of {', '.join(map(str, lists))} are in no folder, such as {missing[0]}")
    if not found:
        raise HpeError(f"no face to train on: {beyond} beyond {recipe.limit_deg:g} degrees, {tested} in test sequences")
    print(f"faces     {len(found)}; {beyond} beyond {recipe.limit_deg:g} degrees, {tested} in test sequences left out")
    return found


def _listed(lists: Iterable[str | Path]) -> set[str] | None:
    """Names in file lists, one a line, with or without the suffix of the image; None without a list."""
    lists, names = list(lists), set()
    for path in lists:
        try:
            lines = Path(path).read_text("utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise HpeError(f"list {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        names |= {line.strip().removesuffix(".jpg").removesuffix(".png") for line in lines if line.strip()}
    return names if lists else None


def stored_label(face: Labelled) -> dict[str, Any]:
    """Label of a stored crop, with training.data.crops.KEYS."""
    visible = np.where(np.isfinite(face.landmarks_px).all(-1), 1, UNKNOWN).astype(np.uint8)
    known = {"R_local": face.R_local, "landmarks_m": face.landmarks_m(), "landmarks_visible": visible}
    return known | {"rot_std_deg": LABEL_STD_DEG, "weight": 1.0, "no_face": 0.0}
