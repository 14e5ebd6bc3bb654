"""Errors of N estimated against N true poses, and METRICS, from which results, frames.csv and tables are made.

A new metric is a function and an entry in METRICS: with a title it gets a row and a column of its own in the tables of
bags, images and data sets, with columns it stands in each frames.csv.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpe_core.evaluation.errors.pairs import PosePairs, facing_angles_deg
from hpe_core.geometry import euler, so3
from hpe_core.geometry.head import REFERENCE_POINTS_M

Interval = Callable[[np.ndarray], list[float] | None]  # 95 % confidence interval of the mean of values (N,)
Summary = dict[str, float | list[float] | None]
FACING_AXES = ("pan", "tilt", "roll")


def geodesic_deg(R: np.ndarray, R_true: np.ndarray) -> np.ndarray:
    """Angle (N,) in degrees between rotations (N, 3, 3)."""
    return np.degrees(so3.geodesic_angle(R, R_true))


def euler_error_deg(R: np.ndarray, R_true: np.ndarray) -> np.ndarray:
    """Signed errors (N, 3) of yaw, pitch, roll (AFLW2000 convention), wrapped to [-180, 180), never folded."""
    return _wrapped(euler.aflw2000.from_matrix(R).stacked() - euler.aflw2000.from_matrix(R_true).stacked())


def facing_error_deg(R: np.ndarray, R_true: np.ndarray) -> np.ndarray:
    """Signed errors (N, 3) of pan, tilt, roll (hpe_core.geometry.euler.PanTilt), wrapped to [-180, 180)."""
    return _wrapped(facing_angles_deg(R) - facing_angles_deg(R_true))


def _wrapped(difference_deg: np.ndarray) -> np.ndarray:
    return (difference_deg + 180.0) % 360.0 - 180.0


def maev_deg(R: np.ndarray, R_true: np.ndarray) -> np.ndarray:
    """Mean angle (N,) in degrees between the three columns of R and of R_true (Cao et al., WACV 2021)."""
    cosine = np.sum(np.asarray(R, float) * R_true, axis=-2)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).mean(-1)


def depth_error_m(t_m: np.ndarray, t_true_m: np.ndarray) -> np.ndarray:
    """Signed error (N,) along the true line of sight; positive: too far."""
    range_m = np.linalg.norm(t_true_m, axis=-1)
    return np.sum((t_m - t_true_m) * t_true_m, -1) / np.where(range_m > 0, range_m, 1.0)


def lateral_error_m(t_m: np.ndarray, t_true_m: np.ndarray) -> np.ndarray:
    """Error (N,) in metres across the true line of sight."""
    squared = np.sum((t_m - t_true_m) ** 2, -1) - depth_error_m(t_m, t_true_m) ** 2
    return np.sqrt(np.maximum(squared, 0.0))


def add_m(R: np.ndarray, t_m: np.ndarray, R_true: np.ndarray, t_true_m: np.ndarray) -> np.ndarray:
    """ADD (N,): mean distance in metres between the reference points of both heads (Hinterstoisser, ACCV 2012)."""
    arms = (R - R_true) @ REFERENCE_POINTS_M.T  # (N, 3, P)
    return np.linalg.norm(arms + (t_m - t_true_m)[..., None], axis=-2).mean(-1)


def pose_error_vector(R: np.ndarray, t_m: np.ndarray, R_true: np.ndarray, t_true_m: np.ndarray) -> np.ndarray:
    """Errors (N, 6): true minus estimated position, and rotation vector of R_true R', as HeadPose.covariance."""
    turn = so3.rotvec_from_matrix(R_true @ np.swapaxes(R, -1, -2))
    return np.concatenate([t_true_m - t_m, turn], -1)


# --- how errors are summarised ---------------------------------------------------------------------------------------


def summary(values: np.ndarray | list[float]) -> Summary:
    """dict mean, median, p95, max, rmse of numbers (N,); all None when there is none."""
    values = np.asarray(values, float)
    if len(values) == 0:
        return dict.fromkeys(("mean", "median", "p95", "max", "rmse"))
    return {
        "mean": float(np.mean(values)),
        "median": float(np.median(values)),
        "p95": float(np.percentile(values, 95)),
        "max": float(np.max(values)),
        "rmse": float(np.sqrt(np.mean(values**2))),
    }


