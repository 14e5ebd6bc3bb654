"""One estimate against the ground truth, or alone: its part of results.json, and a row per frame and face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.errors import attention, metrics, stability, summaries
from hpe_core.evaluation.errors.pairs import Heads, PosePairs, face_size_px
from hpe_core.evaluation.errors.scores import Alignment, Scores, aligned_by_part, concatenated, scores_of
from hpe_core.evaluation.errors.time_offset import TimeOffset, time_offset
from hpe_core.evaluation.streams import matching
from hpe_core.evaluation.streams.matching import Matches
from hpe_core.evaluation.streams.rows import Rows, rows_alone, rows_of
from hpe_core.evaluation.streams.series import PoseSeries, linked
from hpe_core.geometry import gaze
from hpe_core.geometry.camera import CameraModel

FLICKER_GAP_NS = 500_000_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """match: see MatchOptions; calibration_part: share of each head's poses, from the start, on which the frame offset
    is fitted; targets: name -> point (x, y, z) m in the camera frame; looking_deg: a head looks at a target when its
    direction is this close."""

    match: matching.MatchOptions = field(default_factory=matching.MatchOptions)
    calibration_part: float = 0.2
    apply_offset: bool = False
    max_offset_s: float = 1.0
    targets: tuple[tuple[str, tuple[float, float, float]], ...] = (("camera", (0.0, 0.0, 0.0)),)
    looking_deg: float = 15.0

    def __post_init__(self) -> None:
        if not 0.0 < self.calibration_part < 1.0:
            raise HpeError(f"calibration part must lie in (0, 1), got {self.calibration_part}")
        for name, value, highest in (
            ("gate", self.match.gate_m, 100.0),
            ("max truth gap", self.match.max_truth_gap_s, 60.0),
            ("tolerance", 1.0 if self.match.tolerance_s is None else self.match.tolerance_s, 60.0),
            ("max offset", self.max_offset_s, 60.0),
            ("looking angle", self.looking_deg, 180.0),
        ):
            if not 0.0 < value <= highest:
                raise HpeError(f"{name} must lie in (0, {highest:g}], got {value}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluated:
    """summary: this estimate's part of results.json; rows: of frames.csv; scores: per-pose Scores and counts: detection
    counts, for summaries over several bags (None without ground truth)."""

    summary: dict[str, Any]
    rows: Rows
    scores: Scores | None = None
    counts: dict[str, int | None] | None = None


def evaluate(
    estimate: PoseSeries,
    truth: PoseSeries | None,
    image_ns: np.ndarray,
    camera: CameraModel | None,
    options: Options,
) -> Evaluated:
    """Evaluated of a PoseSeries against a ground truth PoseSeries (or None) of the same camera.

    image_ns (F,): stamps of the images, empty when unknown; camera: CameraModel or None.
    """
    if truth is None:
        return _alone(estimate, image_ns)
    truth = linked(truth)
    time, truth = _time_aligned(estimate, truth, image_ns, options)
    frame_ns = matching.frames_of(estimate, truth, image_ns)
    matches = matching.match(estimate, truth, frame_ns, options.match)
    pairs = _pairs(matches, estimate, camera)
    alignment = _alignment(matches, pairs, options.calibration_part)
    scores = scores_of(pairs=pairs, missed=_heads(matches, matches.missed, camera), alignment=alignment)
    counts = _counts(matches, estimate, truth)
    summary = _stream(estimate, frame_ns) | {
        "detection": summaries.detection(counts, scores) | {"skipped": dict(matches.skipped)},
        "time": time,
        **summaries.errors(scores, summaries.BAGS),
        "frame_alignment": summaries.calibration(scores, alignment.offsets),
        "by": summaries.by_bin(scores) | {"time_s": summaries.by_time(scores)},
        "stability": _stability_against(matches, estimate),
        "uncertainty": summaries.uncertainty(pairs),
        "looking_at": {name: _looking_at(matches, estimate, target, options) for name, target in options.targets},
    }
    return Evaluated(summary=summary, rows=rows_of(matches, estimate, scores), scores=scores, counts=counts)


def _heads(matches: Matches, index: np.ndarray, camera: CameraModel | None) -> Heads:
    """The ground-truth heads of these indices (K,)."""
    start_ns = matches.frame_ns[0] if len(matches.frame_ns) else 0
    R, t_m = matches.true_R[index], matches.true_t_m[index]
    time_s = (matches.true_ns[index] - start_ns) * 1e-9
    return Heads(R=R, t_m=t_m, size_px=face_size_px(camera, R, t_m), time_s=time_s)


def _pairs(matches: Matches, estimate: PoseSeries, camera: CameraModel | None) -> PosePairs:
    e = matches.estimate
    return PosePairs(
        R=estimate.R[e],
        t_m=estimate.t_m[e],
        true=_heads(matches, matches.truth, camera),
        covariance=None if estimate.covariance is None else estimate.covariance[e],
    )


def _alignment(matches: Matches, pairs: PosePairs, part: float) -> Alignment:
    """A frame offset for every true head, fitted on the first `part` of its poses."""
    track = matches.true_track[matches.truth]
    parts = {}
    for name in np.unique(track):
        mine = np.flatnonzero(track == name)
        first, rest = np.split(mine, [int(np.ceil(part * len(mine)))])
        parts[str(name)] = (first, rest)
    return aligned_by_part(pairs, parts)


def _time_aligned(
    estimate: PoseSeries, truth: PoseSeries, image_ns: np.ndarray, options: Options
) -> tuple[dict[str, Any], PoseSeries]:
    """The time part of the summary, and the ground truth, moved by the offset when that was asked for."""
    found = _measured_offset(estimate, truth, image_ns, options)
    applied, lag = False, found
    if options.apply_offset and found.offset_s is not None:
        applied = True
        truth = truth.shifted(round(found.offset_s * 1e9))
        lag = _measured_offset(estimate, truth, image_ns, options)
    part = {
        "offset_s": found.offset_s,
        "correlation": found.correlation,
        "reason": found.reason or None,
        "applied": applied,
        "lag_s": lag.offset_s,
    }
    return part, truth


def _measured_offset(estimate: PoseSeries, truth: PoseSeries, image_ns: np.ndarray, options: Options) -> TimeOffset:
    """TimeOffset between the head with most true poses and the estimates that follow it."""
    names, counts = np.unique(truth.face_id, return_counts=True)
    if len(names) == 0 or len(estimate) == 0:
        return time_offset(np.zeros(0, np.int64), np.zeros((0, 3, 3)), np.zeros(0, np.int64), np.zeros((0, 3, 3)))
    main = truth.where(truth.face_id == names[np.argmax(counts)])
    follower = estimate
    if len(names) > 1 or np.any(np.diff(estimate.stamp_ns) == 0):
        frame_ns = matching.frames_of(estimate, truth, image_ns)
        matches = matching.match(estimate, truth, frame_ns, options.match)
        mine = matches.true_track[matches.truth] == names[np.argmax(counts)]
        follower = estimate.where(np.sort(matches.estimate[mine]))
    _, first = np.unique(follower.stamp_ns, return_index=True)
    _, true_first = np.unique(main.stamp_ns, return_index=True)
    return time_offset(
        follower.stamp_ns[first],
        follower.R[first],
        main.stamp_ns[true_first],
        main.R[true_first],
        options.max_offset_s,
    )


def _counts(matches: Matches, estimate: PoseSeries, truth: PoseSeries) -> dict[str, int | None]:
    """Every frame, every true head and every estimated pose, each in exactly one place."""
    ids = estimate.has_ids
    return {
        "frames": len(matches.frame_ns),
        "scored_frames": int(matches.scored.sum()),
        "frames_without_ground_truth": int(np.sum(~matches.scored)),
        "frames_with_output": int(matches.answered.sum()),
        "ground_truth_heads": len(matches.true_frame),
        "ground_truth_heads_in_frames_with_output": int(np.sum(matches.answered[matches.true_frame])),
        "matched": len(matches.estimate),
        "missed": len(matches.missed),
        "false_positives": len(matches.false),
        "skipped_poses": len(estimate) - len(matches.estimate) - len(matches.false),
        "poses": len(estimate),
        "id_switches": matching.id_switches(matches, estimate.face_id) if ids else None,
        "false_positive_tracks": matching.false_positive_tracks(matches, estimate.face_id) if ids else None,
        "ground_truth_tracks": len(np.unique(truth.face_id)),
    }


def _stream(estimate: PoseSeries, frame_ns: np.ndarray) -> dict[str, Any]:
    """What the stream itself is like, with or without ground truth."""
    latency = (estimate.message_log_ns - estimate.message_stamp_ns)[estimate.message_log_ns >= 0] * 1e-6
    answered = np.isin(frame_ns, estimate.message_stamp_ns)
    return {
        "stream": stability.rate(estimate.message_stamp_ns)
        | {
            "poses": len(estimate),
            "messages_without_a_pose": len(np.setdiff1d(estimate.message_stamp_ns, estimate.stamp_ns)),
            "losses": dict(estimate.losses),
            "notices": list(estimate.notices),
        },
        "frames": {"total": len(frame_ns), "with_output_at_their_stamp": int(answered.sum())},
        "latency_ms": metrics.summary(latency) if len(latency) else None,
    }


def _single_heads(series: PoseSeries) -> Iterator[PoseSeries]:
    """The single heads of a series with ids, each in strict stamp order."""
    for name in np.unique(series.face_id):
        head = series.where(series.face_id == name)
        _, first = np.unique(head.stamp_ns, return_index=True)
        yield head.where(first)


def _alone(estimate: PoseSeries, image_ns: np.ndarray) -> Evaluated:
    """Without ground truth: what can be said of the estimates by themselves."""
    estimate = linked(estimate)
    frame_ns = image_ns if len(image_ns) else np.unique(estimate.message_stamp_ns)
    heads = list(_single_heads(estimate))
    step = np.diff(frame_ns)
    gap_ns = 2.5 * float(np.median(step)) if len(step) else 0.0
    quiet = stability.jitter([(h.R, h.t_m, stability.still(h.R, h.t_m, h.stamp_ns)) for h in heads])
    differences = [stability.second_difference_deg(h.R) for h in heads]
    differences = np.concatenate(differences) if differences else np.zeros(0)
    durations = [1e-9 * float(h.stamp_ns[-1] - h.stamp_ns[0]) for h in heads]
    summary = _stream(estimate, frame_ns) | {
        "stability": {
            "static_jitter": quiet,
            "second_difference_deg": metrics.summary(differences),
            "jumps": sum(stability.jumps(h.R, h.stamp_ns, gap_ns) for h in heads),
        },
        "tracks": {"count": len(heads), "duration_s": metrics.summary(durations)},
        "coverage": float(np.isin(frame_ns, estimate.stamp_ns).mean()) if len(frame_ns) else None,
    }
    return Evaluated(summary=summary, rows=rows_alone(estimate, frame_ns))


def _matched_heads(matches: Matches) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Per true head in time order: indices into the estimates and into the true poses."""
    tracks = matches.true_track[matches.truth]
    for name in np.unique(tracks):
        mine = np.flatnonzero(tracks == name)
        mine = mine[np.argsort(matches.true_ns[matches.truth[mine]], kind="stable")]
        yield matches.estimate[mine], matches.truth[mine]


