"""OpNet (opentrack's head-pose-0.4-small-int8), the strongest single teacher: grey crops -> R_local, position, size.

Its quaternion turns head to camera axes of the crop, in this project's head frame: nothing has to be added.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from scipy.spatial.transform import Rotation

from hpe_core.geometry.frames import mirrored
from hpe_core.geometry.so3 import geodesic_angle, project_to_rotation

FILE, SIDE_PX = "head-pose-0.4-small-int8.onnx", 129
FIRST_SIDE, OWN_PASSES = 1.3, 2  # crops: times the detector's box, then the larger side of OpNet's own
VIEW_SCALES = (0.94, 1.06)  # of the crops that are averaged, each with its mirror image
DARK, BRIGHT = 127, 0.45


@dataclass(frozen=True)
class Found:
    """What OpNet says of N faces, in pixels of their images."""

    R: np.ndarray  # (N, 3, 3) R_local
    centre_px: np.ndarray  # (N, 2) middle of the head
    radius_px: np.ndarray  # (N,) size of the head
    box: np.ndarray  # (N, 4) x, y, w, h
    spread_deg: np.ndarray  # (N,) rms distance between the averaged views


class OpNet:
    """The network; one face per image of a list, each given by a detector's box."""

    def __init__(self, weights: Path, threads: int = 2):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._net = ort.InferenceSession(weights / FILE, options, providers=["CPUExecutionProvider"])
        self._input = self._net.get_inputs()[0].name
        self._names = [output.name for output in self._net.get_outputs()]

    def view(self, grey: np.ndarray, centre: np.ndarray, side: float, mirror: bool = False) -> dict[str, np.ndarray]:
        """One crop of a grey image -> R (3, 3), centre_px (2,), radius_px, box (4,) x0, y0, x1, y1."""
        x = grey_crop(grey, centre, side)
        raw = self._net.run(None, {self._input: normalised(x[:, ::-1] if mirror else x)[None, None]})
        out = {name: value[0].astype(float) for name, value in zip(self._names, raw, strict=True)}
        R, (u, v, radius), box = Rotation.from_quat(out["quat"]).as_matrix(), out["pos_size"], out["box"]
        if mirror:
            R, u, box = mirrored(R), -u, box[[2, 1, 0, 3]] * [-1, 1, -1, 1]
        half = side / 2
        corners = np.tile(centre, 2) + box * half
        return {"R": R, "centre_px": centre + np.array([u, v]) * half, "radius_px": radius * half, "box": corners}

    def __call__(self, images: list[np.ndarray], boxes: np.ndarray, passes: int = OWN_PASSES) -> Found:
        """images (H, W, 3) BGR, boxes (N, 4) x, y, w, h of a detector -> the mean over crops and mirror images."""
        faces = [self._face(image, box, passes) for image, box in zip(images, np.asarray(boxes, float), strict=True)]
        return Found(*(np.array(values) for values in zip(*faces, strict=True)))

    def _face(self, image, box, passes):
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        centre, side = box[:2] + box[2:] / 2 - 0.5, FIRST_SIDE * box[2:].max()
        for _ in range(passes):
            own = self.view(grey, centre, side)["box"]
            centre, side = (own[:2] + own[2:]) / 2, (own[2:] - own[:2]).max()
        views = [self.view(grey, centre, side * scale, mirror) for scale in VIEW_SCALES for mirror in (False, True)]
        R = np.array([view["R"] for view in views])
        mean = project_to_rotation(R.sum(0))
        spread = np.degrees(np.sqrt(np.mean(geodesic_angle(R, mean) ** 2)))
        corners = np.mean([view["box"] for view in views], 0)
        place = [np.mean([view[key] for view in views], 0) for key in ("centre_px", "radius_px")]
        return mean, *place, np.concatenate([corners[:2], corners[2:] - corners[:2]]), spread


def grey_crop(grey: np.ndarray, centre: np.ndarray, side: float) -> np.ndarray:
    """Square of `side` pixels about centre (2,) -> (129, 129) uint8 by area; the border is repeated."""
    n = max(round(side), 2)
    patch = cv2.getRectSubPix(grey, (n, n), tuple(map(float, centre)))
    return cv2.resize(patch, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)


def normalised(crop: np.ndarray) -> np.ndarray:
    """Grey crop, uint8 -> float32; dark ones are made brighter, as the network expects."""
    share = np.cumsum(np.bincount(crop.ravel(), minlength=256)) / crop.size
    level = int(np.searchsorted(share, 0.9))
    x = crop.astype(np.float32)
    return x * np.float32(BRIGHT / max(5, level) if level < DARK else 1 / 255) - np.float32(0.5)
