"""How each teacher errs as a smooth function of the true pose, and how far it scatters: corrected and weighed by that.

Measured by fit_curves.py on renders with exact poses. The error is the rotation vector of R_true R_teacher', camera
axes. By symmetry its x is even and its y and z are odd in the direction aside. What is constant about x is not a
property of the teacher alone: each kind of rendered head shifts every teacher by a degree or two, other than
photographs do. So it is fitted for each folder of renders and left out; the constants of photographs are those of
bfm_frame.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpe_core.geometry.so3 import matrix_from_rotvec

CURVES_FILE = Path(__file__).with_name("teacher_curves.json")
STD_FLOOR_DEG = 1.5
INVERSION_ROUNDS = 4


def terms(R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of rotations (N, 3, 3): what the error about x is made of (N, 5), and those about y and z (N, 4)."""
    aside, down = R[:, 0, 2], R[:, 1, 2]
    even = np.stack([down, aside**2, down**2, aside**2 * down, down**3], 1)
    odd = np.stack([aside, aside * down, aside**3, aside * down**2], 1)
    return even, odd


def turn(R: np.ndarray) -> np.ndarray:
    """1 - cosine of the angle between face and camera, (N,): what the scatter depends on."""
    return 1 - R[:, 2, 2]


@dataclass(frozen=True, eq=False)
class Curve:
    """Of one teacher, degrees."""

    x: np.ndarray  # (5,) coefficients of `terms`
    y: np.ndarray  # (4,)
    z: np.ndarray  # (4,)
    log_std: np.ndarray  # (2,) ln of the scatter per axis: constant and slope with `turn`

    def error_deg(self, R: np.ndarray) -> np.ndarray:
        """Rotation vectors (N, 3) of R_true R_teacher', camera axes, for true poses R (N, 3, 3)."""
        even, odd = terms(R)
        return np.stack([even @ self.x, odd @ self.y, odd @ self.z], 1)

    def corrected(self, R: np.ndarray, share: float = 1.0) -> np.ndarray:
        """Estimates (N, 3, 3) without that share of the error, which depends on what comes out."""
        out = R
        for _ in range(INVERSION_ROUNDS):
            out = matrix_from_rotvec(np.radians(share * self.error_deg(out))) @ R
        return out

    def std_deg(self, R: np.ndarray) -> np.ndarray:
        """Scatter (N,) of what `corrected` gives."""
        return np.maximum(np.exp(self.log_std[0] + self.log_std[1] * turn(R)), STD_FLOOR_DEG)


def load() -> dict[str, Curve]:
    """The curves of all teachers by name."""
    found = json.loads(CURVES_FILE.read_text())["curves"]
    return {name: Curve(**{key: np.array(value) for key, value in c.items()}) for name, c in found.items()}
