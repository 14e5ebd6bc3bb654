"""Which estimate belongs to which true head at which moment; everything that is left over is named and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from hpe_core.evaluation.errors.interpolation import interpolate
from hpe_core.evaluation.streams.series import PoseSeries

DEPTH_WEIGHT = 0.25  # a monocular camera errs most along the line of sight
EXACT_SHARE, RATE_SHARE = 0.5, 0.67


@dataclass(frozen=True, kw_only=True)
class MatchOptions:
    """gate_m: farthest that an estimate may lie from its true head; max_truth_gap_s: longest gap in the ground truth
    that is interpolated; tolerance_s: farthest an estimate's stamp may lie from its frame, None: half a frame."""

    gate_m: float = 0.3
    max_truth_gap_s: float = 0.2
    tolerance_s: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Matches:
    """One estimate against the ground truth, over F frames.

    frame_ns (F,); scored (F,) bool: the ground truth is known; answered (F,) bool: the estimate has a message.
    estimate, truth (P,): indices of matched poses, into the estimate's series and the true poses.
    frame_of_estimate (N,): frame index, -1: none; false (K,): estimate indices; missed (L,): true pose indices;
    true_frame (T,), true_track (T,) str, true_R (T, 3, 3), true_t_m (T, 3), true_ns (T,): true poses at the frames;
    skipped: Counter reason -> count of estimated poses that are neither matched nor false.
    """

    frame_ns: np.ndarray
    scored: np.ndarray
    answered: np.ndarray
    estimate: np.ndarray
    truth: np.ndarray
    frame_of_estimate: np.ndarray
    false: np.ndarray
    missed: np.ndarray
    true_frame: np.ndarray
    true_track: np.ndarray
    true_R: np.ndarray
    true_t_m: np.ndarray
    true_ns: np.ndarray
    skipped: Counter[str]


def frames_of(estimate: PoseSeries, truth: PoseSeries, image_ns: np.ndarray) -> np.ndarray:
    """Stamps (F,) of the moments at which an estimate is due.

    Those of the images where the bag has images; else those of ground truth and estimate together when they share
    stamps; else the estimate's own, continued at its rate through gaps and over the whole ground truth.
    """
    if len(image_ns):
        return np.unique(image_ns)
    own, true = np.unique(estimate.message_stamp_ns), np.unique(truth.message_stamp_ns)
    if len(own) < 2 or len(true) < 2:
        return np.union1d(own, true)
    period, true_period = float(np.median(np.diff(own))), float(np.median(np.diff(true)))
    if true_period > RATE_SHARE * period and np.isin(own, true).mean() > EXACT_SHARE:
        return np.union1d(own, true)
    return _filled(own, period, true)


def _filled(own: np.ndarray, period_ns: float, true: np.ndarray) -> np.ndarray:
    """Stamps `own` (M,) with nominal ones, whole periods away from the stamp before (or the first), wherever there are
    true stamps (K,) but no own one near. A pause of both adds nothing."""
    anchor = own[np.maximum(np.searchsorted(own, true, side="right") - 1, 0)]
    steps = np.round((true - anchor) / period_ns)
    nominal = np.unique(anchor + np.round(steps * period_ns).astype(np.int64))
    after = np.clip(np.searchsorted(own, nominal), 0, len(own) - 1)
    distance = np.minimum(np.abs(own[after] - nominal), np.abs(own[np.maximum(after - 1, 0)] - nominal))
    return np.union1d(own, nominal[distance > 0.7 * period_ns])


