"""Behaviour over time: jitter, second differences, rate and gaps."""

from collections.abc import Iterable

import numpy as np

from hpe_core.geometry import so3

WINDOW = 15  # samples, about half a second of video
STILL_DEG_PER_S = 3.0
STILL_M_PER_S = 0.02
JUMP_DEG = 60.0


def _window_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Means (N - width + 1, ...) of runs of `width` rows of values (N, ...)."""
    total = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), 0)
    return (total[width:] - total[:-width]) / width


def local_spread(R: np.ndarray, t_m: np.ndarray, width: int = WINDOW) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (K, 3) rad and position (K, 3) m of the middle of every run of `width` samples against the run's mean,
    scaled so that white noise keeps its variance. R (N, 3, 3), t_m (N, 3); K = N - width + 1."""
    if len(R) < width:
        return np.zeros((0, 3)), np.zeros((0, 3))
    middle = slice(width // 2, width // 2 + len(R) - width + 1)
    R_mean = so3.project_to_rotation(_window_mean(R, width))
    turn = so3.rotvec_from_matrix(np.swapaxes(R_mean, -1, -2) @ R[middle])
    scale = np.sqrt(width / (width - 1.0))
    return scale * turn, scale * (t_m[middle] - _window_mean(t_m, width))


def jitter(pieces: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray | None]]) -> dict[str, float | int | None]:
    """dict of standard deviations per axis about the local mean, rotation in degrees and position in mm.

    pieces: (R (N, 3, 3), t_m (N, 3), mask (K,) of the runs that count or None) of each head. With ground truth, pass
    the error poses: then motion cancels. Median-based, so that single outliers do not count.
    """
    turns, shifts, runs = [np.zeros((0, 3))], [np.zeros((0, 3))], 0
    for R, t_m, mask in pieces:
        turn, shift = local_spread(R, t_m)
        runs += len(turn)
        turns.append(turn if mask is None else turn[mask])
        shifts.append(shift if mask is None else shift[mask])
    turn, shift = np.concatenate(turns), np.concatenate(shifts)
    return {
        "rotation_deg_per_axis": _robust_std(np.degrees(turn)),
        "translation_mm_per_axis": _robust_std(1e3 * shift),
        "samples": len(turn),
        "share": len(turn) / runs if runs else None,
    }


def _robust_std(values: np.ndarray) -> float | None:
    """Standard deviation per axis of (K, 3) values from their median absolute size (normal law)."""
    return float(np.median(np.abs(values)) / 0.674489750196082) if len(values) else None


def still(R: np.ndarray, t_m: np.ndarray, stamp_ns: np.ndarray, width: int = WINDOW) -> np.ndarray:
    """Mask (K,) of the runs of local_spread in which the head rests: its turn and way from the run's first to its
    last third are slower than STILL_DEG_PER_S and STILL_M_PER_S."""
    third = width // 3
    if len(R) < width:
        return np.zeros(0, bool)
    mean_R = so3.project_to_rotation(_window_mean(R, third))
    mean_t, when = _window_mean(t_m, third), _window_mean(stamp_ns.astype(float)[:, None], third)[:, 0]
    count, ahead = len(R) - width + 1, width - third
    seconds = np.maximum(1e-9 * (when[ahead : ahead + count] - when[:count]), 1e-6)
    turn = np.degrees(so3.geodesic_angle(mean_R[:count], mean_R[ahead : ahead + count]))
    way = np.linalg.norm(mean_t[ahead : ahead + count] - mean_t[:count], axis=-1)
    return (turn / seconds < STILL_DEG_PER_S) & (way / seconds < STILL_M_PER_S)


def second_difference_deg(R: np.ndarray) -> np.ndarray:
    """Size (N - 2,) in degrees of the change of the rotation between neighbours: log(R1' R2) - log(R0' R1)."""
    if len(R) < 3:
        return np.zeros(0)
    step = so3.rotvec_from_matrix(np.swapaxes(R[:-1], -1, -2) @ R[1:])
    return np.degrees(np.linalg.norm(np.diff(step, axis=0), axis=-1))


def jumps(R: np.ndarray, stamp_ns: np.ndarray, max_gap_ns: float) -> int:
    """How many neighbours within the gap differ by more than JUMP_DEG: a head does not turn so fast."""
    if len(R) < 2:
        return 0
    near = np.diff(stamp_ns) <= max_gap_ns
    return int(np.sum(near & (np.degrees(so3.geodesic_angle(R[:-1], R[1:])) > JUMP_DEG)))


def rate(stamp_ns: np.ndarray) -> dict[str, float | int | None]:
    """dict of what a stream of stamps (M,) in order delivers: rate, dropouts (missing samples), longest gap."""
    step = np.diff(np.unique(stamp_ns))
    if len(step) == 0:
        return {"messages": len(stamp_ns), "rate_hz": None, "dropouts": 0, "dropped": 0, "longest_gap_s": None}
    period = float(np.median(step))
    gaps = step[step > 1.5 * period]
    return {
        "messages": len(stamp_ns),
        "rate_hz": 1e9 / period,
        "dropouts": len(gaps),
        "dropped": int(np.sum(np.round(gaps / period) - 1)),
        "longest_gap_s": float(step.max() * 1e-9),
    }
