"""Rows of frames.csv: every pose and every frame appears exactly where it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpe_core.evaluation.errors.metrics import GEODESIC, POSITION, columns_with_new
from hpe_core.evaluation.errors.pairs import Heads, aflw2000_angles_deg
from hpe_core.evaluation.errors.scores import Scores
from hpe_core.evaluation.streams.matching import Matches
from hpe_core.evaluation.streams.series import PoseSeries

Rows = dict[str, np.ndarray]  # column -> values, all of one length

ROW_COLUMNS = columns_with_new(
    (
        *(
            "frame",
            "stamp_ns",
            "status",
            "ground_truth_id",
            "face_id",
            "geodesic_deg",
            "yaw_error_deg",
            "pitch_error_deg",
        ),
        *("roll_error_deg", "maev_deg", "translation_error_mm", "depth_error_mm", "add_mm", "aligned_geodesic_deg"),
        *("aligned_translation_error_mm", "yaw_deg", "pitch_deg", "roll_deg", "distance_m", "face_size_px"),
    )
)


def rows_of(matches: Matches, estimate: PoseSeries, scores: Scores) -> Rows:
    """A row for every matched, missed, false and skipped pose, and for every frame without any."""
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
            "ground_truth_id": matches.true_track[t],
            "face_id": estimate.face_id[e],
            **scores.columns,
            "aligned_geodesic_deg": scores.aligned[GEODESIC.name],
            "aligned_translation_error_mm": scores.aligned[POSITION.name],
            **_head_columns(scores.true),
        },
        {
            "frame": matches.true_frame[matches.missed],
            "stamp_ns": matches.true_ns[matches.missed],
            "status": ["missed"] * len(matches.missed),
            "ground_truth_id": matches.true_track[matches.missed],
            **_head_columns(scores.missed),
        },
        _estimate_rows(estimate, matches.false, matches.frame_of_estimate, "false positive"),
        _estimate_rows(estimate, skipped, matches.frame_of_estimate, "skipped"),
        {
            "frame": empty,
            "stamp_ns": matches.frame_ns[empty],
            "status": np.where(matches.scored[empty], "empty", "no ground truth"),
        },
    ]
    return _joined(parts)


def rows_alone(estimate: PoseSeries, frame_ns: np.ndarray) -> Rows:
    """A row for every pose of an estimate without ground truth, and for every frame (F,) ns without any."""
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


def _estimate_rows(estimate: PoseSeries, index: np.ndarray, frame: np.ndarray, status: str) -> dict[str, Any]:
    return {
        "frame": frame[index],
        "stamp_ns": estimate.stamp_ns[index],
        "status": [status] * len(index),
        "face_id": estimate.face_id[index],
        **_angle_columns(aflw2000_angles_deg(estimate.R[index])),
        "distance_m": np.linalg.norm(estimate.t_m[index], axis=-1),
    }


def _head_columns(heads: Heads) -> dict[str, np.ndarray]:
    return _angle_columns(heads.angles_deg) | {"distance_m": heads.range_m, "face_size_px": heads.size_px}


def _angle_columns(angles_deg: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(("yaw_deg", "pitch_deg", "roll_deg"), angles_deg.T, strict=True))


def _joined(parts: Sequence[Mapping[str, Any]]) -> Rows:
    """Rows of all parts in stamp order; a column that a part lacks is NaN or empty there."""
    stamps = np.concatenate([np.asarray(part["stamp_ns"], np.int64) for part in parts])
    order = np.argsort(stamps, kind="stable")
    out = {}
    for name in ROW_COLUMNS:
        text = name in ("status", "ground_truth_id", "face_id")
        columns = [np.asarray(part.get(name, np.full(len(part["stamp_ns"]), "" if text else np.nan))) for part in parts]
        kind = str if text else np.int64 if name in ("frame", "stamp_ns") else float
        out[name] = np.concatenate([column.astype(kind) for column in columns])[order]
    return out
