"""Pose from landmarks: maximum a posteriori by Levenberg-Marquardt on rotation, identity and size, batched.

Minimises 1/2 |x - s x(z, R) - t|^2 / noise^2 + 1/2 |z|^2 + 1/2 (ln s / prior)^2 over R, z, s; t is eliminated in closed
form. The model's features are projected once per face on its P directions, so that a step costs P numbers, not 3 M.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hpe_core.geometry import so3
from hpe_core.geometry.rigid import rotation_between_points
from hpe_core.nlml import angles as euler
from hpe_core.nlml.landmarks import LEAST_SEEN, checked, original_normalised
from hpe_core.nlml.model import Model

MAX_ITERATIONS = 15
BEYOND_DEG = 15.0  # a solution farther than this beyond the grid is outside the model's range
STEP_TOLERANCE = 1e-4  # rad and standard deviations
_CHUNK = 64  # faces whose projections are in memory at once
_MAX_LOG_SCALE = 1.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimates:
    """N faces. Rows that are not `converged` carry the rigid alignment with the mean face, or NaN where there is none.

    R_local: (N, 3, 3); covariance_rad2: (N, 3, 3) of the left error e, ground truth = exp(e) R_local, in the axes of
    the face-centred camera;
    identity: (N, r) in standard deviations; scale: (N,) size of the landmarks in the model's unit size;
    offset: (N, 3) where the model's origin (the face centre C) lies among the landmarks, in their unit;
    size_covariance: (N, 4, 4) of offset and ln(scale); residual: (N,) root mean square of the weighted misfit, 1 is
    what the noise explains; iterations: (N,); converged: (N,) bool; in_range: (N,) bool, inside the training grid.
    """

    R_local: np.ndarray
    covariance_rad2: np.ndarray
    identity: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    size_covariance: np.ndarray
    residual: np.ndarray
    iterations: np.ndarray
    converged: np.ndarray
    in_range: np.ndarray

    def __len__(self) -> int:
        return len(self.R_local)


class State(NamedTuple):
    """Where the search of N faces stands."""

    parameters: np.ndarray  # (N, ...) of the model's basis
    identity: np.ndarray  # (N, r) in standard deviations
    log_scale: np.ndarray  # (N,)


def infer(
    model: Model, points: np.ndarray, visible: np.ndarray | None = None, max_iterations: int = MAX_ITERATIONS
) -> Estimates:
    """Estimates of faces with landmarks (N, M, 3), x right, y down, z away from the face-centred camera, any origin.

    visible: (N, M) 0..1, None for all seen. Points are in metres for a model of normalisation "free" and in any unit
    for "original". Raises HpeError when the shapes are not the model's.
    """
    points, visible = checked(points, visible, model.landmarks)
    if model.normalisation == "original":
        points = original_normalised(points)
    parts = [
        _infer_chunk(model, points[i : i + _CHUNK], visible[i : i + _CHUNK], max_iterations)
        for i in range(0, max(len(points), 1), _CHUNK)
    ]
    if len(parts) == 1:
        return parts[0]
    return Estimates(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in Estimates.__dataclass_fields__}
    )


def _infer_chunk(model: Model, points: np.ndarray, visible: np.ndarray, max_iterations: int) -> Estimates:
    n, q = len(points), 4 + model.identities
    usable = np.isfinite(points).all((1, 2)) & np.isfinite(visible).all(1)
    usable &= np.where(usable, visible.sum(1), 0.0) >= LEAST_SEEN
    points = np.where(usable[:, None, None], points, 0.0)
    visible = np.where(usable[:, None], visible, 1.0)
    problem = _Problem(model, points, visible)
    R_start, rigid = problem.rigid_alignment()
    usable &= rigid
    state = problem.start(R_start)
    damping, growth = np.full(n, 1e-3), np.full(n, 2.0)
    converged, iterations = np.zeros(n, bool), np.zeros(n, int)
    active = usable.copy()
    cost, H, g = problem.linearise(state)
    diagonal = np.arange(q)
    for _ in range(max_iterations):
        if not active.any():
            break
        damped = H.copy()
        damped[:, diagonal, diagonal] *= 1.0 + damping[:, None]
        delta = -np.linalg.solve(damped, g[..., None])[..., 0]
        delta[~active] = 0.0
        trial = problem.moved(state, delta)
        new_cost, new_H, new_g = problem.linearise(trial)
        predicted = 0.5 * np.sum(delta * (damping[:, None] * H[:, diagonal, diagonal] * delta - g), -1)
        gain = (cost - new_cost) / np.maximum(predicted, 1e-300)
        noise_floor = 1e-12 * np.abs(cost)
        better = active & (cost - new_cost > -noise_floor)
        small = active & (np.abs(delta).max(-1) < STEP_TOLERANCE)
        state = State(*(_where(better, new, old) for new, old in zip(trial, state, strict=True)))
        cost, H, g = _where(better, new_cost, cost), _where(better, new_H, H), _where(better, new_g, g)
        shrunk = damping * np.maximum(1.0 / 9.0, 1.0 - (2.0 * np.clip(gain, -1.0, 2.0) - 1.0) ** 3)
        damping = np.clip(np.where(better, shrunk, damping * growth), 1e-9, 1e9)
        growth = np.where(better, 2.0, np.minimum(2.0 * growth, 1e6))
        iterations += active
        converged |= small
        active &= ~small
    return problem.estimates(state, cost, H, R_start=R_start, usable=usable, converged=converged, iterations=iterations)


def _where(mask: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(mask.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)


class _Problem:
    """The misfit of a chunk of faces as a quadratic form in the model's P directions."""

    def __init__(self, model: Model, points: np.ndarray, visible: np.ndarray):
        self.model, self.points = model, points
        self.free = model.normalisation == "free"
        n, m = visible.shape
        share = visible + (1.0 - visible) / model.hidden_noise**2
        D = share[:, :, None] / model.noise_std.reshape(m, 3) ** 2  # N M 3
        self.total = D.sum(1)  # N 3
        B = model.features.reshape(m, 3, -1)
        if self.free:
            self.mean_x = (D * points).sum(1) / self.total
            self.mean_B = np.einsum("nma,map->nap", D, B) / self.total[..., None]
        else:
            self.mean_x, self.mean_B = np.zeros((n, 3)), np.zeros((n, 3, B.shape[-1]))
        x = points - self.mean_x[:, None]
        B = (B - self.mean_B[:, None]).reshape(n, 3 * m, B.shape[-1])
        weighted = B * D.reshape(n, 3 * m, 1)
        self.G = np.swapaxes(weighted, 1, 2) @ B  # N P P
        self.b = (np.swapaxes(weighted, 1, 2) @ x.reshape(n, 3 * m, 1))[..., 0]  # N P
        self.energy = (D * x**2).sum((1, 2))
        self.D, self.x = D, x
        self.effective = 3.0 * share.sum(1)

    def rigid_alignment(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (N, 3, 3) that lay the mean frontal face on the points, and where they are determined (N,) bool."""
        mean = self.model.points(np.eye(3)[None])[0]
        w = self.D.mean(2)
        w = w / w.sum(1, keepdims=True)
        face = mean - np.einsum("nm,ma->na", w, mean)[:, None]
        R, s = rotation_between_points(mean, self.points, w)
        return R, s[:, 1] > 1e-6 * np.maximum((w[..., None] * face**2).sum((1, 2)), 1e-30)

    def start(self, R: np.ndarray) -> State:
        """Parameters, identity and ln(size) from rotations: the mean identity at unit size."""
        n = len(R)
        return State(self.model.basis.from_rotation(R), np.zeros((n, self.model.identities)), np.zeros(n))

    def moved(self, state: State, delta: np.ndarray) -> State:
        parameters, z, log_scale = state
        turn = np.clip(delta[:, :3], -0.5, 0.5)  # no step beyond where the linear model means anything
        return State(
            self.model.basis.step(parameters, turn),
            z + delta[:, 3:-1],
            np.clip(log_scale + delta[:, -1], -_MAX_LOG_SCALE, _MAX_LOG_SCALE),
        )

    def directions(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """c (N, P) of s x(z, R) and its derivatives (N, 4 + r, P) by the step of rotation, identity and ln(size)."""
        model = self.model
        parameters, z, log_scale = state
        n, (i, k, p) = len(z), model.weights.shape
        phi = model.basis.evaluate(parameters)  # N 4 K
        parts = (phi.reshape(4 * n, k) @ model.folded).reshape(n, 4, i, p)
        u = np.concatenate([np.ones((n, 1)), z], 1)[:, None, None, :]
        s = np.exp(log_scale)[:, None, None] if self.free else np.ones((n, 1, 1))
        both = s * (u @ parts)[:, :, 0]  # N 4 P: value, three derivatives
        last = both[:, :1] if self.free else np.zeros_like(both[:, :1])
        return both[:, 0], np.concatenate([both[:, 1:], s * parts[:, 0, 1:], last], 1)

    def linearise(self, state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cost (N,), Gauss-Newton matrix (N, q, q) and gradient (N, q)."""
        c, J = self.directions(state)
        _, z, log_scale = state
        Gc = (self.G @ c[..., None])[..., 0]
        precision = 1.0 / self.model.log_scale_std**2
        cost = self.energy + np.sum(c * (Gc - 2.0 * self.b), -1) + np.sum(z * z, -1) + precision * log_scale**2
        H = J @ self.G @ np.swapaxes(J, 1, 2)
        g = (J @ (Gc - self.b)[..., None])[..., 0]
        r = z.shape[1]
        identity = np.arange(3, 3 + r)
        H[:, identity, identity] += 1.0
        H[:, -1, -1] += precision
        g[:, 3:-1] += z
        g[:, -1] += precision * log_scale
        tiny = 1e-9 * H[:, :3, :3].trace(axis1=1, axis2=2)
        for axis in range(3):
            H[:, axis, axis] += tiny + 1e-12
        return 0.5 * cost, H, g

    def estimates(
        self,
        state: State,
        cost: np.ndarray,
        H: np.ndarray,
        *,
        R_start: np.ndarray,
        usable: np.ndarray,
        converged: np.ndarray,
        iterations: np.ndarray,
    ) -> Estimates:
        """Estimates of the chunk at the end of the search."""
        model = self.model
        parameters, z, log_scale = state
        R = model.basis.rotation(parameters)
        angles = euler.angles_from_matrix(R, model.order)
        excess = euler.excess_deg(angles, model.limits_deg)
        rigid_excess = euler.excess_deg(euler.angles_from_matrix(R_start, model.order), model.limits_deg)
        converged = converged & usable & (np.maximum(excess, rigid_excess) < BEYOND_DEG)
        in_range = converged & (excess <= 0.0)
        R = _where(converged, R, R_start)
        covariance = np.linalg.inv(H) * model.covariance_scale
        T = model.basis.tangent(parameters)
        rotation_covariance = T @ covariance[:, :3, :3] @ np.swapaxes(T, 1, 2)
        scale = np.exp(log_scale) if self.free else np.ones(len(z))
        c, J = self.directions(state)
        offset, size_covariance = np.zeros((len(z), 3)), np.zeros((len(z), 4, 4))
        if self.free:
            offset = self.mean_x - (self.mean_B @ c[..., None])[..., 0]
            A = np.concatenate([-self.mean_B @ np.swapaxes(J, 1, 2), np.zeros((len(z), 1, J.shape[1]))], 1)
            A[:, 3, -1] = 1.0
            size_covariance = A @ covariance @ np.swapaxes(A, 1, 2)
            place = np.arange(3)
            size_covariance[:, place, place] += model.covariance_scale / self.total
        misfit = 2.0 * cost - np.sum(z * z, -1) - (log_scale / model.log_scale_std) ** 2
        residual = np.sqrt(np.maximum(misfit, 0.0) / self.effective)
        dead = ~usable
        for array in (R, rotation_covariance, z, scale, offset, size_covariance, residual):
            array[dead] = np.nan
        rotations = so3.project_to_rotation(np.where(dead[:, None, None], np.eye(3), R))
        return Estimates(
            R_local=rotations + np.where(dead, np.nan, 0.0)[:, None, None],
            covariance_rad2=rotation_covariance,
            identity=z,
            scale=scale,
            offset=offset,
            size_covariance=size_covariance,
            residual=residual,
            iterations=iterations,
            converged=converged,
            in_range=in_range,
        )
