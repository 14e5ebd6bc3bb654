"""OpNet (opentrack's head-pose-0.4-small-int8), the strongest single teacher: its mean over crops and mirror images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hpe_core.geometry.so3 import geodesic_angle, project_to_rotation
from training.measure import opnet

FIRST_SIDE, OWN_PASSES = 1.3, 2  # crops: times the detector's box, then the larger side of OpNet's own
VIEW_SCALES = (0.94, 1.06)  # of the crops that are averaged, each with its mirror image


@dataclass(frozen=True)
class Found:
    """What OpNet says of N faces, in pixels of their images."""

    R: np.ndarray  # (N, 3, 3) R_local
    centre_px: np.ndarray  # (N, 2) middle of the head
    radius_px: np.ndarray  # (N,) size of the head
    box: np.ndarray  # (N, 4) x, y, w, h
    spread_deg: np.ndarray  # (N,) rms distance between the averaged views


class OpNet:
    """The network as a teacher; one face per image of a list, each given by a detector's box."""

    def __init__(self, weights: Path, threads: int = 2):
        self._net = opnet.OpNet(weights, threads)

    def __call__(self, images: list[np.ndarray], boxes: np.ndarray, passes: int = OWN_PASSES) -> Found:
        """images (H, W, 3) BGR, boxes (N, 4) x, y, w, h of a detector -> the mean over crops and mirror images."""
        faces = [self._face(image, box, passes) for image, box in zip(images, np.asarray(boxes, float), strict=True)]
        return Found(*(np.array(values) for values in zip(*faces, strict=True)))

    def _face(self, image, box, passes):
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        centre, side = box[:2] + box[2:] / 2 - 0.5, FIRST_SIDE * box[2:].max()
        for _ in range(passes):
            centre, side = opnet.square_of(self._net.head(grey, centre, side).box)
        views = [
            self._net.head(grey, centre, side * scale, mirror) for scale in VIEW_SCALES for mirror in (False, True)
        ]
        R = np.array([view.R for view in views])
        mean = project_to_rotation(R.sum(0))
        spread = np.degrees(np.sqrt(np.mean(geodesic_angle(R, mean) ** 2)))
        corners = np.mean([view.box for view in views], 0)
        place = [np.mean([getattr(view, name) for view in views], 0) for name in ("centre_px", "radius_px")]
        return mean, *place, np.concatenate([corners[:2], corners[2:] - corners[:2]]), spread
