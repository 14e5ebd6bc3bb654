"""One estimate against one truth, or alone: every number of its part of results.json, and a row per frame and face."""

from dataclasses import dataclass, field

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.errors import attention, metrics, stability, summaries, uncertainty
from hpe_core.evaluation.errors.rows import rows_alone, rows_of
from hpe_core.evaluation.errors.scores import concatenated, score
from hpe_core.evaluation.errors.time_offset import time_offset
from hpe_core.evaluation.streams import matching
from hpe_core.evaluation.streams.series import linked
from hpe_core.geometry import gaze

FLICKER_GAP_NS = 500_000_000


@dataclass(frozen=True)
class Options:
    """match: see MatchOptions; calibration_part: share of each head's poses, from the start, on which the frame offset
    is fitted; targets: name -> point (x, y, z) m in the camera frame; looking_deg: a head looks at a target when its
    direction is this close."""

    match: matching.MatchOptions = field(default_factory=matching.MatchOptions)
    calibration_part: float = 0.2
    apply_offset: bool = False
    max_offset_s: float = 1.0
    targets: tuple = (("camera", (0.0, 0.0, 0.0)),)
    looking_deg: float = 15.0

    def __post_init__(self):
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


@dataclass(frozen=True, eq=False)
class Evaluated:
    """summary: this estimate's part of results.json; rows: dict column -> list, all of one length (frames.csv);
    scores: per-pose Scores and counts: detection counts, for summaries over several bags (None without truth)."""

    summary: dict
    rows: dict
    scores: object = None
    counts: dict | None = None


def evaluate(estimate, truth, image_ns, camera, options):
    """Evaluated of a PoseSeries against a truth PoseSeries (or None) of the same camera.

    image_ns (F,): stamps of the images, empty when unknown; camera: CameraModel or None.
    """
    if truth is None:
        return _alone(estimate, image_ns)
    truth = linked(truth)
    time, truth = _aligned(estimate, truth, image_ns, options)
    frame_ns = matching.frames_of(estimate, truth, image_ns)
    matches = matching.match(estimate, truth, frame_ns, options.match)
    scores, offsets = score(matches, estimate, camera, options.calibration_part)
    counts = _counts(matches, estimate, truth)
    summary = _stream(estimate, frame_ns) | {
        "detection": summaries.detection(counts, scores) | {"skipped": dict(matches.skipped)},
        "time": time,
        "rotation": summaries.rotation(scores),
        "translation": summaries.translation(scores),
        "calibration": summaries.calibration(scores, offsets),
        "by": summaries.by_bin(scores),
        "stability": _stability_against(matches, estimate),
        "uncertainty": _uncertainty(matches, estimate),
        "looking_at": {name: _looking_at(matches, estimate, target, options) for name, target in options.targets},
    }
    return Evaluated(summary, rows_of(matches, estimate, scores), scores, counts)


def _aligned(estimate, truth, image_ns, options):
    """The time part of the summary, and the truth, moved by the offset when that was asked for."""
    found = _measured_offset(estimate, truth, image_ns, options)
    applied = options.apply_offset and found.offset_s is not None
    lag = found
    if applied:
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


def _measured_offset(estimate, truth, image_ns, options):
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


def _counts(matches, estimate, truth):
    """Every frame, every true head and every estimated pose, each in exactly one place."""
    ids = estimate.has_ids
    return {
        "frames": len(matches.frame_ns),
        "scored_frames": int(matches.scored.sum()),
        "frames_without_truth": int(np.sum(~matches.scored)),
        "answered_frames": int(matches.answered.sum()),
        "true_heads": len(matches.true_frame),
        "true_heads_answered": int(np.sum(matches.answered[matches.true_frame])),
        "matched": len(matches.estimate),
        "missed": len(matches.missed),
        "false": len(matches.false),
        "skipped_poses": len(estimate) - len(matches.estimate) - len(matches.false),
        "poses": len(estimate),
        "id_switches": matching.id_switches(matches, estimate.face_id) if ids else None,
        "false_tracks": matching.false_tracks(matches, estimate.face_id) if ids else None,
        "true_tracks": len(np.unique(truth.face_id)),
    }


