"""OpNet, the networks of opentrack's neuralnet tracker: where the head is in a grey image, and how it is turned.

Its quaternion turns head axes (those of this project) to the axes of the crop's camera; nothing has to be added. It
publishes a standard deviation per axis of rotation and of position, no landmarks, and knows one head only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from hpe_core.errors import HpeError
from hpe_core.geometry.frames import mirrored
from hpe_core.geometry.so3 import matrix_from_quat, mean_rotation

POSE, LOCALIZER = "head-pose-0.4-small-int8.onnx", "head-localizer.onnx"
SIDE_PX, LOCALIZER_WH = 129, (288, 224)
SURE, SMALLEST_PX, SAME_PLACE = 0.5, 32, 0.25  # of the localizer: probability, side, overlap with the followed box
MARGIN = 1.05  # side of the crop per larger side of the followed box, as opentrack has it
OWN_PASSES = 2
QUANTILE, DARK, BRIGHT = 0.9, 127, 0.45
SIX_CROPS = tuple((scale, shift) for scale in (0.94, 1.0, 1.06) for shift in (-0.02, 0.02))  # shift in sides


@dataclass(frozen=True, eq=False)
class Head:
    """One crop's answer: R (3, 3) R_local; centre_px (2,), radius_px, box (4,) x0, y0, x1, y1 in the image's pixels."""

    R: np.ndarray
    centre_px: np.ndarray
    radius_px: float
    box: np.ndarray


class OpNet:
    """Both networks of the folder `weights`."""

    def __init__(self, weights: Path, threads: int = 1) -> None:
        self._pose, self._localizer = (_session(Path(weights) / name, threads) for name in (POSE, LOCALIZER))

    def head(self, grey: np.ndarray, centre: np.ndarray, side: float, mirror: bool = False) -> Head:
        """Head of a square crop of a grey image (H, W): centre (2,), side in pixels; mirror: of its mirror image."""
        crop = grey_crop(grey, centre, side)
        x = brightened(cv2.flip(crop, 1) if mirror else crop)
        quat, pos_size, box = self._pose.run(["quat", "pos_size", "box"], {"x": x[None, None]})
        R, (u, v, radius), box = matrix_from_quat(quat[0]), pos_size[0].astype(float), box[0].astype(float)
        if mirror:
            R, u, box = mirrored(R), -u, box[[2, 1, 0, 3]] * [-1, 1, -1, 1]
        half = 0.5 * side
        return Head(R, centre + half * np.array([u, v]), half * radius, np.tile(centre, 2) + half * box)

    def located(self, grey: np.ndarray) -> tuple[float, np.ndarray]:
        """Probability that the image (H, W) shows a head, and its box (4,) x0, y0, x1, y1 in pixels."""
        x = cv2.resize(grey, LOCALIZER_WH, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255) - 0.5
        logit, *corners = self._localizer.run(None, {"x": x[None, None]})[0][0].astype(float)
        size = np.array([grey.shape[1], grey.shape[0]] * 2)
        return 1.0 / (1.0 + np.exp(-logit)), (np.array(corners) + 1.0) / 2.0 * size

    def boxes(self, image: np.ndarray) -> np.ndarray:
        """The localizer's box as (0 or 1, 4) x0, y0, x1, y1 of an image (H, W, 3)."""
        probability, box = self.located(_grey(image))
        return box[None] if _is_head(probability, box) else np.zeros((0, 4))

    def single(self, images: list[np.ndarray], centre: np.ndarray, side: np.ndarray) -> np.ndarray:
        """R_local (N, 3, 3) of one crop per image (H, W, 3), after two passes on the network's own box."""
        found = [self._settled(_grey(image), c, s)[0] for image, c, s in zip(images, centre, side, strict=True)]
        return np.array([head.R for head in found])

    def averaged(self, images: list[np.ndarray], centre: np.ndarray, side: np.ndarray) -> np.ndarray:
        """The same over six crops and their mirror images."""
        return np.array([self._mean(_grey(i), c, s) for i, c, s in zip(images, centre, side, strict=True)])

    def _settled(self, grey: np.ndarray, centre: np.ndarray, side: float) -> tuple[Head, np.ndarray, float]:
        head = self.head(grey, centre, side)
        for _ in range(OWN_PASSES):
            centre, side = square_of(head.box)
            head = self.head(grey, centre, side)
        return head, centre, side

    def _mean(self, grey: np.ndarray, centre: np.ndarray, side: float) -> np.ndarray:
        _, centre, side = self._settled(grey, centre, side)
        crops = [
            (centre + shift * side, scale * side, mirror) for scale, shift in SIX_CROPS for mirror in (False, True)
        ]
        return mean_rotation(np.array([self.head(grey, *crop).R for crop in crops]))