def match(estimate: PoseSeries, truth: PoseSeries, frame_ns: np.ndarray, options: MatchOptions) -> Matches:
    """Matches of a PoseSeries against a ground truth PoseSeries with ids (see series.linked) at frames (F,)."""
    period = float(np.median(np.diff(frame_ns))) if len(frame_ns) > 1 else 1e9
    tolerance_ns = 0.5 * period if options.tolerance_s is None else options.tolerance_s * 1e9
    eval_ns, answered, frame_of_stamp = _due(estimate.message_stamp_ns, frame_ns, tolerance_ns)
    frame_of = frame_of_stamp(estimate.stamp_ns)
    max_gap_ns = options.max_truth_gap_s * 1e9
    scored = _known(truth.message_stamp_ns, eval_ns, max_gap_ns)
    true_frame, true_track, true_R, true_t_m = _true_poses(truth, eval_ns, scored, max_gap_ns)
    skipped: Counter[str] = Counter()
    _count(skipped, "estimate at a time that belongs to no frame", frame_of == -1)
    _count(skipped, "second estimate of one frame", frame_of == -2)
    frame_of = np.maximum(frame_of, -1)
    unknown = (frame_of >= 0) & ~scored[frame_of]
    _count(skipped, "estimate at a time without truth", unknown)
    usable = np.flatnonzero((frame_of >= 0) & ~unknown)
    pairs = _pairs(estimate.t_m, frame_of, usable, true_frame, true_t_m, options.gate_m)
    paired = np.array(pairs, int).reshape(-1, 2)
    paired = paired[np.argsort(paired[:, 0], kind="stable")]
    return Matches(
        frame_ns=frame_ns,
        scored=scored,
        answered=answered,
        estimate=paired[:, 0],
        truth=paired[:, 1],
        frame_of_estimate=frame_of,
        false=np.setdiff1d(usable, paired[:, 0]),
        missed=np.setdiff1d(np.arange(len(true_frame)), paired[:, 1]),
        true_frame=true_frame,
        true_track=true_track,
        true_R=true_R,
        true_t_m=true_t_m,
        true_ns=eval_ns[true_frame],
        skipped=skipped,
    )


def _count(counter: Counter[str], reason: str, mask: np.ndarray) -> None:
    if np.any(mask):
        counter[reason] += int(np.sum(mask))


def _due(
    message_ns: np.ndarray, frame_ns: np.ndarray, tolerance_ns: float
) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """For F frames: the stamp at which ground truth is taken (the message's, else the frame's) and whether a message
    came; and a function from estimate stamps to frame indices (-1: no frame, -2: another message is nearer)."""
    eval_ns, answered = frame_ns.copy(), np.zeros(len(frame_ns), bool)
    stamps = np.unique(message_ns)
    if len(stamps) == 0 or len(frame_ns) == 0:
        return eval_ns, answered, lambda stamp_ns: np.full(len(stamp_ns), -1)
    right = np.clip(np.searchsorted(frame_ns, stamps), 0, len(frame_ns) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(frame_ns[left] - stamps) <= np.abs(frame_ns[right] - stamps), left, right)
    distance = np.abs(frame_ns[nearest] - stamps)
    frame = np.where(distance <= tolerance_ns, nearest, -1)
    order = np.lexsort((stamps, distance))
    seen = np.zeros(len(frame_ns), bool)
    for i in order:
        if frame[i] < 0:
            continue
        if seen[frame[i]]:
            frame[i] = -2
            continue
        seen[frame[i]] = True
        eval_ns[frame[i]], answered[frame[i]] = stamps[i], True

    def frame_of_stamp(stamp_ns: np.ndarray) -> np.ndarray:
        index = np.clip(np.searchsorted(stamps, stamp_ns), 0, len(stamps) - 1)
        return np.where(stamps[index] == stamp_ns, frame[index], -1)

    return eval_ns, answered, frame_of_stamp


def _known(message_ns: np.ndarray, at_ns: np.ndarray, max_gap_ns: float) -> np.ndarray:
    """Mask (F,): ground truth messages surround the time closely enough, or one has that very stamp."""
    stamps = np.unique(message_ns)
    if len(stamps) == 0:
        return np.zeros(len(at_ns), bool)
    after = np.searchsorted(stamps, at_ns, side="left")
    inside = (after > 0) & (after < len(stamps))
    index = np.clip(after, 1, max(1, len(stamps) - 1))
    gap = stamps[np.minimum(index, len(stamps) - 1)] - stamps[index - 1]
    exact = stamps[np.minimum(after, len(stamps) - 1)] == at_ns
    return exact | (inside & (gap <= max_gap_ns))