def _stream(estimate, frame_ns):
    """What the stream itself is like, with or without truth."""
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
        "frames": {"total": len(frame_ns), "answered_at_their_stamp": int(answered.sum())},
        "latency_ms": metrics.summary(latency) if len(latency) else None,
    }


def _heads(series):
    """The single heads of a series with ids, each in strict stamp order."""
    for name in np.unique(series.face_id):
        head = series.where(series.face_id == name)
        _, first = np.unique(head.stamp_ns, return_index=True)
        yield head.where(first)


def _alone(estimate, image_ns):
    """Without truth: what can be said of the estimates by themselves."""
    estimate = linked(estimate)
    frame_ns = image_ns if len(image_ns) else np.unique(estimate.message_stamp_ns)
    heads = list(_heads(estimate))
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
    return Evaluated(summary, rows_alone(estimate, frame_ns))


def _matched_heads(matches, estimate):
    """Per true head in time order: indices into the estimates and into the true poses."""
    tracks = matches.true_track[matches.truth]
    for name in np.unique(tracks):
        mine = np.flatnonzero(tracks == name)
        mine = mine[np.argsort(matches.true_ns[matches.truth[mine]], kind="stable")]
        yield matches.estimate[mine], matches.truth[mine]


def _stability_against(matches, estimate):
    pieces, own, true = [], [np.zeros(0)], [np.zeros(0)]
    for e, t in _matched_heads(matches, estimate):
        R, R_true = estimate.R[e], matches.true_R[t]
        pieces.append((np.swapaxes(R_true, -1, -2) @ R, estimate.t_m[e] - matches.true_t_m[t], None))
        own.append(stability.second_difference_deg(R))
        true.append(stability.second_difference_deg(R_true))
    return {
        "jitter": stability.jitter(pieces),
        "second_difference_deg": {
            "estimate": metrics.summary(np.concatenate(own)),
            "truth": metrics.summary(np.concatenate(true)),
        },
    }


def _uncertainty(matches, estimate):
    if estimate.covariance is None:
        return None
    e, t = matches.estimate, matches.truth
    error = metrics.pose_error_vector(estimate.R[e], estimate.t_m[e], matches.true_R[t], matches.true_t_m[t])
    return uncertainty.consistency(error, estimate.covariance[e])


def _looking_at(matches, estimate, target, options):
    def looks(R, t_m):
        return gaze.angle_to_target_deg(R, t_m, target) <= options.looking_deg

    e, t = matches.estimate, matches.truth
    missed = int(np.sum(looks(matches.true_R[matches.missed], matches.true_t_m[matches.missed])))
    found = attention.agreement(
        looks(estimate.R[e], estimate.t_m[e]), looks(matches.true_R[t], matches.true_t_m[t]), missed
    )
    changes = {"estimate": [], "truth": []}
    for own, true in _matched_heads(matches, estimate):
        stamps = matches.true_ns[true]
        for name, decision in (
            ("estimate", looks(estimate.R[own], estimate.t_m[own])),
            ("truth", looks(matches.true_R[true], matches.true_t_m[true])),
        ):
            rate = attention.changes_per_minute(decision, stamps, FLICKER_GAP_NS)
            changes[name] += [] if rate is None else [rate]
    flicker = {name: float(np.mean(rates)) if rates else None for name, rates in changes.items()}
    return found | {"changes_per_minute": flicker}


def pooled(evaluated):
    """Summary over several bags, from all per-pose errors together; None when none of them has truth."""
    known = [one for one in evaluated if one.scores is not None]
    if not known:
        return None
    scores = concatenated([one.scores for one in known])
    counts = {
        name: None if any(one.counts[name] is None for one in known) else sum(one.counts[name] for one in known)
        for name in known[0].counts
    }
    return {
        "bags": len(known),
        "detection": summaries.detection(counts, scores),
        "rotation": summaries.rotation(scores),
        "translation": summaries.translation(scores),
        "calibration": summaries.calibration(scores, {}),
        "by": {name: bins for name, bins in summaries.by_bin(scores).items() if name != "time_s"},
    }
