"""Numbers of results.json from per-pose Scores: means with intervals, bins, and errors with misses penalised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from hpe_core.evaluation.errors.bootstrap import BLOCK, interval, mean_interval, slope_interval
from hpe_core.evaluation.errors.frame_offset import FrameOffset
from hpe_core.evaluation.errors.metrics import (
    COMPARED,
    EULER,
    FACING,
    FACING_AXES,
    GEODESIC,
    METRICS,
    POSITION,
    Interval,
    Metric,
    Summary,
    pose_error_vector,
)
from hpe_core.evaluation.errors.pairs import PosePairs
from hpe_core.evaluation.errors.scores import Scores
from hpe_core.evaluation.errors.uncertainty import consistency
from hpe_core.geometry import so3

YAW_EDGES_DEG = (-180, -90, -60, -40, -20, 20, 40, 60, 90, 180)
ABS_YAW_EDGES_DEG = (0, 30, 60, 90)  # Euler yaw ends at 90, pan does not
PAN_EDGES_DEG = (-180, -150, -120, -90, -60, -30, 30, 60, 90, 120, 150, 180.001)
TILT_EDGES_DEG = (-90, -60, -45, -30, -15, 15, 30, 45, 60, 90.001)
SLOPE_PAN_DEG, SLOPE_TILT_DEG = 85.0, 50.0  # slopes are of heads within these
SLOPE_MIN_POSES, SLOPE_MIN_STD_DEG = 10, 5.0  # fewer, or turned less, say nothing
DISTANCE_EDGES_M = (0, 0.5, 0.75, 1, 1.5, 2, 3, 5, np.inf)
SIZE_EDGES_PX = (0, 20, 40, 80, 160, 320, np.inf)
TIME_BINS = 20


def _of_images(values: np.ndarray) -> list[float] | None:
    return interval(np.mean, values)


def _median_of_images(values: np.ndarray) -> list[float] | None:
    return interval(np.median, values)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is measured, and so what can be said: frames of a video depend on each other, photographs do not."""

    interval: Mapping[str, Interval] = field(
        default_factory=lambda: {"rotation": mean_interval, "translation": mean_interval}
    )
    median_interval: Interval | None = None  # of the geodesic error
    penalised: tuple[Metric, ...] = (GEODESIC, EULER)  # also given with misses penalised
    bias: bool = False  # whether medians of the signed angle errors count: one that all methods share is the labels'
    always_positions: bool = False  # whether every ground truth has positions, however few poses were matched
    left_out: tuple[str, ...] = ()  # metrics that are not given
    block: int = 1  # neighbours that depend on each other


BAGS = Kind(penalised=(GEODESIC,), always_positions=True, block=BLOCK)
IMAGES = Kind(
    interval={"rotation": _of_images, "translation": mean_interval}, median_interval=_median_of_images, bias=True
)
DATASETS = Kind(left_out=("depth_mm", "depth_percent", "lateral_mm", "bias_xyz_mm", "add_mm"))


def errors(s: Scores, kind: Kind) -> dict[str, Any]:
    """dict rotation, translation of Scores: every metric, summarised; translation None where positions are unknown."""
    known = kind.always_positions or (len(s) > 0 and bool(np.all(np.isfinite(s.t_error_m))))
    exact = kind.always_positions or (len(s) > 0 and bool(np.all(np.isfinite(s.true.t_m))))
    return {
        "rotation": rotation(s, kind) | {"slope": slopes(s, kind.block) if exact else None},
        "translation": _translation(s, kind) if known else None,
    }


def rotation(s: Scores, kind: Kind) -> dict[str, Any]:
    """dict of rotation errors in degrees."""
    out: dict[str, Any] = _summarised(s, kind, "rotation")
    for metric in kind.penalised:
        out[metric.name]["mean_failures_as_mean_pose"] = _misses_penalised(s, metric)
    if kind.median_interval:
        out[GEODESIC.name]["median_ci95"] = kind.median_interval(s.errors[GEODESIC.name])
    if kind.bias:
        out["euler_bias_deg"] = np.median(s.errors[EULER.name], axis=0).tolist() if len(s) else None
    return out


