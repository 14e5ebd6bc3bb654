"""What a stereo depth camera makes of true depth: noise of the disparity, its steps, fat edges, mixed pixels, holes.

The numbers are those of a small active stereo camera, 50 mm between its eyes; errors of depth grow with its square.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.render.gl import SUPERSAMPLE

EDGE_PX = 0.5  # of disparity within fattening_px: an edge


@dataclass(frozen=True)
class Stereo:
    """A stereo camera. Pixels are those of the depth image."""

    baseline_m: float = 0.05
    noise_px: float = 0.1  # 1 sigma of the disparity
    noise_window_px: float = 2.0  # 1 sigma of the window in which the noise is alike
    fixed_share: float = 0.5  # of the noise's variance: the same in every image
    step_px: float = 1.0 / 16.0
    fattening_px: int = 2  # by which what is near grows over what is far
    mixing_px: float = 0.7  # blur of the disparity across edges
    hole_share: float = 0.05  # of the pixels, in blobs
    nearest_m: float = 0.25

    def noise(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """Smooth noise (height, width) of unit variance."""
        return _smooth(rng, height, width, self.noise_window_px)

    def image(self, rng: np.random.Generator, depth_m: np.ndarray, focal_px: float, fixed: np.ndarray) -> np.ndarray:
        """(H, W) uint16 millimetres, 0 in holes, of true depth (H, W) m; fixed: `noise`, the camera's own."""
        height, width = depth_m.shape
        disparity = focal_px * self.baseline_m / depth_m
        side = 2 * self.fattening_px + 1
        grown = cv2.dilate(disparity, np.ones((side, side), np.uint8))
        disparity = np.where(grown - disparity > EDGE_PX, grown, disparity)  # not on a slope
        # behind a left edge of what is near, the other eye sees nothing of what is far
        hidden = disparity < np.roll(disparity, -int(np.ceil(self.fattening_px)), 1) - 1.0
        disparity = cv2.GaussianBlur(disparity, (0, 0), self.mixing_px)
        noise = np.sqrt(self.fixed_share) * fixed
        noise = noise + np.sqrt(1.0 - self.fixed_share) * self.noise(rng, height, width)
        disparity = np.round((disparity + self.noise_px * noise) / self.step_px) * self.step_px
        blobs = _smooth(rng, height, width, 4.0)
        hole = hidden | (blobs > np.quantile(blobs, 1.0 - self.hole_share)) | (disparity <= 0)
        hole |= disparity > focal_px * self.baseline_m / self.nearest_m
        millimetres = 1e3 * focal_px * self.baseline_m / np.where(hole, 1.0, disparity)
        return np.where(hole | (millimetres > 65535), 0, np.round(millimetres)).astype(np.uint16)


def pixel_depth_m(drawn_m: np.ndarray) -> np.ndarray:
    """Depth (H, W) m of pixels, of a drawing (SUPERSAMPLE H, SUPERSAMPLE W): that of one sample, never a mean."""
    return np.ascontiguousarray(drawn_m[SUPERSAMPLE // 2 :: SUPERSAMPLE, SUPERSAMPLE // 2 :: SUPERSAMPLE])


def _smooth(rng: np.random.Generator, height: int, width: int, sigma_px: float) -> np.ndarray:
    """Noise (height, width) of unit variance, smoothed."""
    noise = cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma_px)
    return noise / noise.std()
