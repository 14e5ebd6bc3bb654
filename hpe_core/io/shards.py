"""Shards: JPEG images with the labels of their faces, shard_0000.npz, shard_0001.npz, ...; the keys of such a file.

Images: `blob` (bytes of all JPEG files), `offset` (I + 1,) where each begins and the last ends, `person`, `source` (I,)
texts; renders add `alpha_blob`, `alpha_offset` (PNG coverage masks). Faces: `face_image` (F,), the image that each is
in, and F rows of LABEL; LANDMARKS where they are known; EXACT and SHAPE in renders.

R_local is the head's rotation in the camera turned towards the face, centre_px the projected FACE_CENTRE_M and size_px
the image length of REFERENCE_LENGTH_M there (hpe_core.geometry.head). weight 0: a face whose label is unknown.
SHAPE: NaN of heads other than ICT-FaceKit's; identity in standard deviations, expression in 0..1 by the names of
training.render.heads.ict, gaze_rad left yaw, pitch, right yaw, pitch in the head, to the subject's left and up.
landmarks_z_m: depth beyond the face centre in the virtual camera; landmarks_visible: 1 seen, 0 hidden, UNKNOWN.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

PATTERN = "shard_*.npz"
UNKNOWN = 255  # visibility of a landmark

# key -> shape of one face's value
LABEL: dict[str, tuple[int, ...]] = {
    "R_local": (3, 3),
    "centre_px": (2,),
    "size_px": (),
    "rot_std_deg": (),
    "weight": (),
}
LANDMARKS: dict[str, tuple[int, ...]] = {
    "landmarks_px": (68, 2),
    "landmarks_z_m": (68,),
    "landmarks_visible": (68,),
}
SHAPE: dict[str, tuple[int, ...]] = {"identity": (100,), "expression": (53,), "gaze_rad": (4,)}
EXACT: dict[str, tuple[int, ...]] = {"K": (3, 3), "R_camera_head": (3, 3), "t_camera_head_m": (3,)}


def name(number: int) -> str:
    """File name of a shard."""
    return f"shard_{number:04d}.npz"


def paths(folder: str | Path) -> list[Path]:
    """The shards of a folder, in order."""
    return sorted(Path(folder).glob(PATTERN))


def encoded(shard: Mapping[str, np.ndarray], image: int, kind: str = "") -> np.ndarray:
    """Bytes (n,) uint8 of the JPEG file of an image; with kind "alpha_" of its PNG mask."""
    offset = shard[f"{kind}offset"]
    return shard[f"{kind}blob"][offset[image] : offset[image + 1]]
