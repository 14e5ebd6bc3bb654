"""Error-state Kalman filter on SO(3) x R^3 with constant linear and angular velocity.

State: R_camera_head, t (m), angular velocity w (rad/s, camera frame), linear velocity v (m/s). The error is
(dt, dtheta, dv, dw), 12 numbers, with R_true = exp(dtheta) R. Source: Sola, "Quaternion kinematics for the error-state
Kalman filter", arXiv 1711.02508, global (left) error.
"""

import numpy as np

from hpe_core.geometry import so3
from hpe_core.types import HeadPose

_I3 = np.eye(3)
INITIAL_LINEAR_SPEED_STD = 0.5  # m/s
INITIAL_ANGULAR_SPEED_STD = 2.0  # rad/s


class PoseFilter:
    """Filters one head. Start it with a measurement that has a covariance, then `predict` and `update`."""

    def __init__(self, pose, linear_acceleration_std, angular_acceleration_std):
        self.set_accelerations(linear_acceleration_std, angular_acceleration_std)
        self._R, self._t = pose.R_camera_head, pose.t_camera_head_m
        self._v, self._w = np.zeros(3), np.zeros(3)
        self._P = np.zeros((12, 12))
        self._P[:6, :6] = pose.covariance
        self._P[6:9, 6:9] = _I3 * INITIAL_LINEAR_SPEED_STD**2
        self._P[9:, 9:] = _I3 * INITIAL_ANGULAR_SPEED_STD**2

    def set_accelerations(self, linear_std, angular_std):
        """Spread of the head's acceleration (m/s^2, rad/s^2) from the next `predict` on."""
        spread = np.diag([linear_std**2] * 3 + [angular_std**2] * 3)
        # white acceleration a over dt moves the pose by a dt^2 / 2 and the velocity by a dt
        self._Q4 = np.kron([[0.25, 0.0], [0.0, 0.0]], spread)
        self._Q3 = np.kron([[0.0, 0.5], [0.5, 0.0]], spread)
        self._Q2 = np.kron([[0.0, 0.0], [0.0, 1.0]], spread)

    @property
    def pose(self):
        """Current HeadPose with its covariance."""
        return HeadPose(self._R, self._t, self._P[:6, :6])

    def ahead(self, dt_s):
        """HeadPose (without covariance) in dt_s >= 0 seconds if its velocity stays; the filter does not change."""
        return HeadPose(so3.matrix_from_rotvec(self._w * dt_s) @ self._R, self._t + self._v * dt_s)

    def predict(self, dt_s):
        """Move the state on by dt_s >= 0 seconds."""
        turn = so3.matrix_from_rotvec(self._w * dt_s)
        self._R = turn @ self._R
        self._t = self._t + self._v * dt_s
        F = np.eye(12)
        F[0:3, 6:9] = _I3 * dt_s
        F[3:6, 3:6] = turn
        F[3:6, 9:12] = _I3 * dt_s
        self._P = F @ self._P @ F.T + dt_s**4 * self._Q4 + dt_s**3 * self._Q3 + dt_s**2 * self._Q2

    def update(self, pose):
        """Take in a measured HeadPose with covariance (Joseph form, so P stays symmetric and positive)."""
        innovation = np.concatenate(
            [pose.t_camera_head_m - self._t, so3.rotvec_from_matrix(pose.R_camera_head @ self._R.T)]
        )
        S = self._P[:6, :6] + pose.covariance
        gain = np.linalg.solve(S, self._P[:6, :]).T
        error = gain @ innovation
        self._t = self._t + error[:3]
        self._R = so3.matrix_from_rotvec(error[3:6]) @ self._R
        self._v, self._w = self._v + error[6:9], self._w + error[9:]
        A = np.eye(12)
        A[:, :6] -= gain
        self._P = A @ self._P @ A.T + gain @ pose.covariance @ gain.T
        self._P = 0.5 * (self._P + self._P.T)
