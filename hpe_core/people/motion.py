"""How a face of one camera moves, for the moment between its images and those of other cameras."""

from collections import deque

import numpy as np

from hpe_core.geometry import so3
from hpe_core.people.poses import FixedPose

WINDOW_NS = 300_000_000  # velocity is that of the last 0.3 s
ACCELERATION_STD = np.array([2.0] * 3 + [15.0] * 3)  # m/s^2, rad/s^2, as the filter of faces takes it


class Motion:
    """The latest poses of one face of one camera. Velocities come from that camera alone, so its bias cancels out."""

    def __init__(self, stamp_ns: int, pose: FixedPose):
        self._seen: deque[tuple[int, FixedPose]] = deque([(stamp_ns, pose)])
        self._asked: tuple[int, FixedPose] = (stamp_ns, pose)  # the last answer of pose_at, which is asked twice

    @property
    def stamp_ns(self) -> int:
        """Of the latest pose."""
        return self._seen[-1][0]

    @property
    def pose(self) -> FixedPose:
        """The latest one."""
        return self._seen[-1][1]

    def add(self, stamp_ns: int, pose: FixedPose) -> None:
        """A later pose."""
        self._seen.append((stamp_ns, pose))
        self._asked = (stamp_ns, pose)
        while len(self._seen) > 2 and stamp_ns - self._seen[0][0] > WINDOW_NS:
            self._seen.popleft()

    def velocity(self) -> np.ndarray:
        """(6,) m/s and rad/s about the fixed frame's axes, the slope of the latest poses; 0 when there is but one."""
        newest = self.pose
        seconds = np.array([(stamp_ns - self.stamp_ns) * 1e-9 for stamp_ns, _ in self._seen])
        turns = so3.rotvec_from_matrix(np.array([p.R_fixed_head for _, p in self._seen]) @ newest.R_fixed_head.T)
        moved = np.hstack([np.array([p.t_fixed_head_m for _, p in self._seen]) - newest.t_fixed_head_m, turns])
        centred = seconds - seconds.mean()
        spread = float(centred @ centred)
        return centred @ moved / spread if spread > 0.0 else np.zeros(6)

    def pose_at(self, stamp_ns: int) -> FixedPose:
        """The latest pose moved on to a later stamp; unchanged for an earlier one."""
        dt = (stamp_ns - self.stamp_ns) * 1e-9
        if dt <= 0.0:
            return self.pose
        if self._asked[0] != stamp_ns:
            self._asked = stamp_ns, moved_on(self.pose, self.velocity(), dt)
        return self._asked[1]


def moved_on(pose: FixedPose, velocity: np.ndarray, dt_s: float) -> FixedPose:
    """A pose after dt_s with velocity (6,), less certain by what a head may accelerate meanwhile."""
    step = velocity * dt_s
    covariance = pose.covariance + np.diag((0.5 * ACCELERATION_STD * dt_s**2) ** 2)
    return FixedPose(so3.matrix_from_rotvec(step[3:]) @ pose.R_fixed_head, pose.t_fixed_head_m + step[:3], covariance)
