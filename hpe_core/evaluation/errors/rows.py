"""Rows of frames.csv: every pose and every frame appears exactly where it went."""

import numpy as np

from hpe_core.evaluation.errors.scores import aflw2000_angles_deg

ROW_COLUMNS = (
    *("frame", "stamp_ns", "status", "truth_id", "face_id", "geodesic_deg", "yaw_error_deg", "pitch_error_deg"),
    *("roll_error_deg", "maev_deg", "translation_error_mm", "depth_error_mm", "add_mm", "calibrated_geodesic_deg"),
    *("calibrated_translation_error_mm", "yaw_deg", "pitch_deg", "roll_deg", "distance_m", "face_size_px"),
)


def error_columns(scores):
    """dict column -> array of the errors that every table of matched faces has; scores: their errors, one per face."""
    return {
        "geodesic_deg": scores.geodesic_deg,
        "yaw_error_deg": scores.euler_deg[:, 0],
        "pitch_error_deg": scores.euler_deg[:, 1],
        "roll_error_deg": scores.euler_deg[:, 2],
        "maev_deg": scores.maev_deg,
        "translation_error_mm": 1e3 * np.linalg.norm(scores.t_error_m, axis=-1),
        "depth_error_mm": 1e3 * scores.depth_m,
    }


def rows_of(matches, estimate, scores):
    """dict column -> list: a row for every matched, missed, false and skipped pose, and for every frame without any."""
    e, t = matches.estimate, matches.truth
    skipped = np.setdiff1d(np.arange(len(estimate)), np.concatenate([e, matches.false]))
    empty = np.ones(len(matches.frame_ns), bool)
    empty[matches.true_frame] = False
    empty[matches.frame_of_estimate[matches.frame_of_estimate >= 0]] = False
    empty = np.flatnonzero(empty)
    parts = [
        {
            "frame": matches.true_frame[t],
            "stamp_ns": estimate.stamp_ns[e],
            "status": ["matched"] * len(e),
            "truth_id": matches.true_track[t],
            "face_id": estimate.face_id[e],
            **error_columns(scores),
            "add_mm": 1e3 * scores.add_m,
            "calibrated_geodesic_deg": scores.calibrated_geodesic_deg,
            "calibrated_translation_error_mm": 1e3 * np.linalg.norm(scores.calibrated_t_error_m, axis=-1),
            **_pose_columns(scores.angles_deg, scores.range_m, scores.size_px),
        },
        {
            "frame": matches.true_frame[matches.missed],
            "stamp_ns": matches.true_ns[matches.missed],
            "status": ["missed"] * len(matches.missed),
            "truth_id": matches.true_track[matches.missed],
            **_pose_columns(scores.missed_angles_deg, scores.missed_range_m, scores.missed_size_px),
        },
        _estimate_rows(estimate, matches.false, matches.frame_of_estimate, "false"),
        _estimate_rows(estimate, skipped, matches.frame_of_estimate, "skipped"),
        {
            "frame": empty,
            "stamp_ns": matches.frame_ns[empty],
            "status": np.where(matches.scored[empty], "empty", "no truth"),
        },
    ]
    return _joined(parts)


def rows_alone(estimate, frame_ns):
    everything = np.arange(len(estimate))
    frame = np.searchsorted(frame_ns, estimate.stamp_ns)
    known = (frame < len(frame_ns)) & (frame_ns[np.minimum(frame, len(frame_ns) - 1)] == estimate.stamp_ns)
    empty = np.flatnonzero(~np.isin(frame_ns, estimate.stamp_ns))
    return _joined(
        [
            _estimate_rows(estimate, everything, np.where(known, frame, -1), "estimate"),
            {"frame": empty, "stamp_ns": frame_ns[empty], "status": ["empty"] * len(empty)},
        ]
    )


def _estimate_rows(estimate, index, frame, status):
    return {
        "frame": frame[index],
        "stamp_ns": estimate.stamp_ns[index],
        "status": [status] * len(index),
        "face_id": estimate.face_id[index],
        **_pose_columns(aflw2000_angles_deg(estimate.R[index]), np.linalg.norm(estimate.t_m[index], axis=-1), None),
    }


def _pose_columns(angles_deg, range_m, size_px):
    columns = dict(zip(("yaw_deg", "pitch_deg", "roll_deg"), angles_deg.T, strict=True)) | {"distance_m": range_m}
    return columns if size_px is None else columns | {"face_size_px": size_px}


def _joined(parts):
    """Rows of all parts in stamp order; a column that a part lacks is NaN or empty there."""
    stamps = np.concatenate([np.asarray(part["stamp_ns"], np.int64) for part in parts])
    order = np.argsort(stamps, kind="stable")
    out = {}
    for name in ROW_COLUMNS:
        text = name in ("status", "truth_id", "face_id")
        columns = [np.asarray(part.get(name, np.full(len(part["stamp_ns"]), "" if text else np.nan))) for part in parts]
        kind = str if text else np.int64 if name in ("frame", "stamp_ns") else float
        out[name] = np.concatenate([column.astype(kind) for column in columns])[order]
    return out