def slopes(s: Scores, block: int) -> dict[str, dict[str, Any] | None]:
    """dict pan, tilt, roll -> slope of the estimated on the true angle, its interval and how many poses it is of: below
    1 the estimates shrink turns. Of heads within SLOPE_PAN_DEG and SLOPE_TILT_DEG; None where too few of them turn.
    """
    true = s.true.facing_deg
    use = (np.abs(true[:, 0]) <= SLOPE_PAN_DEG) & (np.abs(true[:, 1]) <= SLOPE_TILT_DEG)
    x, y = true[use], true[use] + s.errors[FACING.name][use]
    return {axis: _slope(x[:, i], y[:, i], block) for i, axis in enumerate(FACING_AXES)}


def _slope(x: np.ndarray, y: np.ndarray, block: int) -> dict[str, Any] | None:
    if len(x) < SLOPE_MIN_POSES or np.std(x) < SLOPE_MIN_STD_DEG:
        return None
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    return {"slope": slope, "ci95": slope_interval(x, y, block=block), "poses": len(x)}


def _translation(s: Scores, kind: Kind) -> dict[str, Any]:
    """dict of position errors in mm."""
    out: dict[str, Any] = _summarised(s, kind, "translation")
    if "bias_xyz_mm" not in kind.left_out:
        out["bias_xyz_mm"] = (1e3 * s.t_error_m.mean(0)).tolist() if len(s) else None
    return out


def _summarised(s: Scores, kind: Kind, part: str) -> dict[str, Summary]:
    return {
        metric.name: metric.summarise(s.errors[metric.name], kind.interval[part])
        for metric in METRICS
        if metric.part == part and metric.name not in kind.left_out
    }


def _misses_penalised(s: Scores, metric: Metric) -> float | None:
    """Mean error when every missed head counts as if the mean of all true rotations had been estimated."""
    R_all = np.concatenate([s.true.R, s.missed.R])
    if len(R_all) == 0:
        return None
    mean_pose = np.broadcast_to(so3.mean_rotation(R_all), s.missed.R.shape)
    missed = metric.of(PosePairs(R=mean_pose, t_m=s.missed.t_m, true=s.missed))
    return float(np.mean(np.abs(np.concatenate([s.errors[metric.name], missed]))))


def compared(s: Scores) -> dict[str, dict[str, Summary]]:
    """dict before, after -> errors before and after frame alignment, of the poses that were held out."""
    sides = {"before": s.errors, "after": s.aligned}
    return {
        side: {metric.name: metric.summarise(values[metric.name][s.held_out], mean_interval) for metric in COMPARED}
        for side, values in sides.items()
    }


def fitted_on(s: Scores) -> int:
    """How many poses frame offsets were fitted on."""
    return int(np.sum(~s.held_out & np.isfinite(s.aligned[GEODESIC.name])))


def calibration(s: Scores, offsets: Mapping[str, FrameOffset]) -> dict[str, Any] | None:
    """dict of errors before and after frame alignment on the held-out part; None when there is none."""
    if not s.held_out.any():
        return None
    return {
        "fitted_on": fitted_on(s),
        "held_out": int(s.held_out.sum()),
        "frame_offset": {
            name: {
                "rotvec_deg": np.degrees(so3.rotvec_from_matrix(offset.R)).tolist(),
                "angle_deg": offset.angle_deg,
                "translation_mm": (1e3 * offset.t_m).tolist(),
            }
            for name, offset in offsets.items()
        },
        **compared(s),
    }


def uncertainty(pairs: PosePairs) -> dict[str, Any] | None:
    """dict of NEES and coverage of the published covariances; None when there are none."""
    error = pose_error_vector(pairs.R, pairs.t_m, pairs.true.R, pairs.true.t_m)
    return consistency(error, pairs.covariance)


