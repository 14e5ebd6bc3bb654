"""Face crops for crop6dof: cut once from the shards, then turned, shifted, scaled, mirrored and degraded at random.

    python -m training.data.crops --shards DIR [DIR ...] --out crops.npz --backgrounds DIR

Each change of a crop changes its labels exactly: turning by a is R_local <- Rz(a) R_local, a mirror M R M, a shift or a
scale moves the place and size that the network reports, and leaves R_local.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from hpe_core.geometry.euler import axis_turn
from hpe_core.geometry.frames import mirrored
from hpe_core.geometry.head import REFERENCE_LENGTH_M
from hpe_core.geometry.landmarks68 import FLIP_68
from hpe_core.io.shards import SHAPE, UNKNOWN
from training.data.scenes import degrade, similarity
from training.data.shards import ShardSet

STORE_PX, STORE_M = 192, 0.42  # stored crops are wider than the network's, so that shifts show real pixels
KEYS = ("R_local", "rot_std_deg", "weight", "landmarks_m", "landmarks_visible", "no_face")
SHAPE_KEYS = ("identity", "expression", "gaze_rad", "per_range")  # in files of renders that know them
MAX_TILT = np.radians(70)  # of a stored head in the image; beyond it the crop is turned upright
NO_FACE_SHARE = 0.06  # of the photos also give a crop without a face
LEAST_PX = 16  # of a crop's side, as a small face would give it
UNLABELLED_SIZE_PX = 60.0  # photos without an agreed pose serve the consistency loss from this size on


def store(shards, backgrounds=None, seed=0):
    """Dict: crops (F, 192, 192, 3) uint8 and KEYS of every usable face; renders get photos as backgrounds, if given.

    Heads that lie on their side or stand upside down are turned upright, and a few crops show no face at all: how sure
    the network is of the place tells an upright face from both.
    """
    rng = np.random.default_rng(seed)
    crops, labels = [], {key: [] for key in (*KEYS, *SHAPE_KEYS)}
    for index in tqdm(range(len(shards)), unit="image"):
        image, faces, alpha = shards.read(index)
        marks, visible = shards.landmarks(index)
        shape = shards.shape(index)
        if backgrounds is not None and alpha is not None and rng.random() < 0.7:
            other, _, _ = backgrounds.read(rng.integers(len(backgrounds)))
            other = cv2.resize(other, image.shape[1::-1])
            share = alpha.astype(np.float32) / 255.0
            image = cv2.blendLinear(image, other, share, 1.0 - share)
        for f in range(len(faces)):
            if faces.weight[f] == 0 and (alpha is not None or faces.size_px[f] < UNLABELLED_SIZE_PX):
                continue
            px_per_m = faces.size_px[f] / REFERENCE_LENGTH_M
            tilt = np.arctan2(-faces.R_local[f, 0, 1], faces.R_local[f, 1, 1])
            angle = -tilt if abs(tilt) > MAX_TILT else 0.0
            turn = axis_turn(2, angle)
            crops.append(cut(image, faces.centre_px[f], px_per_m, angle))
            labels["R_local"].append(turn @ faces.R_local[f])
            labels["rot_std_deg"].append(faces.rot_std_deg[f])
            labels["weight"].append(faces.weight[f])
            xy = (marks[f, :, :2] - faces.centre_px[f]) / px_per_m
            labels["landmarks_m"].append(np.concatenate([xy, marks[f, :, 2:]], -1) @ turn.T)
            labels["landmarks_visible"].append(visible[f])
            labels["no_face"].append(0.0)
            for key in SHAPE_KEYS:
                labels[key].append(shape[key][f])
        place = _beside_faces(rng, image.shape, faces) if alpha is None and rng.random() < NO_FACE_SHARE else None
        if place is not None:
            crops.append(cut(image, *place, 0.0))
            labels["R_local"].append(np.eye(3))
            labels["rot_std_deg"].append(180.0)
            labels["weight"].append(0.0)
            labels["landmarks_m"].append(np.full((68, 3), np.nan))
            labels["landmarks_visible"].append(np.full(68, UNKNOWN, np.uint8))
            labels["no_face"].append(1.0)
            for key, value in unknown_shape().items():
                labels[key].append(value)
    arrays = {key: np.array(value) for key, value in labels.items()}
    if np.isnan(arrays["identity"]).all():
        arrays = {key: arrays[key] for key in KEYS}
    return {"crops": np.array(crops)} | {k: v.astype(np.float32) if v.dtype == float else v for k, v in arrays.items()}


def unknown_shape() -> dict[str, np.ndarray]:
    """SHAPE_KEYS of a face of which they are not known."""
    return {key: np.full(size, np.nan, np.float32) for key, size in SHAPE.items()} | {"per_range": np.zeros(())}


def cut(image, centre_px, px_per_m, angle):
    """The stored crop (STORE_PX, STORE_PX, 3) of an image about a centre (2,), turned by an angle (rad)."""
    scale = STORE_PX / STORE_M / px_per_m
    M = similarity(scale, angle, centre_px, 2 * [(STORE_PX - 1) / 2])
    shrunk = cv2.blur(image, 2 * [int(1 / scale) | 1]) if scale < 0.6 else image
    return cv2.warpAffine(shrunk, M, 2 * [STORE_PX], borderMode=cv2.BORDER_REPLICATE)


def _beside_faces(rng, shape, faces, tries=8):
    """Centre (2,) px and scale (px/m) of a random crop whose middle is no face's, or None."""
    for _ in range(tries):
        size_px = rng.uniform(25, 100)
        centre = rng.uniform([0, 0], [shape[1], shape[0]])
        apart = np.linalg.norm(faces.centre_px - centre, axis=1) > 0.7 * np.maximum(faces.size_px, size_px)
        if apart.all():
            return centre, size_px / REFERENCE_LENGTH_M
    return None


