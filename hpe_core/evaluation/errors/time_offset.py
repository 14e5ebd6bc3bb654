"""How much later an estimate moves than the ground truth: a wrong clock and the lag of a filter look the same."""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from hpe_core.evaluation.errors.interpolation import interpolate
from hpe_core.geometry import so3

GRID_NS = 20_000_000
BASELINE = 10  # grid steps over which the turn is measured, so that jitter does not drown slow motion
MIN_SPEED_STD_DEG_S = 2.0
MIN_CORRELATION = 0.3
MAX_GAP_NS = 500_000_000
MAX_SAMPLES = 4000
MAX_GRID = 100_000  # the first 33 minutes are enough
FINE_STEPS_S = (0.02, 0.004, 0.0008)


@dataclass(frozen=True)
class TimeOffset:
    """offset_s: seconds that the estimate comes after the ground truth, None when unknown for `reason`; correlation: of
    the turning speeds at that offset, 1 at best."""

    offset_s: float | None
    correlation: float | None
    reason: str = ""


def time_offset(
    stamp_ns: np.ndarray, R: np.ndarray, true_stamp_ns: np.ndarray, R_true: np.ndarray, max_offset_s: float = 1.0
) -> TimeOffset:
    """TimeOffset of one head's rotations (N, 3, 3) against the true (M, 3, 3), stamps strictly increasing.

    Coarse by cross-correlation of the turning speed, which no constant frame offset changes; fine by the shift that
    leaves the least variance of R_true' R about its mean.
    """
    if min(len(stamp_ns), len(true_stamp_ns)) < 3 * BASELINE:
        return TimeOffset(None, None, "too few poses")
    reach = int(np.ceil(max_offset_s * 1e9 / GRID_NS))
    start = max(stamp_ns[0], true_stamp_ns[0]) - reach * GRID_NS
    end = min(stamp_ns[-1], true_stamp_ns[-1]) + reach * GRID_NS
    count = min(int((end - start) // GRID_NS) + 1, MAX_GRID)
    if count < 3 * BASELINE:
        return TimeOffset(None, None, "estimate and ground truth do not overlap in time")
    own, true = _speed(start, count, stamp_ns, R), _speed(start, count, true_stamp_ns, R_true)
    if min(s[s != 0].std() if s.any() else 0.0 for s in (own, true)) < MIN_SPEED_STD_DEG_S:
        return TimeOffset(None, None, "the head hardly turns")
    shifts = np.arange(-reach, reach + 1)
    norm = np.sqrt(np.sum(own**2) * np.sum(true**2))
    products = _cross_correlation(own, true, reach) / norm
    best = int(np.argmax(products))
    correlation = float(products[best])
    if correlation < MIN_CORRELATION:
        return TimeOffset(None, correlation, "the motions of estimate and ground truth do not correlate")
    offset_s = _refined(shifts[best] * GRID_NS * 1e-9, stamp_ns, R, true_stamp_ns, R_true)
    return TimeOffset(offset_s, correlation)


def _cross_correlation(a: np.ndarray, b: np.ndarray, reach: int) -> np.ndarray:
    """Sums (2 reach + 1,) of a[i + s] b[i] over i, for shifts s from -reach to reach, of a, b (N,)."""
    size = _fast_length(len(a) + reach)
    product = np.asarray(fft.rfft(a, size)) * np.conj(np.asarray(fft.rfft(b, size)))
    circular = np.asarray(fft.irfft(product, size))
    return np.concatenate([circular[size - reach :], circular[: reach + 1]])


def _fast_length(least: int) -> int:
    length = fft.next_fast_len(least, real=True)
    return least if length is None else length


def _speed(start_ns: int, count: int, stamp_ns: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Turning speed (count,) in deg/s on the grid, less its mean; 0 where it is not known."""
    grid = start_ns + GRID_NS * np.arange(count)
    sampled, _, valid = interpolate(stamp_ns, R, np.zeros((len(R), 3)), grid, MAX_GAP_NS)
    speed = np.zeros(count)
    middle = slice(BASELINE // 2, count - BASELINE // 2)
    turn = np.degrees(so3.geodesic_angle(sampled[:-BASELINE], sampled[BASELINE:])) / (BASELINE * GRID_NS * 1e-9)
    known = valid[:-BASELINE] & valid[BASELINE:]
    if known.any():
        speed[middle] = np.where(known, turn - turn[known].mean(), 0.0)
    return speed


def _refined(
    offset_s: float, stamp_ns: np.ndarray, R: np.ndarray, true_stamp_ns: np.ndarray, R_true: np.ndarray
) -> float:
    some = np.unique(np.linspace(0, len(stamp_ns) - 1, min(MAX_SAMPLES, len(stamp_ns))).astype(int))
    stamp_ns, R = stamp_ns[some], R[some]
    step, best, costs = FINE_STEPS_S[0], 0, np.zeros(0)
    for step in FINE_STEPS_S:
        tried = offset_s + step * np.arange(-6, 7)
        costs = np.array([_spread(t, stamp_ns, R, true_stamp_ns, R_true) for t in tried])
        best = int(np.nanargmin(costs)) if np.any(np.isfinite(costs)) else 6
        offset_s = tried[best]
    if 0 < best < len(costs) - 1 and np.all(np.isfinite(costs[best - 1 : best + 2])):
        left, middle, right = costs[best - 1 : best + 2]
        if left - 2 * middle + right > 0:
            offset_s += 0.5 * step * (left - right) / (left - 2 * middle + right)
    return float(offset_s)


def _spread(
    offset_s: float, stamp_ns: np.ndarray, R: np.ndarray, true_stamp_ns: np.ndarray, R_true: np.ndarray
) -> float:
    """Mean squared chordal distance of R_true' R from its mean, the estimate `offset_s` after the ground truth."""
    at = stamp_ns - round(offset_s * 1e9)
    R_then, _, valid = interpolate(true_stamp_ns, R_true, np.zeros((len(R_true), 3)), at, MAX_GAP_NS)
    if valid.sum() < BASELINE:
        return np.nan
    relative = np.swapaxes(R_then[valid], -1, -2) @ R[valid]
    return float(np.mean(np.sum((relative - so3.mean_rotation(relative)) ** 2, (-2, -1))))
