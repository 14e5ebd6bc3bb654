"""Shards of JPEG images with face labels: one .npz each, read without copies of the whole set.

Keys: blob, offset (images), person, source (I,), face_image (F,), R_local (F, 3, 3), centre_px (F, 2), size_px (F,),
rot_std_deg, weight (F,), landmarks_px (F, 68, 2), and where they are known landmarks_z_m, landmarks_visible (F, 68);
renders add alpha_blob, alpha_offset (PNG coverage masks).
R_local is the head's rotation in the camera turned towards the face, centre_px the projected FACE_CENTRE_M and size_px
the image length of REFERENCE_LENGTH_M there (hpe_core.geometry.head). weight 0: a face whose label is unknown.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hpe_core.errors import HpeError


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of the F faces of one image."""

    R_local: np.ndarray
    centre_px: np.ndarray
    size_px: np.ndarray
    rot_std_deg: np.ndarray
    weight: np.ndarray

    def __len__(self):
        return len(self.size_px)

    def where(self, keep):
        """The faces selected by a mask or index (F,)."""
        return Labels(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))

    @staticmethod
    def concatenate(parts):
        """One Labels of all parts, in order."""
        return Labels(*(np.concatenate([getattr(p, name) for p in parts]) for name in Labels.__dataclass_fields__))

    @staticmethod
    def empty():
        """No faces."""
        return Labels(np.zeros((0, 3, 3)), np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0))


class ShardSet:
    """All images of the shards in some folders, by index. Raises HpeError when a folder holds no shard."""

    def __init__(self, folders):
        self._shards, self._index = [], []
        for folder in folders:
            paths = sorted(Path(folder).glob("shard_*.npz"))
            if not paths:
                raise HpeError(f"no shard_*.npz in {folder}")
            for path in paths:
                with np.load(path) as data:
                    shard = {key: data[key] for key in data.files}
                order = np.argsort(shard["face_image"], kind="stable")
                images = np.arange(len(shard["offset"]) - 1)
                shard["faces"] = np.split(order, np.searchsorted(shard["face_image"][order], images[1:]))
                self._index += [(len(self._shards), i) for i in images]
                self._shards.append(shard)

    def __len__(self):
        return len(self._index)

    def read(self, index):
        """Image (H, W, 3) uint8 BGR, its Labels, and its coverage mask (H, W) uint8 or None."""
        s, i = self._index[index]
        shard = self._shards[s]
        image = cv2.imdecode(_slice(shard, "blob", "offset", i), cv2.IMREAD_COLOR)
        alpha = None
        if "alpha_blob" in shard:
            alpha = cv2.imdecode(_slice(shard, "alpha_blob", "alpha_offset", i), cv2.IMREAD_GRAYSCALE)
        faces = shard["faces"][i]
        return image, Labels(*(shard[name][faces].astype(float) for name in Labels.__dataclass_fields__)), alpha

    def landmarks(self, index):
        """Landmarks (F, 68, 3) of the faces of one image, x and y in px, z in metres from the face centre's depth, NaN
        where unknown, and visible (F, 68) uint8: 1 seen, 0 hidden, 255 unknown.
        """
        s, i = self._index[index]
        shard = self._shards[s]
        faces = shard["faces"][i]
        points = shard["landmarks_px"][faces].astype(float)
        if "landmarks_z_m" not in shard:
            return np.concatenate([points, points[..., :1] * np.nan], -1), np.full(points.shape[:2], 255, np.uint8)
        return np.concatenate([points, shard["landmarks_z_m"][faces][..., None]], -1), shard["landmarks_visible"][faces]

    def yaw_deg(self):
        """Largest |yaw| (images,) of the labelled faces of each image; 0 where there is none."""
        yaws = np.zeros(len(self))
        for n, (s, i) in enumerate(self._index):
            faces = self._shards[s]["faces"][i]
            faces = faces[self._shards[s]["weight"][faces] > 0]
            if len(faces):
                sine = np.clip(self._shards[s]["R_local"][faces, 0, 2], -1, 1)
                yaws[n] = np.degrees(np.abs(np.arcsin(sine))).max()
        return yaws


def _slice(shard, blob, offset, i):
    return shard[blob][shard[offset][i] : shard[offset][i + 1]]
