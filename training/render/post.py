"""What a camera and a file format do to an image. Images are (h, w, 3) uint8 RGB."""

from __future__ import annotations

import cv2
import numpy as np


def degrade(rng, image: np.ndarray) -> np.ndarray:
    """Random blur, colour response, noise and JPEG; geometry is left alone."""
    kind = rng.random()
    if kind < 0.08:
        image = cv2.filter2D(image, -1, motion_kernel(rng.uniform(2, 8), rng.uniform(0, np.pi)))
    elif kind < 0.30:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5))
    x = image.astype(np.float32) / 255
    x = x * np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
    x = np.clip((x - 0.5) * np.float32(rng.uniform(0.75, 1.25)) + 0.5, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.2)))
    if rng.random() < 0.06:
        x = np.repeat(x.mean(-1, keepdims=True), 3, -1)
    if rng.random() < 0.6:
        noise = rng.standard_normal(x.shape, dtype=np.float32)
        if rng.random() < 0.3:  # noise of a demosaiced, denoised sensor is smooth
            noise = 2 * cv2.GaussianBlur(noise, (0, 0), 0.8)
        x = x + noise * np.float32(rng.uniform(0.003, 0.03))
    image = (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.5:
        image = decode(encode_jpeg(image, int(rng.integers(60, 96))))
    return image


def motion_kernel(length_px: float, angle: float) -> np.ndarray:
    size = 2 * int(np.ceil(length_px / 2)) + 3
    kernel = np.zeros((size, size), np.float32)
    c = size / 2 - 0.5
    step = np.array([np.cos(angle), np.sin(angle)]) * length_px / 2
    a, b = np.round((c - step) * 16).astype(int), np.round((c + step) * 16).astype(int)
    cv2.line(kernel, tuple(map(int, a)), tuple(map(int, b)), 1.0, 1, cv2.LINE_AA, 4)
    return kernel / kernel.sum()


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def decode(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
