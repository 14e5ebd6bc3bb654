"""The loose crops of published methods: from a box around landmarks to pixels and labels of the crop.

Sources: the data loaders of Hopenet, FSA-Net, WHENet, Lightweight-Head-Pose-Estimation, 6DRepNet and OpNet, as
config/training says. The rotation stays that of the data set: nothing is turned to the line of sight.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from hpe_core.geometry.euler import axis_turn
from hpe_core.geometry.frames import mirrored
from hpe_core.geometry.landmarks68 import FLIP_68
from hpe_core.io.shards import UNKNOWN
from training.data.folders import LABEL_STD_DEG, Labelled
from training.data.scenes import degrade
from training.recipes import COVER, Augment, Loose, numbers

BLUR_SIGMA = 1.5  # px


def loose_box(box_px: np.ndarray, loose: Loose, k: float, width: int, height: int) -> np.ndarray:
    """Box (4,) x0, y0, x1, y1 made from one around landmarks, in an image of width x height."""
    x0, y0, x1, y1 = (float(v) for v in box_px)
    w, h = x1 - x0, y1 - y0
    x0, y0 = x0 - loose.left * k * w, y0 - loose.top * k * h
    if loose.in_turn:
        w, h = x1 - x0, y1 - y0
    x1, y1 = x1 + loose.right * k * w, y1 + loose.bottom * k * h
    if loose.square != "no":
        half = 0.5 * loose.scale * (max(x1 - x0, y1 - y0) if loose.square == "longer" else y1 - y0)
        x, y = 0.5 * (x0 + x1), 0.5 * (y0 + y1)
        x0, y0, x1, y1 = x - half, y - half, x + half, y + half
    box = np.array([x0, y0, x1, y1])
    return np.clip(box, 0, [width - 1, height - 1] * 2) if loose.clamp else box


def view_of(
    face: Labelled, loose: Loose, augment: Augment, rng: np.random.Generator, side: int, crop_m: float
) -> tuple[np.ndarray, dict[str, Any]]:
    """One random crop (side, side, 3) uint8 of a face and its labels (dict), as training.data.crops.random_view."""
    image = face.sample.image()
    k = rng.uniform(loose.k_low, loose.k_high)
    box = _part(rng, loose_box(face.box_px, loose, k, image.shape[1], image.shape[0]), augment.area)
    zoom = np.ones(2)
    if rng.random() < augment.zoom:
        drawn = rng.uniform(augment.zoom_low, augment.zoom_high, 2)
        zoom = drawn if augment.zoom_each_axis else np.repeat(drawn[:1], 2)
    angle = np.radians(augment.turn_deg * rng.choice([-1, 1])) if rng.random() < augment.turn else 0.0
    scale = _scale(box, loose, side) * zoom
    room = np.maximum((box[2:] - box[:2]) * scale - side, 0.0)  # px of the crop that do not fit
    middle = (side - 1) / 2 + rng.uniform(-0.5, 0.5, 2) * room + rng.normal(0.0, augment.shift, 2) * side
    A = _turned(scale, angle)
    crop, offset = _cut(image, box, A, middle, side)
    flip = rng.random() < augment.flip
    if flip:
        crop = np.ascontiguousarray(crop[:, ::-1])
    labels = _labels(face, A, offset, angle, flip, side, crop_m)
    return _soiled(rng, crop, augment), labels


def middle_crop(image: np.ndarray, box_px: np.ndarray, loose: Loose, side: int) -> np.ndarray:
    """The crop (side, side, 3) uint8 that a test shows of a face: nothing is drawn."""
    box = loose_box(box_px, loose, 0.5 * (loose.k_low + loose.k_high), image.shape[1], image.shape[0])
    return _cut(image, box, _turned(_scale(box, loose, side), 0.0), np.full(2, (side - 1) / 2), side)[0]


def _scale(box: np.ndarray, loose: Loose, side: int) -> np.ndarray:
    """Pixels of the crop per pixel of the image (2,)."""
    size = np.maximum(box[2:] - box[:2], 1.0)
    return side / ((np.repeat(size.min(), 2) if loose.fit == COVER else size) * loose.shown)


def _turned(scale: np.ndarray, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]]) * scale


def _cut(
    image: np.ndarray, box: np.ndarray, A: np.ndarray, middle: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """The crop in which the box's centre lies at `middle`, black outside the image; crop = A image + offset (2,)."""
    offset = middle - A @ (0.5 * (box[:2] + box[2:]))
    shrink = float(np.sqrt(abs(np.linalg.det(A))))
    smooth = cv2.blur(image, 2 * [int(1 / shrink) | 1]) if shrink < 0.6 else image
    return cv2.warpAffine(smooth, np.column_stack([A, offset]), (side, side)), offset


def _part(rng: np.random.Generator, box: np.ndarray, least: float) -> np.ndarray:
    """A random part of a box (4,): from `least` to all of its area, aspect 3/4 to 4/3."""
    if least >= 1.0:
        return box
    size = box[2:] - box[:2]
    aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    new = np.minimum(np.sqrt(rng.uniform(least, 1.0) * np.prod(size) * np.array([aspect, 1 / aspect])), size)
    corner = box[:2] + rng.random(2) * (size - new)
    return np.concatenate([corner, corner + new])


def _labels(
    face: Labelled, A: np.ndarray, offset: np.ndarray, angle: float, flip: bool, side: int, crop_m: float
) -> dict[str, Any]:
    """What random_view says of a crop, as if it were one of `crop_m`: a loose one is wider and may be stretched."""
    turn, px = axis_turn(2, angle), side / crop_m
    R, centre_m = turn @ face.R, (A @ face.centre_px + offset - (side - 1) / 2) / px
    ratio = float(np.sqrt(abs(np.linalg.det(A)))) * face.px_per_m / px
    xy = (face.landmarks_px @ A.T + offset - (side - 1) / 2) / px
    marks = np.concatenate([xy, ratio * face.landmarks_m()[:, 2:]], -1)
    visible = np.where(np.isfinite(face.landmarks_px).all(-1), 1, UNKNOWN)
    if flip:
        R, centre_m, marks, visible = mirrored(R), centre_m * [-1, 1], marks[FLIP_68] * [-1, 1, 1], visible[FLIP_68]
    return {
        "R_local": R,
        "centre_m": centre_m,
        "log_size": np.log(ratio),
        "landmarks_m": marks,
        "visible": visible,
        "rot_std_deg": LABEL_STD_DEG,
        "weight": 1.0,
        "no_face": 0.0,
        "undo": (mirrored(turn) if flip else turn).T,
        "mirrored": flip,
    }


def _soiled(rng: np.random.Generator, crop: np.ndarray, augment: Augment) -> np.ndarray:
    if augment.coarse:
        factor, side = int(rng.choice(numbers(augment.coarse, "coarse"))), len(crop)
        small = cv2.resize(crop, 2 * [max(1, side // factor)], interpolation=cv2.INTER_NEAREST)
        crop = cv2.resize(small, (side, side), interpolation=cv2.INTER_NEAREST)
    if rng.random() < augment.blur:
        crop = cv2.GaussianBlur(crop, (0, 0), BLUR_SIGMA)
    return degrade(rng, crop) if augment.degrade else crop