def with_interval(values: np.ndarray, interval: Interval) -> Summary:
    """summary of values (N,), with the 95 % confidence interval of the mean as `ci95`."""
    return summary(values) | {"ci95": interval(values)}


def of_sizes(values: np.ndarray, interval: Interval) -> Summary:
    """summary of the absolute values of errors (N,) with a sign."""
    return summary(np.abs(values))


def euler_mae(values: np.ndarray, interval: Interval) -> Summary:
    """dict yaw, pitch, roll, mean (each the mean absolute error) of signed errors (N, 3), and the mean's interval."""
    return _mae(values, interval, ("yaw", "pitch", "roll"))


def facing_mae(values: np.ndarray, interval: Interval) -> Summary:
    """The same of pan, tilt and roll."""
    return _mae(values, interval, FACING_AXES)


def _mae(values: np.ndarray, interval: Interval, axes: tuple[str, ...]) -> Summary:
    if len(values) == 0:
        return dict.fromkeys((*axes, "mean", "ci95"))
    error = np.abs(values)
    by_angle: Summary = dict(zip(axes, error.mean(0).tolist(), strict=True))
    return by_angle | {"mean": float(error.mean()), "ci95": interval(error.mean(-1))}


# --- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One error of a pair of poses: what it is called, how it is computed and how it is summarised."""

    part: str  # of results.json: rotation or translation
    name: str  # below it, with the unit
    of: Callable[[PosePairs], np.ndarray]  # (P,), or (P, K) for K columns
    summarise: Callable[[np.ndarray, Interval], Summary] = with_interval
    columns: tuple[str, ...] = ()  # of frames.csv, one for each number of a pair
    title: str = ""  # of its row (the mean) in every table; "": report/tables.py has rows and columns for it


def _euler(p: PosePairs) -> np.ndarray:
    return euler_error_deg(p.R, p.true.R)


def _depth_percent(p: PosePairs) -> np.ndarray:
    return 100.0 * np.abs(depth_error_m(p.t_m, p.true.t_m)) / np.maximum(p.true.range_m, 1e-9)


GEODESIC = Metric(
    part="rotation", name="geodesic_deg", of=lambda p: geodesic_deg(p.R, p.true.R), columns=("geodesic_deg",)
)
EULER = Metric(
    part="rotation",
    name="euler_mae_deg",
    of=_euler,
    summarise=euler_mae,
    columns=("yaw_error_deg", "pitch_error_deg", "roll_error_deg"),
)
FACING = Metric(
    part="rotation", name="facing_mae_deg", of=lambda p: facing_error_deg(p.R, p.true.R), summarise=facing_mae
)
POSITION = Metric(
    part="translation",
    name="error_mm",
    of=lambda p: 1e3 * np.linalg.norm(p.t_error_m, axis=-1),
    columns=("translation_error_mm",),
)
METRICS = (
    GEODESIC,
    EULER,
    FACING,
    Metric(
        part="rotation",
        name="maev_deg",
        of=lambda p: maev_deg(p.R, p.true.R),
        columns=("maev_deg",),
        title="MAEV (deg)",
    ),
    POSITION,
    Metric(
        part="translation",
        name="depth_mm",
        of=lambda p: 1e3 * depth_error_m(p.t_m, p.true.t_m),
        summarise=of_sizes,
        columns=("depth_error_mm",),
    ),
    Metric(part="translation", name="depth_percent", of=_depth_percent, summarise=of_sizes),
    Metric(
        part="translation",
        name="lateral_mm",
        of=lambda p: 1e3 * lateral_error_m(p.t_m, p.true.t_m),
        summarise=of_sizes,
        columns=("lateral_error_mm",),
    ),
    Metric(
        part="translation",
        name="add_mm",
        of=lambda p: 1e3 * add_m(p.R, p.t_m, p.true.R, p.true.t_m),
        columns=("add_mm",),
    ),
)
COMPARED = (GEODESIC, EULER, POSITION)  # before and after frame alignment, and in bins


def columns_with_new(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Columns of a frames.csv, and behind them those of the metrics with a title that are not among them."""
    new = [column for metric in METRICS if metric.title for column in metric.columns if column not in columns]
    return (*columns, *new)
