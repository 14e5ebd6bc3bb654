"""Training scenes: photos and renders, turned, scaled and pasted onto one canvas, with exactly transformed labels.

An image turned by an angle, scaled and mirrored turns, scales and mirrors the labels exactly (R_local <- Rz(a) R_local;
size_px <- k size_px; flip: M R M), so every scene is as well labelled as its parts.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from hpe_core.geometry.euler import axis_turn
from hpe_core.geometry.frames import mirrored
from training.data.labels import FaceLabel


@dataclass(frozen=True)
class SceneConfig:
    """Sizes are size_px on the canvas; angles in degrees."""

    width: int = 320
    height: int = 256
    size_px: tuple = (14.0, 250.0)
    single_fraction: float = 0.5
    max_parts: int = 6
    wide_turn_fraction: float = 0.25


def similarity(scale, angle_rad, from_px, to_px):
    """(2, 3) map that turns clockwise by angle, scales, and sends from_px to to_px."""
    c, s = scale * np.cos(angle_rad), scale * np.sin(angle_rad)
    A = np.array([[c, -s], [s, c]])
    return np.column_stack([A, np.asarray(to_px, float) - A @ from_px])


def transformed(labels, M, angle_rad, scale):
    """FaceLabel under the similarity M (2, 3), which turns by the angle and scales."""
    centre = labels.centre_px @ M[:, :2].T + M[:, 2]
    R = axis_turn(2, angle_rad) @ labels.R_local
    return replace(labels, R_local=R, centre_px=centre, size_px=labels.size_px * scale)


def flipped(image, labels, alpha):
    """Mirror image, labels and mask."""
    centre = labels.centre_px * [-1, 1] + [image.shape[1] - 1, 0]
    labels = replace(labels, R_local=mirrored(labels.R_local), centre_px=centre)
    return image[:, ::-1], labels, None if alpha is None else alpha[:, ::-1]


class SceneMaker:
    """Draws scenes from a ShardSet: `scene(rng)` -> canvas (H, W, 3) uint8 BGR and the FaceLabel of its faces.

    weights: (images,) probability weights, so that rare poses can be seen more often.
    """

    def __init__(self, shards, weights, config=None):
        self.shards, self.config = shards, config or SceneConfig()
        self._cumulative = np.cumsum(weights) / np.sum(weights)

    def scene(self, rng):
        """One scene; all randomness from `rng` (numpy Generator)."""
        cfg = self.config
        canvas, labels = self._background(rng), FaceLabel.empty()
        parts = 1 if rng.random() < cfg.single_fraction else rng.integers(2, cfg.max_parts + 1)
        for part in range(parts):
            canvas, labels = self._paste(rng, canvas, labels, parts, may_fill=part == 0)
        return degrade(rng, canvas), labels

    def _draw(self, rng):
        index = int(np.searchsorted(self._cumulative, rng.random(), side="right"))
        image, labels, alpha = self.shards.read(min(index, len(self.shards) - 1))
        return flipped(image, labels, alpha) if rng.random() < 0.5 else (image, labels, alpha)

    def _background(self, rng):
        cfg = self.config
        kind = rng.random()
        if kind < 0.3:
            return np.full((cfg.height, cfg.width, 3), rng.integers(0, 256, 3), np.uint8)
        if kind < 0.6:
            coarse = rng.integers(0, 256, (rng.integers(2, 9), rng.integers(2, 9), 3)).astype(np.uint8)
            return cv2.resize(coarse, (cfg.width, cfg.height), interpolation=int(rng.choice([0, 1, 2])))
        image, labels, _ = self._draw(rng)
        canvas = cv2.resize(image, (cfg.width, cfg.height))
        return cv2.blur(canvas, (61, 61)) if len(labels) else canvas

    def _paste(self, rng, canvas, labels, parts, may_fill):
        """One more image on the canvas; with may_fill it may cover all of it, its border stretched or mirrored."""
        cfg = self.config
        image, own, alpha = self._draw(rng)
        if rng.random() < 0.3:
            alpha = None  # a render keeps its own background
        if rng.random() < 0.15:
            image = cv2.cvtColor(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        image = np.ascontiguousarray(image)
        scale, angle, M = self._placement(rng, image.shape, own, parts)
        moved = transformed(own, M, angle, scale)
        border = cv2.BORDER_CONSTANT
        if alpha is None and may_fill and rng.random() < 0.7:
            border = cv2.BORDER_REPLICATE
            if scale * min(image.shape[:2]) > 0.5 * cfg.width and rng.random() < 0.5:
                border = cv2.BORDER_REFLECT  # one repeat to each side, no more
                moved = FaceLabel.concatenate([moved, _reflections(own, image.shape, M, scale)])
        size = (cfg.width, cfg.height)
        if scale < 0.6:
            side = int(1 / scale) | 1  # an even kernel would shift the image by half a pixel
            image = cv2.blur(image, (side, side))
        warped = cv2.warpAffine(image, M, size, flags=cv2.INTER_LINEAR, borderMode=border)
        if border == cv2.BORDER_CONSTANT:
            mask = np.full(image.shape[:2], 255, np.uint8) if alpha is None else np.ascontiguousarray(alpha)
            coverage = cv2.warpAffine(mask, M, size, flags=cv2.INTER_LINEAR)
        else:
            coverage = np.full((cfg.height, cfg.width), 255, np.uint8)
        labels = FaceLabel.concatenate([_hide_covered(labels, coverage), _inside(moved, cfg)])
        return _blend(warped, canvas, coverage, soft=alpha is not None), labels

    def _placement(self, rng, shape, own, parts):
        """Scale, clockwise angle (rad) and similarity (2, 3) that put the largest face somewhere on the canvas."""
        cfg = self.config
        known = own.size_px[own.weight > 0]
        reference = known.max() if len(known) else 0.5 * min(shape[:2])
        high = cfg.size_px[1] if parts == 1 else cfg.size_px[1] * 0.6
        scale = np.exp(rng.uniform(np.log(cfg.size_px[0]), np.log(high))) / reference
        if parts == 1 and rng.random() < 0.6:
            scale = rng.uniform(50.0, 230.0) / reference
        wide = rng.random() < cfg.wide_turn_fraction
        angle = np.radians(rng.uniform(-60, 60) if wide else rng.normal(0.0, 8.0))
        focus = own.centre_px[np.argmax(own.size_px)] if len(own) else np.array([shape[1] / 2, shape[0] / 2])
        margin = min(0.35 * reference * scale, 0.45 * cfg.height)
        target = rng.uniform([margin, margin], [cfg.width - margin, cfg.height - margin])
        return scale, angle, similarity(scale, angle, focus, target)


def _blend(front, back, coverage, soft):
    """`front` over `back` where coverage says so; soft edges cost five times a hard cut."""
    if soft:
        share = coverage.astype(np.float32) * (1.0 / 255.0)
        return cv2.blendLinear(front, back, share, 1.0 - share)
    return cv2.copyTo(front, (coverage > 127).astype(np.uint8), back)


def _reflections(own, shape, M, scale):
    """Faces that a reflected border repeats: weight 0, so the loss ignores them."""
    x, y = own.centre_px[:, 0], own.centre_px[:, 1]
    xs, ys = (-1 - x, x, 2 * shape[1] - 1 - x), (-1 - y, y, 2 * shape[0] - 1 - y)
    copies = [np.stack([xs[i], ys[j]], -1) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    size = np.tile(own.size_px * scale, len(copies))
    centre = np.concatenate(copies) @ M[:, :2].T + M[:, 2]
    return FaceLabel.unknown(centre, size)


def _inside(labels, cfg):
    """Drop faces whose centre left the canvas by more than half a face; ignore those cut off at the border."""
    x, y = labels.centre_px[:, 0], labels.centre_px[:, 1]
    out = np.maximum.reduce([-x, -y, x - (cfg.width - 1), y - (cfg.height - 1)])
    cut = (out > -0.1 * labels.size_px) | (labels.size_px < 0.7 * cfg.size_px[0])
    weight = np.where(cut, 0.0, labels.weight)
    return replace(labels, weight=weight).where(out < 0.5 * labels.size_px)


def _hide_covered(labels, coverage):
    """Faces under a pasted part: gone when mostly covered, ignored when partly."""
    if len(labels) == 0:
        return labels
    share = np.array([_covered_share(coverage, c, s) for c, s in zip(labels.centre_px, labels.size_px, strict=True)])
    weight = np.where(share > 0.15, 0.0, labels.weight)
    return replace(labels, weight=weight).where(share < 0.7)


def _covered_share(coverage, centre, size):
    x0, y0 = np.maximum(np.floor(centre - 0.45 * size).astype(int), 0)
    x1, y1 = np.ceil(centre + 0.45 * size).astype(int) + 1
    patch = coverage[y0 : max(y1, y0), x0 : max(x1, x0)]
    return float(patch.mean()) / 255.0 if patch.size else 1.0


def degrade(rng, image):
    """Light, colour, blur, noise, compression, occluding blocks: each on a part of the images."""
    if rng.random() < 0.8:
        gain = np.exp(rng.normal(0.0, 0.2)) * np.exp(rng.normal(0.0, 0.06, 3))
        table = 255.0 * (np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0.0, 0.2))) * gain
        image = cv2.LUT(image, np.clip(table + rng.normal(0, 8), 0, 255).astype(np.uint8).reshape(1, 256, 3))
    if rng.random() < 0.12:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < 0.25:
        image = _blur(rng, image)
    if rng.random() < 0.3:
        x, y = rng.integers(0, image.shape[1]), rng.integers(0, image.shape[0])
        w, h = rng.integers(5, 50, 2)
        image[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    if rng.random() < 0.25:
        noise = np.zeros(image.shape, np.int8)
        cv2.setRNGSeed(int(rng.integers(2**31)))  # OpenCV has a generator of its own
        cv2.randn(noise, 0, float(rng.uniform(2, 14)))
        image = cv2.add(image, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.25:
        quality = int(rng.integers(25, 90))
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return image


def _blur(rng, image):
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.2)))
    length, angle = int(rng.integers(3, 11)), rng.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    half = (length - 1) / 2
    offset = np.array([np.cos(angle), np.sin(angle)]) * half
    start, end = np.round(half - offset).astype(int), np.round(half + offset).astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())
