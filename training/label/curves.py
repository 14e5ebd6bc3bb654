"""How each teacher errs as a smooth function of the true pose, and how far it scatters: corrected and weighed by that.

    python -m training.label.curves --shards DIR [DIR ...] --data ../shared/data    writes training/label/teacher_curves.json

Measured on renders with exact poses. The error is the rotation vector of R_true R_teacher', camera axes. By symmetry its
x is even and its y and z are odd in the direction aside. What is constant about x is not a property of the teacher
alone: each kind of rendered head shifts every teacher by a degree or two, other than photographs do. So it is fitted
for each folder of renders and left out; the constants of photographs are those of bfm_frame.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpe_core.geometry.so3 import matrix_from_rotvec, rotvec_from_matrix

CURVES_FILE = Path(__file__).with_name("teacher_curves.json")
RIDGE, KNEE_DEG, ROUNDS = 2.0, 4.0, 10  # of the robust fit; the knee is where an error counts less
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

    def corrected(self, R: np.ndarray) -> np.ndarray:
        """Estimates (N, 3, 3) without the error, which depends on what comes out."""
        out = R
        for _ in range(INVERSION_ROUNDS):
            out = matrix_from_rotvec(np.radians(self.error_deg(out))) @ R
        return out

    def std_deg(self, R: np.ndarray) -> np.ndarray:
        """Scatter (N,) of what `corrected` gives."""
        return np.maximum(np.exp(self.log_std[0] + self.log_std[1] * turn(R)), STD_FLOOR_DEG)


def load() -> dict[str, Curve]:
    """The curves of all teachers by name."""
    found = json.loads(CURVES_FILE.read_text())["curves"]
    return {name: Curve(**{key: np.array(value) for key, value in c.items()}) for name, c in found.items()}


def fit(R: np.ndarray, R_true: np.ndarray, source: np.ndarray) -> Curve:
    """R, R_true (N, 3, 3); source (N,) 0, 1, ...: which kind of head; each has a constant about x of its own."""
    error = np.degrees(rotvec_from_matrix(R_true @ R.swapaxes(1, 2)))
    even, odd = terms(R_true)
    own = np.eye(source.max() + 1)[source]
    weight = np.ones(len(R))
    for _ in range(ROUNDS):
        x = _ridge(np.concatenate([even, own], 1), error[:, 0], weight, even.shape[1])
        y, z = (_ridge(odd, error[:, k], weight, odd.shape[1]) for k in (1, 2))
        fitted = np.stack([np.concatenate([even, own], 1) @ x, odd @ y, odd @ z], 1)
        rest = np.linalg.norm(error - fitted, axis=1)
        weight = KNEE_DEG / np.maximum(rest, KNEE_DEG)
    per_axis = np.log(np.maximum(rest, 0.5) / np.sqrt(3))
    A = np.stack([np.ones(len(R)), turn(R)], 1)
    log_std = np.linalg.lstsq(A, per_axis, rcond=None)[0] + [0.2, 0.0]  # ln of the rms over the mean of the ln
    return Curve(x[: even.shape[1]], y, z, log_std)


def _ridge(A, b, weight, penalised):
    normal = (A * weight[:, None]).T @ A
    normal[range(penalised), range(penalised)] += RIDGE
    return np.linalg.solve(normal, (A * weight[:, None]).T @ b)
