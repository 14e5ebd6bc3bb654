"""HDRI environments: background views and order-2 spherical-harmonics irradiance (Ramamoorthi and Hanrahan 2001)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.render import assets

_BAND_GAIN = np.repeat([np.pi, 2 * np.pi / 3, np.pi / 4], [1, 3, 5])  # clamped cosine
_DIRECTIONS = np.array(
    [
        [np.cos(a) * np.sqrt(1 - z * z), np.sin(a) * np.sqrt(1 - z * z), z]
        for z, a in ((1 - (2 * i + 1) / 64, 2.399963 * i) for i in range(64))
    ]
)


def sh_basis(n: np.ndarray) -> np.ndarray:
    """Real spherical harmonics of order <= 2 at unit vectors n (..., 3) -> (..., 9)."""
    x, y, z = np.moveaxis(n, -1, 0)
    return np.stack(
        [
            0.282095 + 0 * x,
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        -1,
    )


_BASIS_PINV = np.linalg.pinv(sh_basis(_DIRECTIONS))


@dataclass
class Environment:
    name: str
    radiance: np.ndarray  # (h, w, 3) float32 linear RGB, equirectangular; row 0 is up
    irradiance_sh: np.ndarray  # (9, 3) in the world frame (x right, y down, z forward of the panorama's centre)

    @property
    def mean(self) -> float:
        """Mean irradiance over all directions, divided by pi: the level of a white matt surface."""
        return float(self.irradiance_sh[0].mean() * 0.282095 / np.pi)

    def rotated_sh(self, R_world_camera: np.ndarray) -> np.ndarray:
        """Irradiance coefficients (9, 3) for normals in the camera frame."""
        return _BASIS_PINV @ (sh_basis(_DIRECTIONS @ R_world_camera.T) @ self.irradiance_sh)

    def view(self, K: np.ndarray, width: int, height: int, R_world_camera: np.ndarray) -> np.ndarray:
        """Linear radiance (height, width, 3) seen by a pinhole camera."""
        u, v = np.meshgrid(np.arange(width), np.arange(height))
        d = (
            np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones((height, width))], -1)
            @ R_world_camera.T
        )
        h, w = self.radiance.shape[:2]
        map_x = (np.arctan2(d[..., 0], d[..., 2]) / (2 * np.pi) + 0.5) * w - 0.5
        map_y = (np.arctan2(d[..., 1], np.hypot(d[..., 0], d[..., 2])) / np.pi + 0.5) * h - 0.5
        return cv2.remap(
            self.radiance,
            map_x.astype(np.float32),
            map_y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )


def load_environments(data: Path) -> list[Environment]:
    folder = assets.require(Path(data) / "hdri")
    out = []
    for path in sorted(folder.glob("*.hdr")):
        radiance = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        radiance = cv2.cvtColor(radiance, cv2.COLOR_BGR2RGB)
        radiance = np.minimum(radiance, 200 * np.median(radiance) + 50).astype(np.float32)
        h, w = radiance.shape[:2]
        lat, lon = (np.arange(h) + 0.5) / h * np.pi - np.pi / 2, (np.arange(w) + 0.5) / w * 2 * np.pi - np.pi
        lon, lat = np.meshgrid(lon, lat)
        n = np.stack([np.sin(lon) * np.cos(lat), np.sin(lat), np.cos(lon) * np.cos(lat)], -1)
        weight = np.cos(lat) * (np.pi / h) * (2 * np.pi / w)
        sh = np.einsum("hwk,hwc,hw->kc", sh_basis(n), radiance.astype(np.float64), weight, optimize=True)
        out.append(Environment(path.stem, radiance, sh * _BAND_GAIN[:, None]))
    return out


def encode(linear: np.ndarray) -> np.ndarray:
    """Linear radiance -> display value in [0, 1]: exponential shoulder, then the sRGB curve. Same as in the shader."""
    x = 1 - np.exp(-1.6 * np.maximum(linear, 0))
    return np.where(x < 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)
