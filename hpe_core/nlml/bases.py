"""Functions of the head's rotation that span the manifold: curves per Euler angle, or a basis on SO(3).

`Basis` is the interface of both; N faces at once.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.nlml import angles as euler
from hpe_core.npz_file import stored_array

MAX_DEGREE = 3
MARGIN_RAD = np.radians(10.0)  # curves are not asked farther than this beyond their grid: they may go anywhere


class Basis(Protocol):
    """Functions of N rotations and their derivatives by small steps (N, 3)."""

    kind: str  # by which a model file names it
    size: int  # number K of functions

    def from_rotation(self, R: np.ndarray) -> np.ndarray:
        """Parameters (N, ...) of rotations (N, 3, 3)."""
        ...

    def rotation(self, parameters: np.ndarray) -> np.ndarray:
        """Rotations (N, 3, 3) of parameters."""
        ...

    def evaluate(self, parameters: np.ndarray) -> np.ndarray:
        """Values (N, 1 + 3, K): the functions, then their derivatives by the three steps."""
        ...

    def step(self, parameters: np.ndarray, delta: np.ndarray) -> np.ndarray:
        """Parameters after a step (N, 3)."""
        ...

    def tangent(self, parameters: np.ndarray) -> np.ndarray:
        """T (N, 3, 3): a small step d turns the head by the rotation vector T d, left of R."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """What a model file stores; the class method `from_arrays` takes it."""
        ...


class RotationBasis:
    """Harmonics on SO(3) up to a degree: 1, the 9 entries of R, 25 of its action on quadrupoles, 49 of degree 3.

    D_l(R) = Q_l' (R x ... x R) Q_l with an orthonormal basis Q_l of the symmetric traceless tensors of rank l, so that
    D_l(exp(e) R) = D_l(exp(e)) D_l(R): derivatives are products with constant matrices, everywhere regular.
    """

    kind: str = "so3"

    def __init__(self, degree: int):
        if not 1 <= degree <= MAX_DEGREE:
            raise HpeError(f"degree of the basis on SO(3) must be 1 to {MAX_DEGREE}, got {degree}")
        self.degree = int(degree)
        self.size = sum((2 * n + 1) ** 2 for n in range(self.degree + 1))
        self._tensors = [_symmetric_traceless(n) for n in range(2, self.degree + 1)]
        self._generators = [_generators(n, Q) for n, Q in enumerate(self._tensors, 2)]

    def from_rotation(self, R: np.ndarray) -> np.ndarray:
        return np.asarray(R, float)

    def rotation(self, parameters: np.ndarray) -> np.ndarray:
        return parameters

    def step(self, parameters: np.ndarray, delta: np.ndarray) -> np.ndarray:
        return so3.matrix_from_rotvec(delta) @ parameters

    def tangent(self, parameters: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.eye(3), (len(parameters), 3, 3))

    def evaluate(self, parameters: np.ndarray) -> np.ndarray:
        R = parameters
        n = len(R)
        out = np.zeros((n, 4, self.size))
        out[:, 0, 0] = 1.0
        out[:, 0, 1:10] = R.reshape(n, 9)
        out[:, 1:, 1:10] = (_GENERATORS_1 @ R[:, None]).reshape(n, 3, 9)
        start, power = 10, R
        for Q, generators in zip(self._tensors, self._generators, strict=True):
            side = power.shape[-1] * 3
            power = (power[:, :, None, :, None] * R[:, None, :, None, :]).reshape(n, side, side)
            D = Q.T @ power @ Q
            stop = start + Q.shape[1] ** 2
            out[:, 0, start:stop] = D.reshape(n, stop - start)
            out[:, 1:, start:stop] = (generators @ D[:, None]).reshape(n, 3, stop - start)
            start = stop
        return out

    def arrays(self) -> dict[str, np.ndarray]:
        return {"degree": np.array(self.degree)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "RotationBasis":
        return cls(int(stored_array(arrays, "degree", ())))


def _symmetric_traceless(rank):
    """Orthonormal basis (3^rank, 2 rank + 1) of the symmetric traceless tensors, deterministic."""
    moments = _angular_momentum(rank)
    squared = -sum(A @ A for A in moments)  # eigenvalue l (l + 1) on the irreducible parts of degree l
    values, vectors = np.linalg.eigh(squared)
    highest = vectors[:, values > rank * (rank + 1) - 0.5]
    projector = highest @ highest.T
    basis = []
    for column in projector.T:  # Gram-Schmidt over the projected unit tensors: does not depend on the library
        rest = column - sum((b @ column) * b for b in basis)
        if np.linalg.norm(rest) > 1e-6:
            basis.append(rest / np.linalg.norm(rest))
    return np.stack(basis, -1)


def _angular_momentum(rank):
    """Generators (3 of (3^rank, 3^rank)) of rotations about x, y, z on tensors of a rank."""
    generators = []
    for K in _GENERATORS_1:
        total = np.zeros((3**rank, 3**rank))
        for place in range(rank):
            term = np.eye(1)
            for i in range(rank):
                term = np.kron(term, K if i == place else np.eye(3))
            total += term
        generators.append(total)
    return generators


def _generators(rank, Q):
    return np.stack([Q.T @ A @ Q for A in _angular_momentum(rank)])


_GENERATORS_1 = np.stack([so3.skew(axis) for axis in np.eye(3)])


class CurveBasis:
    """Products f_j(yaw) g_k(pitch) h_l(roll) of one-dimensional curves, the separable model of the paper.

    curves: "cosine": a cos(b w + c) + d per row (a, b, c, d), as in the paper; "fourier": c0 + sum_n c_n cos(n w) +
    s_n sin(n w) per row (c0, c1, s1, c2, s2, ...). Angles are kept within 10 degrees of the grid.
    """

    kind: str = "curves"

    def __init__(self, curves: str, order: str, coefficients: Sequence[np.ndarray], limits_deg: np.ndarray):
        if curves not in CURVES:
            raise HpeError(f"curves '{curves}' are unknown, known: {', '.join(CURVES)}")
        self.curves, self.order = curves, euler.check_order(order)
        self.coefficients = [np.array(c, float) for c in coefficients]
        self.limits_deg = np.array(limits_deg, float)
        self.size = int(np.prod([len(c) for c in self.coefficients]))
        self._low = np.radians(self.limits_deg[:, 0]) - MARGIN_RAD
        self._high = np.radians(self.limits_deg[:, 1]) + MARGIN_RAD

    def from_rotation(self, R: np.ndarray) -> np.ndarray:
        return np.clip(euler.angles_from_matrix(R, self.order), self._low, self._high)

    def rotation(self, parameters: np.ndarray) -> np.ndarray:
        return euler.matrix_from_angles(parameters, self.order)

    def step(self, parameters: np.ndarray, delta: np.ndarray) -> np.ndarray:
        return np.clip(parameters + delta, self._low, self._high)

    def tangent(self, parameters: np.ndarray) -> np.ndarray:
        return euler.tangent_from_angles(parameters, self.order)

    def evaluate(self, parameters: np.ndarray) -> np.ndarray:
        values = [CURVES[self.curves](parameters[:, a], self.coefficients[a]) for a in range(3)]
        out = []
        for derived in (None, 0, 1, 2):
            f, g, h = (values[a][1 if a == derived else 0] for a in range(3))
            out.append((f[:, :, None, None] * g[:, None, :, None] * h[:, None, None, :]).reshape(len(f), -1))
        return np.stack(out, 1)

    def arrays(self) -> dict[str, np.ndarray]:
        named = dict(zip(("yaw_curves", "pitch_curves", "roll_curves"), self.coefficients, strict=True))
        return named | {"curves": np.array(self.curves), "order": np.array(self.order), "limits_deg": self.limits_deg}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "CurveBasis":
        coefficients = [stored_array(arrays, f"{axis}_curves", (None, None)) for axis in ("yaw", "pitch", "roll")]
        curves, order = str(stored_array(arrays, "curves", ())), str(stored_array(arrays, "order", ()))
        for c in coefficients:
            if (curves == "cosine" and c.shape[1] != 4) or c.shape[1] % 2 != curves.startswith("fourier"):
                raise HpeError(f"{curves} curves cannot have {c.shape[1]} coefficients")
        return cls(curves, order, coefficients, stored_array(arrays, "limits_deg", (3, 2)))


def cosine(angle_rad: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and derivatives, each (N, r), of a cos(b w + c) + d at angles (N,) rad; coefficients (r, 4)."""
    a, b, c, d = coefficients.T
    phase = b * angle_rad[:, None] + c
    return a * np.cos(phase) + d, -a * b * np.sin(phase)


def fourier(angle_rad: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and derivatives, each (N, r), of a Fourier series at angles (N,) rad; coefficients (r, 1 + 2 n)."""
    n = np.arange(1, coefficients.shape[1] // 2 + 1)
    phase = n * angle_rad[:, None]
    c, s = np.cos(phase), np.sin(phase)
    by_cosine, by_sine = coefficients[:, 1::2], coefficients[:, 2::2]
    value = coefficients[:, 0] + c @ by_cosine.T + s @ by_sine.T
    return value, (n * c) @ by_sine.T - (n * s) @ by_cosine.T


CURVES = {"cosine": cosine, "fourier": fourier}
BASES: dict[str, type[RotationBasis] | type[CurveBasis]] = {basis.kind: basis for basis in (RotationBasis, CurveBasis)}