def by_bin(s: Scores, block: int = BLOCK) -> dict[str, list[dict[str, Any]]]:
    """dict yaw_deg, pan_deg, tilt_deg, distance_m, face_size_px -> list of bins with recall and errors; block: see
    `bins`."""
    facing, missed = s.true.facing_deg, s.missed.facing_deg
    kinds = {
        "yaw_deg": (s.true.angles_deg[:, 0], s.missed.angles_deg[:, 0], YAW_EDGES_DEG),
        "pan_deg": (facing[:, 0], missed[:, 0], PAN_EDGES_DEG),
        "tilt_deg": (facing[:, 1], missed[:, 1], TILT_EDGES_DEG),
        "distance_m": (s.true.range_m, s.missed.range_m, DISTANCE_EDGES_M),
        "face_size_px": (s.true.size_px, s.missed.size_px, SIZE_EDGES_PX),
    }
    return {name: bins(s, *what, block=block) for name, what in kinds.items()}


def by_time(s: Scores) -> list[dict[str, Any]]:
    """Bins of equal duration over the whole recording."""
    end = max(s.true.time_s.max(initial=0.0), s.missed.time_s.max(initial=0.0))
    return bins(s, s.true.time_s, s.missed.time_s, np.linspace(0.0, end + 1e-6, TIME_BINS + 1))


def by_abs_yaw(s: Scores, block: int = BLOCK) -> list[dict[str, Any]]:
    """Bins of |yaw| as they are common for photographs."""
    return bins(s, np.abs(s.true.angles_deg[:, 0]), np.abs(s.missed.angles_deg[:, 0]), ABS_YAW_EDGES_DEG, block)


def bins(
    s: Scores,
    values: np.ndarray,
    missed_values: np.ndarray,
    edges: tuple[float, ...] | np.ndarray,
    block: int = BLOCK,
) -> list[dict[str, Any]]:
    """Bins [from, to) that hold any true head, by values (P,) of the matched and missed_values (L,); list of dict.

    block: neighbours that depend on each other, 1 for unrelated images.
    """
    out = []
    for low, high in pairwise(edges):
        inside = (values >= low) & (values < high)
        missed = int(np.sum((missed_values >= low) & (missed_values < high)))
        count = int(inside.sum())
        if count + missed == 0:
            continue
        out.append(
            {
                "from": float(low),
                "to": float(high) if np.isfinite(high) else None,
                "ground_truth_heads": count + missed,
                "recall": count / (count + missed),
                EULER.name: _mean(np.abs(s.errors[EULER.name][inside])),
                **{m.name: _with_interval(s.errors[m.name][inside], block) for m in (GEODESIC, POSITION)},
            }
        )
    return out


def _with_interval(values: np.ndarray, block: int) -> dict[str, Any]:
    return {"mean": _mean(values), "ci95": mean_interval(values, block=block)}


def _mean(values: np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None


def detection(counts: Mapping[str, Any], s: Scores) -> dict[str, Any]:
    """dict of counts (ground_truth_heads, matched, false_positives, ...) with recall, its interval and precision."""
    matched, true, false = counts["matched"], counts["ground_truth_heads"], counts["false_positives"]
    found = {
        "recall": matched / true if true else None,
        "recall_ci95": _recall_interval(s),
        "recall_in_frames_with_output": matched / counts["ground_truth_heads_in_frames_with_output"]
        if counts["ground_truth_heads_in_frames_with_output"]
        else None,
        "precision": matched / (matched + false) if matched + false else None,
        "false_positives_per_frame": false / counts["scored_frames"] if counts["scored_frames"] else None,
        "coverage": counts["frames_with_output"] / counts["frames"] if counts["frames"] else None,
    }
    return dict(counts) | found


def _recall_interval(s: Scores) -> list[float] | None:
    """Interval of the share of found heads, found and missed ones in time order."""
    found = np.concatenate([np.ones(len(s)), np.zeros(len(s.missed))])
    order = np.argsort(np.concatenate([s.true.time_s, s.missed.time_s]), kind="stable")
    return mean_interval(found[order])