def _stability_against(matches: Matches, estimate: PoseSeries) -> dict[str, Any]:
    pieces, own, true = [], [np.zeros(0)], [np.zeros(0)]
    for e, t in _matched_heads(matches):
        R, R_true = estimate.R[e], matches.true_R[t]
        pieces.append((np.swapaxes(R_true, -1, -2) @ R, estimate.t_m[e] - matches.true_t_m[t], None))
        own.append(stability.second_difference_deg(R))
        true.append(stability.second_difference_deg(R_true))
    return {
        "jitter": stability.jitter(pieces),
        "second_difference_deg": {
            "estimate": metrics.summary(np.concatenate(own)),
            "ground_truth": metrics.summary(np.concatenate(true)),
        },
    }


def _looking_at(
    matches: Matches, estimate: PoseSeries, target: tuple[float, float, float], options: Options
) -> dict[str, Any]:
    def looks(R: np.ndarray, t_m: np.ndarray) -> np.ndarray:
        return gaze.angle_to_target_deg(R, t_m, target) <= options.looking_deg

    e, t = matches.estimate, matches.truth
    missed = int(np.sum(looks(matches.true_R[matches.missed], matches.true_t_m[matches.missed])))
    found = attention.agreement(
        looks(estimate.R[e], estimate.t_m[e]), looks(matches.true_R[t], matches.true_t_m[t]), missed
    )
    changes: dict[str, list[float]] = {"estimate": [], "ground_truth": []}
    for own, true in _matched_heads(matches):
        stamps = matches.true_ns[true]
        for name, decision in (
            ("estimate", looks(estimate.R[own], estimate.t_m[own])),
            ("ground_truth", looks(matches.true_R[true], matches.true_t_m[true])),
        ):
            rate = attention.changes_per_minute(decision, stamps, FLICKER_GAP_NS)
            if rate is not None:
                changes[name].append(rate)
    flicker = {name: float(np.mean(rates)) if rates else None for name, rates in changes.items()}
    return found | {"changes_per_minute": flicker}


def pooled(evaluated: Sequence[Evaluated]) -> dict[str, Any] | None:
    """Summary over several bags, from all per-pose errors together; None when none of them has ground truth."""
    known = [(one.scores, one.counts) for one in evaluated if one.scores is not None and one.counts is not None]
    if not known:
        return None
    scores = concatenated([scores for scores, _ in known])
    counts = {name: _sum([counts[name] for _, counts in known]) for name in known[0][1]}
    return {
        "bags": len(known),
        "detection": summaries.detection(counts, scores),
        **summaries.errors(scores, summaries.BAGS),
        "frame_alignment": summaries.calibration(scores, {}),
        "by": summaries.by_bin(scores),
    }


def _sum(counts: Sequence[int | None]) -> int | None:
    """None when one of the counts is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
