"""The worst frames of a bag, for the report: which they are, and their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpe_core.evaluation.report.thumbnails import Pose, thumbnails
from hpe_core.evaluation.streams.bag_evaluation import BagResult, Job
from hpe_core.evaluation.streams.rows import Rows

WORST = 12
NEAR_NS = 20_000_000  # a true pose so near in time is drawn beside the estimate


def worst_of(result: BagResult, path: Path, job: Job, start_ns: int) -> list[dict[str, Any]]:
    """dict image (data URL or None), time (s), text of each of the worst frames of a bag at `path`."""
    found = []
    wanted: dict[int, list[tuple[Pose, bool]]] = {}
    for label, one in result.evaluated.items():
        for index in worst_frames(one.rows, WORST // min(len(result.evaluated), 3)):
            row = {name: values[index] for name, values in one.rows.items()}
            stamp = int(row["stamp_ns"])
            found.append((label, row, stamp))
            wanted[stamp] = _poses_at(result, label, stamp)
    pictures = thumbnails(path, wanted, job.topic, job.camera, job.hfov_deg)
    return [
        {
            "image": pictures.get(stamp),
            "time": (stamp - start_ns) * 1e-9,
            "text": f"{label}: {_worst_text(row)} at {(stamp - start_ns) * 1e-9:.2f} s",
        }
        for label, row, stamp in found
    ]


def _worst_text(row: dict[str, Any]) -> str:
    if row["status"] != "matched":
        return f"{row['status']}, {row['distance_m']:.2f} m"
    return f"{row['geodesic_deg']:.1f} deg, {row['translation_error_mm']:.0f} mm, yaw {row['yaw_deg']:.0f}"


def _poses_at(result: BagResult, label: str, stamp_ns: int) -> list[tuple[Pose, bool]]:
    """Poses of the estimate at this stamp, and the true ones of the nearest stamp (marked True)."""
    poses: list[tuple[Pose, bool]] = []
    for series, is_truth in ((result.estimates[label], False), (result.truth, True)):
        if series is not None and len(series):
            distance = np.abs(series.stamp_ns - stamp_ns)
            nearest = np.flatnonzero(distance == distance.min()) if is_truth else np.flatnonzero(distance == 0)
            poses += [((series.R[i], series.t_m[i]), is_truth) for i in nearest if distance[i] <= NEAR_NS]
    return poses


def worst_frames(rows: Rows, count: int = WORST, apart_ns: int = 1_000_000_000) -> list[int]:
    """Row indices of the largest rotation errors (two thirds of `count`), then of missed heads and false positives (one
    third); at most one of each kind per second."""
    geodesic = np.nan_to_num(rows["geodesic_deg"], nan=-1.0)
    ranked = np.argsort(-geodesic, kind="stable")
    errors = ranked[geodesic[ranked] >= 0]
    failures = np.flatnonzero(np.isin(rows["status"], ("missed", "false positive")))
    few = max(1, count // 3)
    return [
        *_apart(errors, rows["stamp_ns"], count - few, apart_ns),
        *_apart(failures, rows["stamp_ns"], few, apart_ns),
    ]


def _apart(ranked: np.ndarray, stamp_ns: np.ndarray, count: int, apart_ns: int) -> list[int]:
    """The first `count` of the ranked row indices that keep their distance in time from each other."""
    chosen: list[int] = []
    for index in ranked.tolist():
        if all(abs(int(stamp_ns[index]) - int(stamp_ns[other])) >= apart_ns for other in chosen):
            chosen.append(index)
            if len(chosen) == count:
                break
    return chosen
