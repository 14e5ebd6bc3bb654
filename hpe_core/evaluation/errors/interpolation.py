"""Poses between samples: rotations on the shortest arc (slerp), positions on a line."""

import numpy as np

from hpe_core.geometry import so3


def interpolate(
    stamp_ns: np.ndarray, R: np.ndarray, t_m: np.ndarray, at_ns: np.ndarray, max_gap_ns: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations (K, 3, 3), positions (K, 3) and validity (K,) at times `at_ns` (K,) of N samples in strict order.

    stamp_ns (N,), R (N, 3, 3), t_m (N, 3). A time is valid on a sample, or between two samples at most `max_gap_ns`
    apart; nothing is extrapolated. Source of slerp: Shoemake, SIGGRAPH 1985.
    """
    at_ns = np.asarray(at_ns, np.int64)
    if len(stamp_ns) == 0 or len(at_ns) == 0:
        return np.broadcast_to(np.eye(3), (len(at_ns), 3, 3)), np.zeros((len(at_ns), 3)), np.zeros(len(at_ns), bool)
    after = np.clip(np.searchsorted(stamp_ns, at_ns, side="left"), 0, len(stamp_ns) - 1)
    exact = stamp_ns[after] == at_ns
    before = np.where(exact, after, np.maximum(after - 1, 0))
    gap = stamp_ns[after] - stamp_ns[before]
    inside = (stamp_ns[before] <= at_ns) & (at_ns <= stamp_ns[after])
    valid = exact | (inside & (gap > 0) & (gap <= max_gap_ns))
    fraction = np.where(gap > 0, (at_ns - stamp_ns[before]) / np.where(gap > 0, gap, 1), 0.0)
    fraction = np.clip(fraction, 0.0, 1.0)
    turn = so3.rotvec_from_matrix(np.swapaxes(R[before], -1, -2) @ R[after])
    rotation = R[before] @ so3.matrix_from_rotvec(fraction[:, None] * turn)
    position = t_m[before] + fraction[:, None] * (t_m[after] - t_m[before])
    return rotation, position, valid