def _true_poses(
    truth: PoseSeries, eval_ns: np.ndarray, scored: np.ndarray, max_gap_ns: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frame index (T,), track (T,), R (T, 3, 3), t_m (T, 3) of every true head at every scored frame."""
    frames, tracks, rotations, places = [], [], [], []
    order = np.argsort(eval_ns, kind="stable")
    for name in np.unique(truth.face_id):
        own = truth.face_id == name
        stamps, first = np.unique(truth.stamp_ns[own], return_index=True)
        low, high = np.searchsorted(eval_ns[order], [stamps[0], stamps[-1] + 1])
        near = order[low:high]
        near = near[scored[near]]
        R, t_m, valid = interpolate(stamps, truth.R[own][first], truth.t_m[own][first], eval_ns[near], max_gap_ns)
        frames.append(near[valid])
        tracks.append(np.full(int(valid.sum()), name))
        rotations.append(R[valid])
        places.append(t_m[valid])
    if not frames:
        return np.zeros(0, int), np.zeros(0, "<U1"), np.zeros((0, 3, 3)), np.zeros((0, 3))
    frame = np.concatenate(frames)
    order = np.argsort(frame, kind="stable")
    track, R, t_m = (np.concatenate(part)[order] for part in (tracks, rotations, places))
    return frame[order], track, R, t_m


def position_cost(t_m: np.ndarray, t_true_m: np.ndarray) -> np.ndarray:
    """Distances (...,) in metres, depth counted with DEPTH_WEIGHT, of positions (..., 3) from true ones (..., 3)."""
    error = t_m - t_true_m
    depth = np.sum(error * t_true_m, -1) / np.maximum(np.linalg.norm(t_true_m, axis=-1), 1e-9)
    lateral = np.sqrt(np.maximum(np.sum(error**2, -1) - depth**2, 0.0))
    return lateral + DEPTH_WEIGHT * np.abs(depth)


def _pairs(
    t_m: np.ndarray,
    frame_of: np.ndarray,
    usable: np.ndarray,
    true_frame: np.ndarray,
    true_t_m: np.ndarray,
    gate_m: float,
) -> list[tuple[int, int]]:
    """List of (estimate index, true index): per frame the assignment of least cost within the gate."""
    if len(usable) == 0 or len(true_frame) == 0:
        return []
    estimates = usable[np.argsort(frame_of[usable], kind="stable")]
    frame = frame_of[estimates]
    last = int(max(frame[-1], true_frame[-1])) + 1
    e_count, t_count = np.bincount(frame, minlength=last), np.bincount(true_frame, minlength=last)
    e_start, t_start = np.cumsum(e_count) - e_count, np.cumsum(t_count) - t_count
    single = np.flatnonzero((e_count == 1) & (t_count == 1))
    e, t = estimates[e_start[single]], t_start[single]
    near = position_cost(t_m[e], true_t_m[t]) <= gate_m
    pairs = list(zip(e[near].tolist(), t[near].tolist(), strict=True))
    for f in np.flatnonzero((e_count > 0) & (t_count > 0) & (e_count + t_count > 2)):
        e = estimates[e_start[f] : e_start[f] + e_count[f]]
        t = np.arange(t_start[f], t_start[f] + t_count[f])
        cost = position_cost(t_m[e][:, None], true_t_m[t][None])
        rows, columns = linear_sum_assignment(np.where(cost <= gate_m, cost, 1e3 * gate_m))
        pairs += [(e[r], t[c]) for r, c in zip(rows, columns, strict=True) if cost[r, c] <= gate_m]
    return pairs


def id_switches(matches: Matches, face_id: np.ndarray) -> int:
    """How often the estimate's id of one true head changes, in time order."""
    switches = 0
    for track in np.unique(matches.true_track[matches.truth]):
        mine = matches.true_track[matches.truth] == track
        order = np.argsort(matches.true_ns[matches.truth[mine]], kind="stable")
        ids = face_id[matches.estimate[mine]][order]
        switches += int(np.sum(ids[1:] != ids[:-1]))
    return switches


def false_positive_tracks(matches: Matches, face_id: np.ndarray) -> int:
    """Estimated ids of which less than half of the scored poses belong to a true head."""
    good, bad = face_id[matches.estimate], face_id[matches.false]
    return int(sum(np.sum(bad == name) > np.sum(good == name) for name in np.unique(bad)))