def random_view(rng, crop, label, side, crop_m, least_px=LEAST_PX):
    """One random crop (side, side, 3) uint8 and its labels (dict) from a stored crop; `undo` leads back to the photo.

    Labels are in the crop: R_local, centre_m (2,), log_size, landmarks_m (68, 3) from the crop's middle, visible (68,),
    rot_std_deg, weight, no_face, undo: (3, 3) with R_photo = undo R_local and then, where `mirrored`, M R M.
    SHAPE_KEYS, where the crop has them, are those of the photo. least_px: see `_coarse`; 0 leaves the picture as it is.
    """
    flip = rng.random() < 0.5
    R, marks, visible = label["R_local"], label["landmarks_m"], label["landmarks_visible"]
    if flip:
        R, marks, visible = mirrored(R), marks[FLIP_68] * [-1, 1, 1], visible[FLIP_68]
        crop = np.ascontiguousarray(crop[:, ::-1])
    angle = np.radians(rng.uniform(-60, 60) if rng.random() < 0.15 else rng.normal(0.0, 12.0))
    scale = np.exp(np.clip(rng.normal(0.0, 0.1), -0.3, 0.3))
    shift_m = np.clip(rng.normal(0.0, 0.014, 2), -0.05, 0.05)
    px = side / crop_m
    middle = (side - 1) / 2
    M = similarity(scale * px * STORE_M / STORE_PX, angle, 2 * [(STORE_PX - 1) / 2], middle + shift_m * px)
    crop = cv2.warpAffine(crop, M, (side, side), borderMode=cv2.BORDER_REPLICATE)
    turn = axis_turn(2, angle)
    labels = {
        "R_local": turn @ R,
        "centre_m": shift_m,
        "log_size": np.log(scale),
        "landmarks_m": scale * marks @ turn.T + [*shift_m, 0.0],
        "visible": visible,
        "rot_std_deg": label["rot_std_deg"],
        "weight": label["weight"],
        "no_face": label["no_face"],
        "undo": turn.T,
        "mirrored": flip,
    }
    labels |= {key: label[key] for key in SHAPE_KEYS if key in label}
    return (degrade(rng, _coarse(rng, crop, least_px)) if least_px else crop), labels


def _coarse(rng, crop, least_px):
    """The crop as a small face would give it: down to least_px or more, and up again."""
    if rng.random() < 0.7:
        return crop
    side = len(crop)
    small = int(np.exp(rng.uniform(np.log(least_px), np.log(side))))
    return cv2.resize(cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA), (side, side))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shards", nargs="+", required=True)
    p.add_argument("--backgrounds", help="shards of photos, behind 70 % of the renders; without it these keep theirs")
    p.add_argument("--out", required=True, help=".npz file, about 110 kB a face")
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    backgrounds = ShardSet([args.backgrounds]) if args.backgrounds else None
    arrays = store(ShardSet(args.shards), backgrounds, args.seed)
    np.savez(args.out, **arrays)  # pyright: ignore[reportArgumentType]
    print(f"{Path(args.out)}: {len(arrays['crops'])} faces, {int((arrays['weight'] > 0).sum())} with a pose")


if __name__ == "__main__":
    main()
