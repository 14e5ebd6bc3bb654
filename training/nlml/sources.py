"""Where the tensor's landmarks come from: exact heads, the crop network on renders, the crop network on a folder.

A source has `identities` (names), `landmarks` (M) and row(i, R): points (Y, P, R, M, 3), visible (Y, P, R, M) in 0..1
and measured (Y, P, R) bool of identity i at the rotations R (Y, P, R, 3, 3) of the grid. Points are as hpe_core.nlml
takes them: virtual camera, metres, origin at the face centre.
"""

import re
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from training.nlml import heads

RENDER_PX, RENDER_SIZE_PX = 256, 110.0  # side of a render, and the size of its face

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_ANGLES = re.compile(r"_\(\s*(-?\d{1,3}(?:\.\d{1,6})?)_(-?\d{1,3}(?:\.\d{1,6})?)_(-?\d{1,3}(?:\.\d{1,6})?)\s*\)$")


class HeadSource:
    """Exact landmarks of ICT-FaceKit heads; every person has one expression and one camera distance."""

    landmarks = 68

    def __init__(self, settings, data=heads.DATA):
        self._heads, self._settings = heads.IctHeads(data), settings
        self.identities = tuple(f"ict{settings.seed}_{i}" for i in range(settings.identities))

    def row(self, i, R):
        rng = np.random.default_rng([self._settings.seed, i])
        shape = self._heads.sample(rng, self._settings.expressive)
        distance = random_distance(rng, self._settings.near_m, self._settings.far_m)
        points = heads.seen(shape, R, distance)
        visible = heads.facing(self._heads.normals, R, points, distance)
        return points, visible, np.ones(R.shape[:-2], bool)


def random_distance(rng, near_m, far_m, size=None):
    """Camera distances in metres, uniform in their logarithm."""
    return np.exp(rng.uniform(np.log(near_m), np.log(far_m), size))


class RenderSource:
    """The crop network's landmarks on renders of MakeHuman heads: the manifold learns how the network errs.

    A share `cells` of the cells of each person is rendered, at random; the others are missing. detector: CropDetector.
    """

    landmarks = 68

    def __init__(self, settings, detector, data=heads.DATA):
        from training.render.studio import Studio

        self._settings, self._detector, self._studio = settings, detector, Studio(Path(data))
        self.identities = tuple(f"mh{settings.seed}_{i}" for i in range(settings.identities))

    def row(self, i, R):
        from training.render.sample import label, pinhole, sample_scene

        settings, studio = self._settings, self._studio
        rng = np.random.default_rng([settings.seed, 2, i])
        look, head = studio.person(settings.seed, i)
        distance = random_distance(rng, settings.near_m, settings.far_m)
        shape = R.shape[:-2]
        points, visible = np.full((*shape, 68, 3), np.nan), np.zeros((*shape, 68))
        focal = RENDER_SIZE_PX * distance / REFERENCE_LENGTH_M
        K = pinhole(2 * np.degrees(np.arctan(0.5 * RENDER_PX / focal)), RENDER_PX, RENDER_PX)
        for cell in zip(*np.nonzero(rng.random(shape) < settings.cells), strict=True):
            pose = label(K, R[cell], np.array([0.0, 0.0, distance]) - R[cell] @ FACE_CENTRE_M)
            environment = studio.environments[rng.integers(len(studio.environments))]
            scene, R_world_camera = sample_scene(rng, pose, RENDER_PX, environment, studio.model.pivot_m)
            image, _ = studio.compose(look, head, scene, environment, R_world_camera)
            points[cell], visible[cell] = self._detector.measure(image[..., ::-1], pose.centre_px, pose.size_px)
        return points, visible, np.isfinite(points).all((-2, -1))


class FolderSource:
    """Images named by angles, one folder per identity, measured by a crop network.

    detector(image_bgr) -> (points (68, 3), visible (68,)) of the image's face, or None where it finds none. Angles that
    are not on the grid are counted in `off_grid`, images without a face in `without_face`.
    """

    landmarks = 68

    def __init__(self, settings, detector, grids_deg):
        folder = Path(settings.folder)
        self._detector, self._grids = detector, grids_deg
        self._files, self.off_grid, self.unnamed, self.without_face = angle_named_files(folder, grids_deg) + (0,)
        self.identities = tuple(sorted(self._files))
        if not self.identities:
            raise HpeError(
                f"{folder} has no images named ..._(yaw_pitch_roll).jpg on the grid in folders of identities "
                f"({self.off_grid} off the grid, {self.unnamed} without angles)"
            )

    def row(self, i, R):
        from hpe_core.pixels.encodings import bgr_from_compressed

        shape = R.shape[:-2]
        points, visible = np.full((*shape, 68, 3), np.nan), np.zeros((*shape, 68))
        for cell, path in sorted(self._files[self.identities[i]].items()):
            found = self._detector(bgr_from_compressed(path.read_bytes()))
            if found is None:
                self.without_face += 1
            else:
                points[cell], visible[cell] = found
        return points, visible, np.isfinite(points).all((-2, -1))


def angles_of_name(stem):
    """(yaw, pitch, roll) in degrees at the end of a name without suffix, `ID1_(30_20_-10)`; None without angles."""
    found = _ANGLES.search(stem)
    return tuple(float(text) for text in found.groups()) if found else None


def angle_named_files(folder, grids_deg):
    """dict identity -> {(yaw, pitch, roll) index: path}, number of images off the grid, number without angles.

    Of images with the same angles the first name counts. Raises HpeError when the folder is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise HpeError(f"folder of images {folder} does not exist")
    files, off_grid, unnamed = {}, 0, 0
    for identity in sorted(p for p in folder.iterdir() if p.is_dir()):
        for path in sorted(p for p in identity.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
            angles = angles_of_name(path.stem)
            if angles is None:
                unnamed += 1
                continue
            cell = tuple(int(np.argmin(np.abs(grid - a))) for grid, a in zip(grids_deg, angles, strict=True))
            if any(abs(grid[k] - a) > 1e-3 for grid, k, a in zip(grids_deg, cell, angles, strict=True)):
                off_grid += 1
                continue
            files.setdefault(identity.name, {}).setdefault(cell, path)
    return files, off_grid, unnamed