class Tracker:
    """opentrack's own loop over a video: the head is followed from crop to crop, and the localizer looks only when it
    is lost or has left the place where the localizer saw it; or in every frame."""

    def __init__(self, net: OpNet, localizer_every_frame: bool = False) -> None:
        self._net, self._every_frame = net, localizer_every_frame
        self.localized = False  # whether the localizer ran on the last frame
        self.forget()

    def forget(self) -> None:
        """The next frame is another scene."""
        self._box: np.ndarray | None = None
        self._seen: np.ndarray | None = None

    def head(self, image: np.ndarray) -> Head | None:
        """Head in the next frame (H, W, 3), or None."""
        grey = _grey(image)
        self.localized = (
            self._every_frame or self._box is None or self._seen is None or _overlap(self._seen, self._box) < SAME_PLACE
        )
        if self.localized:
            probability, box = self._net.located(grey)
            if self._box is not None and probability > SURE and _overlap(box, self._box) >= SAME_PLACE:
                self._seen = box
            elif _is_head(probability, box):
                self._seen = self._box = box
            else:
                self.forget()
        if self._box is None:
            return None
        centre, side = square_of(self._box)
        head = self._net.head(grey, centre, MARGIN * side)
        self._box = head.box
        return head


def square_of(box: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle (2,) and larger side of a box (4,) x0, y0, x1, y1."""
    return 0.5 * (box[:2] + box[2:]), float(np.max(box[2:] - box[:2]))


def grey_crop(grey: np.ndarray, centre: np.ndarray, side: float) -> np.ndarray:
    """Square of `side` pixels about centre (2,) as (129, 129) uint8, by area; the image's border is repeated."""
    n = max(round(side), 2)
    patch = cv2.getRectSubPix(grey, (n, n), (float(centre[0]), float(centre[1])))
    return cv2.resize(patch, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)


def brightened(crop: np.ndarray) -> np.ndarray:
    """float32 of a grey crop (H, W) uint8, about -0.5 to 0.5; a dark one is made brighter, as in opentrack."""
    counts = cv2.calcHist([crop], [0], None, [256], [0, 256]).ravel()
    level = int(np.searchsorted(np.cumsum(counts), QUANTILE * crop.size, side="right"))
    scale = BRIGHT / max(5, level) if level < DARK else 1.0 / 255.0
    return crop.astype(np.float32) * np.float32(scale) - np.float32(0.5)


def _is_head(probability: float, box: np.ndarray) -> bool:
    return probability > SURE and bool(np.all(box[2:] - box[:2] > SMALLEST_PX))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (4,), in plain numbers: a tenth of the time of arrays."""
    (ax, ay, au, av), (bx, by, bu, bv) = a.tolist(), b.tolist()
    shared = max(min(au, bu) - max(ax, bx), 0.0) * max(min(av, bv) - max(ay, by), 0.0)
    return shared / ((au - ax) * (av - ay) + (bu - bx) * (bv - by) - shared)


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def _session(path: Path, threads: int) -> ort.InferenceSession:
    if not path.is_file():
        raise HpeError(f"no {path}")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
