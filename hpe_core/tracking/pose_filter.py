"""Constant-velocity error-state Kalman filters on SO(3) x R^3, all heads at once.

State of a head: R_camera_head, t (m), angular velocity w (rad/s, camera frame), linear velocity v (m/s). The error is
(dt, dtheta, dv, dw), 12 numbers, with R_true = exp(dtheta) R. Source: Sola, "Quaternion kinematics for the error-state
Kalman filter", arXiv 1711.02508, global (left) error.
"""

from collections.abc import Sequence

import numpy as np

from hpe_core.geometry import so3
from hpe_core.types import HeadPose

_I3, _I12 = np.eye(3), np.eye(12)
INITIAL_LINEAR_SPEED_STD = 0.5  # m/s
INITIAL_ANGULAR_SPEED_STD = 2.0  # rad/s
STEP_S = 0.1  # for how long a head accelerates alike, at most


class PoseFilters:
    """One row per head: `add` it with a measurement that has a covariance, then `predict` and `update` its row."""

    def __init__(self, linear_acceleration_std: float, angular_acceleration_std: float):
        self.set_accelerations(linear_acceleration_std, angular_acceleration_std)
        self._R, self._t = np.empty((0, 3, 3)), np.empty((0, 3))
        self._v, self._w = np.empty((0, 3)), np.empty((0, 3))
        self._P = np.empty((0, 12, 12))

    def set_accelerations(self, linear_std: float, angular_std: float) -> None:
        """Process noise: standard deviations of the heads' acceleration (m/s^2, rad/s^2) from the next `predict` on."""
        self._forget_predictions()
        noise = np.diag([linear_std**2] * 3 + [angular_std**2] * 3)
        # of the pose, of both, of the velocity
        self._Q = np.array([np.kron(of, noise) for of in ([[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]])])

    def _forget_predictions(self) -> None:
        self._ahead: tuple[np.ndarray, ...] | None = None  # dt_s, R, t, P of all rows, as predicted last
        self._moved_last: tuple | None = None  # rows and dt_s that were asked for last, and R, t, turn

    def add(self, pose: HeadPose) -> None:
        """A new last row that starts with a HeadPose."""
        P = np.zeros((12, 12))
        P[:6, :6] = pose.covariance
        P[6:9, 6:9] = _I3 * INITIAL_LINEAR_SPEED_STD**2
        P[9:, 9:] = _I3 * INITIAL_ANGULAR_SPEED_STD**2
        self._forget_predictions()
        self._R = np.concatenate([self._R, pose.R_camera_head[None]])
        self._t = np.concatenate([self._t, pose.t_camera_head_m[None]])
        self._v = np.concatenate([self._v, np.zeros((1, 3))])
        self._w = np.concatenate([self._w, np.zeros((1, 3))])
        self._P = np.concatenate([self._P, P[None]])

    def keep(self, rows: list[int]) -> None:
        """Forget all rows but these."""
        self._forget_predictions()
        self._R, self._t = self._R[rows], self._t[rows]
        self._v, self._w = self._v[rows], self._w[rows]
        self._P = self._P[rows]

    def rescale(self, row: int, factor: float) -> None:
        """The head of a row is by this factor farther off than was thought, seen in the same direction."""
        self._forget_predictions()
        self._t[row] *= factor
        self._v[row] *= factor

    def poses(self, rows: list[int]) -> list[HeadPose]:
        """Current HeadPose of each row with its covariance."""
        which = self._which(rows)
        return HeadPose.many(self._R[which], self._t[which], self._P[which, :6, :6])

    def _which(self, rows: list[int]) -> list[int] | slice:
        """The rows as an index: a slice where they are all rows, whose views are faster than copies."""
        return slice(None) if rows == list(range(len(self._t))) else rows

    def moved(self, rows: list[int], dt_s: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (N, 3, 3) and positions (N, 3) m of rows in their dt_s >= 0 seconds.

        Velocities stay as they are; the states do too.
        """
        R, t, _ = self._moved(rows, dt_s)
        return R, t

    def predicted(self, rows: list[int], dt_s: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `moved`, with the covariances (N, 6, 6) of the poses."""
        R, t, turn = self._moved(rows, dt_s)
        P = self._spread(rows, dt_s, turn)
        if rows == list(range(len(self._t))):
            self._ahead = np.asarray(dt_s, float), R, t, P
        return R, t, P[:, :6, :6]

    def predict(self, rows: list[int], dt_s: Sequence[float]) -> None:
        """Move the states of rows on by their dt_s >= 0 seconds."""
        ahead, which = self._ahead, self._which(rows)
        if ahead is not None and np.array_equal(ahead[0][which], dt_s):  # as they were for the association
            self._R[which], self._t[which], self._P[which] = (values[which] for values in ahead[1:])
        else:
            R, t, turn = self._moved(rows, dt_s)
            self._P[which] = self._spread(rows, dt_s, turn)
            self._R[which], self._t[which] = R, t
        self._forget_predictions()

    def _moved(self, rows: list[int], dt_s: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `moved`, and by what the heads turn (N, 3, 3)."""
        if self._moved_last is not None and self._moved_last[0] == (rows, dt_s):  # where a face is looked for
            return self._moved_last[1]
        dt, which = np.asarray(dt_s, float)[:, None], self._which(rows)
        turn = so3.matrix_from_rotvec(self._w[which] * dt)
        moved = turn @ self._R[which], self._t[which] + self._v[which] * dt, turn
        self._moved_last = (rows, dt_s), moved
        return moved

    def _spread(self, rows: list[int], dt_s: Sequence[float], turn: np.ndarray) -> np.ndarray:
        """Covariances (N, 12, 12) of the error, of rows in their dt_s seconds, while they turn by (N, 3, 3)."""
        dt = np.asarray(dt_s, float)[:, None, None]
        F = np.empty((len(dt), 12, 12))
        F[...] = _I12
        F[:, 0:3, 6:9] = F[:, 3:6, 9:12] = _I3 * dt
        F[:, 3:6, 3:6] = turn
        return F @ self._P[self._which(rows)] @ np.swapaxes(F, -1, -2) + self._noise(dt)

    def _noise(self, dt: np.ndarray) -> np.ndarray:
        """What the accelerations add to the covariance (N, 12, 12) in dt (N, 1, 1) seconds.

        White acceleration a over a step h moves the pose by a h^2 / 2 and the velocity by a h. Steps are independent;
        a pause is made of steps of STEP_S, since nobody accelerates for long, and what is shorter is one step.
        """
        h = np.minimum(dt, STEP_S)
        pose, both, velocity = self._Q
        return h * ((dt**3 / 3 - dt * h**2 / 12) * pose + dt**2 / 2 * both + dt * velocity)

    def update(self, rows: list[int], poses: Sequence[HeadPose]) -> None:
        """Take in a measured HeadPose with covariance for each of the rows (Joseph form, so P stays positive)."""
        self._forget_predictions()
        which = self._which(rows)
        measured = np.array([pose.covariance for pose in poses])
        t_measured = np.array([pose.t_camera_head_m for pose in poses])
        R_measured = np.array([pose.R_camera_head for pose in poses])
        P = self._P[which]
        turn = so3.rotvec_from_matrix(R_measured @ np.swapaxes(self._R[which], -1, -2))
        innovation = np.concatenate([t_measured - self._t[which], turn], -1)
        gain = np.swapaxes(np.linalg.solve(P[:, :6, :6] + measured, P[:, :6, :]), -1, -2)
        error = (gain @ innovation[..., None])[..., 0]
        self._t[which] += error[:, :3]
        self._R[which] = so3.matrix_from_rotvec(error[:, 3:6]) @ self._R[which]
        self._v[which] += error[:, 6:9]
        self._w[which] += error[:, 9:]
        A = np.empty((len(poses), 12, 12))
        A[...] = _I12
        A[:, :, :6] -= gain
        P = A @ P @ np.swapaxes(A, -1, -2) + gain @ measured @ np.swapaxes(gain, -1, -2)
        self._P[which] = 0.5 * (P + np.swapaxes(P, -1, -2))
