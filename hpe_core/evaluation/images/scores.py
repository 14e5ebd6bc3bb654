"""Errors of one method on labelled images: from Answers to the numbers of its row, every face accounted for."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from hpe_core.evaluation.errors import frame_offset, metrics, summaries
from hpe_core.evaluation.errors.bootstrap import interval
from hpe_core.evaluation.errors.rows import error_columns
from hpe_core.evaluation.errors.scores import Scores, aflw2000_angles_deg
from hpe_core.evaluation.errors.uncertainty import consistency
from hpe_core.geometry import so3

ABS_YAW_EDGES_DEG = (0, 30, 60, 90)  # Euler yaw ends at 90
COLUMNS = (
    *("image", "status", "reason", "yaw_deg", "pitch_deg", "roll_deg", "distance_m", "face_size_px", "geodesic_deg"),
    *("yaw_error_deg", "pitch_error_deg", "roll_error_deg", "maev_deg", "translation_error_mm", "depth_error_mm"),
    *("lateral_error_mm", "rotation_std_deg", "aligned_geodesic_deg"),
)


@dataclass(frozen=True, eq=False)
class ImageResult:
    """One method on one set of images: summary (dict, its part of results.json), rows (dict column -> array, one
    entry per labelled face in the order of the set; NaN where there is nothing), scores: of the found faces."""

    summary: dict
    rows: dict
    scores: Scores


def score(answers, offset=None):
    """ImageResult of Answers; offset: FrameOffset of the method's head frame in the labels', found on other images."""
    found = [a for a in answers if a.R is not None]
    missed = [a for a in answers if a.R is None]
    scores = _scores(found, missed)
    summary = {
        "status": "measured",
        "detection": _detection(answers, found, missed),
        "rotation": rotation(scores),
        "translation": summaries.translation(scores) if _has_position(scores) else None,
        "uncertainty": _uncertainty(found),
        "by": _by(scores),
        "aligned": None,
    }
    aligned = None
    if offset is not None:
        aligned = _scores([replace(a, R=a.R @ offset.R.T) for a in found], missed)
        summary["aligned"] = {
            "fitted_on": offset.poses,
            "frame_offset_deg": offset.angle_deg,
            "rotation": rotation(aligned),
            "by": {"abs_yaw_deg": _by(aligned)["abs_yaw_deg"]},
        }
    return ImageResult(summary, _rows(answers, scores, aligned), scores)


def fitted_offset(answers):
    """FrameOffset of a method on the images of these Answers; None when too few faces were found."""
    found = [a for a in answers if a.R is not None]
    nowhere = np.zeros((len(found), 3))
    return frame_offset.fit(_stacked(found, "R"), nowhere, _stacked([a.sample for a in found], "R"), nowhere)


def rotation(scores):
    """dict of rotation errors in degrees with intervals, and with missed faces counted as the mean pose.

    euler_bias_deg: medians of the signed yaw, pitch, roll errors; one that all methods share is the labels' own.
    """
    out = summaries.rotation(scores)
    out["geodesic_deg"]["ci95"] = interval(np.mean, scores.geodesic_deg)
    out["geodesic_deg"]["median_ci95"] = interval(np.median, scores.geodesic_deg)
    out["euler_mae_deg"]["ci95"] = interval(np.mean, np.abs(scores.euler_deg).mean(-1))
    out["euler_mae_deg"]["mean_failures_as_mean_pose"] = _euler_failures_counted(scores)
    out["euler_bias_deg"] = np.median(scores.euler_deg, axis=0).tolist() if len(scores) else None
    out["maev_deg"]["ci95"] = interval(np.mean, scores.maev_deg)
    return out


def _stacked(items, name, shape=(3, 3)):
    """Arrays (N, *shape) of the named attribute; NaN where it is None."""
    values = [np.full(shape, np.nan) if getattr(i, name) is None else getattr(i, name) for i in items]
    return np.array(values, float).reshape(-1, *shape)


def _scores(found, missed):
    """Scores of answers, found ones and missed ones each in the order of the set."""
    truths, lost = [a.sample for a in found], [a.sample for a in missed]
    R, t_m, R_true = _stacked(found, "R"), _stacked(found, "t_m", (3,)), _stacked(truths, "R")
    t_true, R_lost, t_lost = _stacked(truths, "t_m", (3,)), _stacked(lost, "R"), _stacked(lost, "t_m", (3,))
    t_error, depth = t_m - t_true, metrics.depth_error_m(t_m, t_true)
    nothing = np.full(len(found), np.nan)
    return Scores(
        geodesic_deg=metrics.geodesic_deg(R, R_true),
        maev_deg=metrics.maev_deg(R, R_true),
        add_m=metrics.add_m(R, t_m, R_true, t_true),
        euler_deg=metrics.euler_error_deg(R, R_true),
        t_error_m=t_error,
        depth_m=depth,
        lateral_m=np.sqrt(np.maximum(np.sum(t_error**2, -1) - depth**2, 0.0)),
        range_m=np.linalg.norm(t_true, axis=-1),
        size_px=_stacked(truths, "size_px", ()),
        R_true=R_true,
        angles_deg=aflw2000_angles_deg(R_true),
        time_s=np.arange(len(found), dtype=float),
        held_out=np.zeros(len(found), bool),
        calibrated_geodesic_deg=nothing,
        calibrated_euler_deg=np.full((len(found), 3), np.nan),
        calibrated_t_error_m=np.full((len(found), 3), np.nan),
        missed_range_m=np.linalg.norm(t_lost, axis=-1),
        missed_size_px=_stacked(lost, "size_px", ()),
        missed_R_true=R_lost,
        missed_angles_deg=aflw2000_angles_deg(R_lost),
        missed_time_s=np.arange(len(lost), dtype=float),
    )


def _has_position(scores):
    return len(scores) > 0 and np.all(np.isfinite(scores.t_error_m))


def _detection(answers, found, missed):
    images = {a.sample.image_id or a.sample.name for a in answers}
    false = [a.false for a in answers if a.false is not None]
    return {
        "images": len(images),
        "true_heads": len(answers),
        "matched": len(found),
        "missed": len(missed),
        "missed_by_reason": dict(Counter(a.reason for a in missed)),
        "recall": len(found) / len(answers) if answers else None,
        "false": int(np.sum(false)) if false else None,
        "false_per_image": float(np.sum(false) / len(images)) if false else None,
    }


def _euler_failures_counted(s):
    """Mean absolute Euler error when every missed face counts as the mean of all true poses."""
    R_all = np.concatenate([s.R_true, s.missed_R_true])
    if len(R_all) == 0:
        return None
    as_mean = np.broadcast_to(so3.mean_rotation(R_all), s.missed_R_true.shape)
    missed = metrics.euler_error_deg(s.missed_R_true, as_mean)
    return float(np.mean(np.abs(np.concatenate([s.euler_deg, missed]))))


def _uncertainty(found):
    known = [a for a in found if a.covariance is not None]
    truths = [a.sample for a in known]
    R, t_m, R_true = _stacked(known, "R"), _stacked(known, "t_m", (3,)), _stacked(truths, "R")
    error = metrics.pose_error_vector(R, t_m, R_true, _stacked(truths, "t_m", (3,)))
    return consistency(error, _stacked(known, "covariance", (6, 6)))


def _by(s):
    kinds = summaries.by_bin(s, block=1)
    del kinds["time_s"]
    edges = (np.abs(s.angles_deg[:, 0]), np.abs(s.missed_angles_deg[:, 0]), ABS_YAW_EDGES_DEG)
    return kinds | {"abs_yaw_deg": summaries.bins(s, *edges, block=1)}


def _rows(answers, scores, aligned):
    """dict column -> array (F,) over all faces; found ones carry errors."""
    count = len(answers)
    truths = [a.sample for a in answers]
    R_true, t_true = _stacked(truths, "R"), _stacked(truths, "t_m", (3,))
    found = np.array([a.R is not None for a in answers], bool)
    rows = {
        "image": np.array([s.name for s in truths], str),
        "status": np.where(found, "matched", "missed"),
        "reason": np.array([a.reason for a in answers], str),
        **dict(zip(("yaw_deg", "pitch_deg", "roll_deg"), aflw2000_angles_deg(R_true).T, strict=True)),
        "distance_m": np.linalg.norm(t_true, axis=-1),
        "face_size_px": _stacked(truths, "size_px", ()),
    }
    known = {
        **error_columns(scores),
        "lateral_error_mm": 1e3 * scores.lateral_m,
        "rotation_std_deg": [_rotation_std_deg(a.covariance) for a in answers if a.R is not None],
        "aligned_geodesic_deg": np.nan if aligned is None else aligned.geodesic_deg,
    }
    for name, values in known.items():
        column = np.full(count, np.nan)
        column[found] = values
        rows[name] = column
    return {name: rows[name] for name in COLUMNS}


def _rotation_std_deg(covariance):
    return np.nan if covariance is None else np.degrees(np.sqrt(np.trace(covariance[3:, 3:]) / 3.0))
