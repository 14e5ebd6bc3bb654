"""Pose from landmarks: maximum a posteriori by Levenberg-Marquardt on rotation, identity and size, batched.

Minimises 1/2 |x - s x(z, R) - t|^2 / noise^2 + 1/2 |z|^2 + 1/2 (ln s / prior)^2 over R, z, s; t is eliminated in closed
form. One product with the model's folded weights, in float32, gives the landmarks and all their derivatives; the misfit
and what is solved are in float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hpe_core.geometry.rigid import rotation_between_points
from hpe_core.nlml import angles as euler
from hpe_core.nlml.landmarks import LEAST_SEEN, checked, original_normalised
from hpe_core.nlml.model import Model

MAX_ITERATIONS = 15
BEYOND_DEG = 15.0  # a solution farther than this beyond the grid is outside the model's range
STEP_TOLERANCE = 1e-3  # rad and standard deviations: such a step is the last one, taken to first order
ROUNDING = 1e-5  # of the cost: what float32 may add to it
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


class Linearised(NamedTuple):
    """The misfit of N faces and its derivatives by the q = 4 + r steps of rotation, identity and ln(size)."""

    cost: np.ndarray  # (N,)
    H: np.ndarray  # (N, q, q) Gauss-Newton matrix
    g: np.ndarray  # (N, q) gradient
    mean: np.ndarray  # (N, 3) weighted mean of the model's landmarks
    mean_J: np.ndarray  # (N, 3, q) its derivatives

    def after(self, delta: np.ndarray) -> "Linearised":
        """The same after small steps delta (N, q), to first order; the cost to second order."""
        along = self.g + 0.5 * (self.H @ delta[..., None])[..., 0]
        mean = self.mean + (self.mean_J @ delta[..., None])[..., 0]
        return self._replace(cost=self.cost + (delta * along).sum(-1), mean=mean)


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
    damping = np.full(n, 1e-3)
    converged, iterations = np.zeros(n, bool), np.zeros(n, int)
    active = usable.copy()
    at = problem.linearise(state)
    diagonal = np.arange(q)
    for _ in range(max_iterations):
        if not active.any():
            break
        damped = at.H.copy()
        damped[:, diagonal, diagonal] *= 1.0 + damping[:, None]
        delta = -np.linalg.solve(damped, at.g[..., None])[..., 0]
        delta[~active] = 0.0
        small = active & (np.abs(delta).max(-1) < STEP_TOLERANCE)
        searching = active & ~small
        trial = problem.moved(state, delta)
        better = small
        if searching.any():
            there = problem.linearise(trial)
            improved = searching & (there.cost < (1.0 + ROUNDING) * at.cost)
            damping = _limited(damping * np.where(improved, 0.1, 10.0), 1e-9, 1e9)
            better = small | improved
            at = Linearised(*_where(improved, there, at))
        if small.any():
            at = at.after(np.where(small[:, None], delta, 0.0))
        state = State(*_where(better, trial, state))
        iterations += active
        converged |= small
        active = searching
    return problem.estimates(state, at, R_start=R_start, usable=usable, converged=converged, iterations=iterations)


def _where(mask: np.ndarray, new: Sequence[np.ndarray], old: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """The rows of each array that the mask (N,) names from the new ones, the others from the old ones."""
    if mask.all():
        return new
    return [np.where(mask.reshape((-1,) + (1,) * (a.ndim - 1)), a, b) for a, b in zip(new, old, strict=True)]


def _limited(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """As np.clip, which takes several times as long for few numbers."""
    return np.minimum(np.maximum(values, low), high)


class _Problem:
    """The misfit of a chunk of faces; per face all x of its landmarks, then all y, all z."""

    def __init__(self, model: Model, points: np.ndarray, visible: np.ndarray):
        self.model, self.points = model, points
        self.free = model.normalisation == "free"
        share = visible + (1.0 - visible) / model.hidden_noise**2
        D = share[:, None, :] / model.noise_std.reshape(-1, 3).T ** 2  # N 3 M
        self.total = D.sum(2)  # N 3
        self.mean_of = D / self.total[..., None] if self.free else np.zeros(D.shape)
        self.root = np.sqrt(D)
        x = np.swapaxes(points, 1, 2)
        self.mean_x = (self.mean_of * x).sum(2)
        self.x = (self.root * (x - self.mean_x[..., None])).reshape(len(points), model.features.shape[0])
        self.rigid_weights = D.mean(1)
        self.effective = 3.0 * share.sum(1)
        self.prior = np.array([0.0] * 3 + [1.0] * model.identities + [1.0 / model.log_scale_std**2])  # precisions

    def rigid_alignment(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (N, 3, 3) that lay the mean frontal face on the points, and where they are determined (N,) bool."""
        mean = self.model.mean_face
        w = self.rigid_weights / self.rigid_weights.sum(1, keepdims=True)
        face = mean - (w @ mean)[:, None]
        R, s = rotation_between_points(mean, self.points, w)
        return R, s[:, 1] > 1e-6 * np.maximum((w[..., None] * face**2).sum((1, 2)), 1e-30)

    def start(self, R: np.ndarray) -> State:
        """Parameters, identity and ln(size) from rotations: the mean identity at unit size."""
        n = len(R)
        return State(self.model.basis.from_rotation(R), np.zeros((n, self.model.identities)), np.zeros(n))

    def moved(self, state: State, delta: np.ndarray) -> State:
        parameters, z, log_scale = state
        turn = _limited(delta[:, :3], -0.5, 0.5)  # no step beyond where the linear model means anything
        return State(
            self.model.basis.step(parameters, turn),
            z + delta[:, 3:-1],
            _limited(log_scale + delta[:, -1], -_MAX_LOG_SCALE, _MAX_LOG_SCALE),
        )

    def landmarks(self, state: State) -> np.ndarray:
        """Derivatives (N, q, 3, M) of s x(z, R); the last one, by ln(size), is the landmarks themselves."""
        parameters, z, log_scale = state
        n, q, m = len(z), 4 + z.shape[1], self.model.landmarks
        phi = self.model.basis.evaluate(parameters)  # N 4 K
        parts = (phi.reshape(4 * n, phi.shape[-1]).astype(np.float32) @ self.model.folded).reshape(n, 4, q - 3, 3 * m)
        u = np.ones((n, 1, 1, q - 3), np.float32)
        u[:, 0, 0, 1:] = z
        turned = (u @ parts)[:, :, 0]  # N 4 3M: value, three derivatives
        J = np.empty((n, q, 3 * m))
        J[:, :3], J[:, 3:-1], J[:, -1] = turned[:, 1:], parts[:, 0, 1:], turned[:, 0]
        if self.free:
            J *= np.exp(log_scale)[:, None, None]
        return J.reshape(n, q, 3, m)

    def linearise(self, state: State) -> Linearised:
        """The misfit at a state."""
        J = self.landmarks(state)
        _, z, log_scale = state
        n, q, _, m = J.shape
        mean_J = (np.swapaxes(J, 1, 2) @ self.mean_of[..., None])[..., 0]  # N 3 q
        J -= np.swapaxes(mean_J, 1, 2)[..., None]
        J *= self.root[:, None]
        J = J.reshape(n, q, 3 * m)
        rest = J[:, -1] - self.x
        if not self.free:
            J[:, -1] = 0.0
        misfit = (rest * rest).sum(-1)
        H = J @ np.swapaxes(J, 1, 2)
        g = (J @ rest[..., None])[..., 0]
        steps = np.concatenate([np.zeros((n, 3)), z, log_scale[:, None]], 1)
        prior = self.prior * steps
        g += prior
        diagonal = np.arange(q)
        tiny = 1e-9 * H[:, :3, :3].trace(axis1=1, axis2=2) + 1e-12
        H[:, diagonal, diagonal] += self.prior + tiny[:, None] * (diagonal < 3)
        return Linearised(0.5 * (misfit + (prior * steps).sum(-1)), H, g, mean_J[..., -1], mean_J)

    def estimates(
        self,
        state: State,
        at: Linearised,
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
        angles = euler.angles_from_matrix(np.stack([R, R_start]), model.order)
        excess, rigid_excess = euler.excess_deg(angles, model.limits_deg)
        converged = converged & usable & (np.maximum(excess, rigid_excess) < BEYOND_DEG)
        in_range = converged & (excess <= 0.0)
        R = np.where(converged[:, None, None], R, R_start)
        covariance = np.linalg.inv(at.H) * model.covariance_scale
        T = model.basis.tangent(parameters)
        rotation_covariance = T @ covariance[:, :3, :3] @ np.swapaxes(T, 1, 2)
        scale = np.exp(log_scale) if self.free else np.ones(len(z))
        offset, size_covariance = np.zeros((len(z), 3)), np.zeros((len(z), 4, 4))
        if self.free:
            offset = self.mean_x - at.mean
            A = np.zeros((len(z), 4, at.H.shape[1]))
            A[:, :3] = -at.mean_J
            A[:, 3, -1] = 1.0
            size_covariance = A @ covariance @ np.swapaxes(A, 1, 2)
            place = np.arange(3)
            size_covariance[:, place, place] += model.covariance_scale / self.total
        misfit = 2.0 * at.cost - (z * z).sum(-1) - (log_scale / model.log_scale_std) ** 2
        residual = np.sqrt(np.maximum(misfit, 0.0) / self.effective)
        dead = ~usable
        for array in (R, rotation_covariance, z, scale, offset, size_covariance, residual):
            array[dead] = np.nan
        return Estimates(
            R_local=R,
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
