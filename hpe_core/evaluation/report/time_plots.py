"""Errors, angles and positions over time, with the bands that hold the true value with 95 % by the covariance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from hpe_core.evaluation.errors.pairs import aflw2000_angles_deg
from hpe_core.evaluation.streams.bag_evaluation import BagResult
from hpe_core.evaluation.streams.rows import Rows
from hpe_core.evaluation.streams.series import PoseSeries
from hpe_core.geometry import euler

MAX_POINTS = 2000  # of a line
LEAST_POINTS = 60  # of one of many heads
GAP_S = 1.0
STD_95 = 1.96  # standard deviations on each side of a normal distribution's mean that hold 95 %
WIDEST_DEG = 90.0  # a band beyond says nothing
ANGLES, AXES = ("yaw", "pitch", "roll"), ("x", "y", "z")
_TRUTH = {"label": "ground truth", "name": "ground truth", "colour": "#8a929c"}


def time_plots(result: BagResult, start_ns: int) -> list[dict[str, Any]]:
    """Plots of a BagResult: errors where there is ground truth, then yaw, pitch, roll and x, y, z."""
    plots = []
    if result.truth is not None:
        for title, axis, column in (
            ("Rotation error", "geodesic error (deg)", "geodesic_deg"),
            ("Position error", "position error (mm)", "translation_error_mm"),
        ):
            lines = [_of_rows(label, one.rows, column, start_ns) for label, one in result.evaluated.items()]
            plots.append({"title": title, "x": "time (s)", "y": axis, "zero": True, "series": lines})
    columns = {label: _columns(series) for label, series in result.estimates.items()}
    for name, axis in [*((angle, f"{angle} (deg)") for angle in ANGLES), *((axis, f"{axis} (m)") for axis in AXES)]:
        lines = [
            {"label": label} | _by_head(_seconds(series, start_ns), *columns[label][name], series.face_id)
            for label, series in result.estimates.items()
        ]
        truth = _truth(result, name, start_ns)
        plots.append({"title": name.capitalize(), "x": "time (s)", "y": axis, "series": [*truth, *lines]})
    return plots


def _columns(series: PoseSeries) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """dict angle or axis -> values (N,) and half the width of their bands, NaN where unknown."""
    angles = aflw2000_angles_deg(series.R)
    reach_deg, reach_m = np.full((2, len(series), 3), np.nan)
    if series.covariance is not None:
        reach_deg = STD_95 * euler.aflw2000.std_deg(series.R, series.covariance[:, 3:, 3:]).stacked()
        reach_deg = np.where(reach_deg < WIDEST_DEG, reach_deg, np.nan)
        variance = np.diagonal(series.covariance[:, :3, :3], axis1=1, axis2=2)
        reach_m = STD_95 * np.sqrt(np.maximum(variance, 0.0))
    values, reach = np.concatenate([angles, series.t_m], 1), np.concatenate([reach_deg, reach_m], 1)
    return {name: (values[:, i], reach[:, i]) for i, name in enumerate((*ANGLES, *AXES))}


def _truth(result: BagResult, name: str, start_ns: int) -> list[dict[str, Any]]:
    """The line of the ground truth: its angles as they were compared; its position where its frame is that of all."""
    truth = result.truth
    if truth is None:
        return []
    if name in ANGLES:
        rows = next(iter(result.evaluated.values())).rows
        line = _of_rows("", rows, f"{name}_deg", start_ns, ("matched", "missed"))
        return [line | _TRUTH]
    if any(series.frame_id != truth.frame_id for series in result.estimates.values()):
        return []
    values = truth.t_m[:, AXES.index(name)]
    return [_by_head(_seconds(truth, start_ns), values, np.full(len(truth), np.nan), truth.face_id) | _TRUTH]


def _seconds(series: PoseSeries, start_ns: int) -> np.ndarray:
    return (series.stamp_ns - start_ns) * 1e-9


def _of_rows(
    label: str, rows: Rows, column: str, start_ns: int, statuses: Sequence[str] = ("matched",)
) -> dict[str, Any]:
    use = np.isin(rows["status"], statuses)
    unknown = np.full(int(use.sum()), np.nan)
    seconds = (rows["stamp_ns"][use] - start_ns) * 1e-9
    return {"label": label} | _by_head(seconds, rows[column][use], unknown, rows["ground_truth_id"][use])


def _by_head(x: np.ndarray, y: np.ndarray, reach: np.ndarray, head: np.ndarray) -> dict[str, Any]:
    """One line, broken between heads; `low` and `high` where a band is known."""
    heads = np.unique(head)
    most = max(LEAST_POINTS, MAX_POINTS // max(1, len(heads)))
    parts = [thinned(x[head == one], y[head == one], reach[head == one], most) for one in heads]
    gap = np.array([[0.0], [np.nan], [np.nan]])
    joined = np.concatenate([gap[:, :0], *(np.concatenate([part, gap], 1) for part in parts)], 1)[:, :-1]
    x, y, reach = joined
    line: dict[str, Any] = {"kind": "line", "x": np.round(x, 3), "y": rounded(y)}
    if np.isfinite(reach).any():
        line |= {"low": rounded(y - reach), "high": rounded(y + reach), "band": True}
    return line


def thinned(x: np.ndarray, y: np.ndarray, reach: np.ndarray, most: int = MAX_POINTS) -> np.ndarray:
    """Points (3, K) of a line x, y, reach (N,): of long ones the least and greatest of every bucket; NaN at gaps."""
    gap_s = GAP_S
    if len(x) > most:
        edges = np.linspace(0, len(x), most // 2 + 1).astype(int)
        keep = sorted({int(a + pick(y[a:b])) for a, b in pairwise(edges) for pick in (np.argmin, np.argmax)})
        gap_s = max(GAP_S, 3 * float(x[-1] - x[0]) / most)
        x, y, reach = x[keep], y[keep], reach[keep]
    gaps = np.flatnonzero(np.diff(x) > gap_s) + 1
    return np.stack([np.insert(x, gaps, x[gaps]), np.insert(y, gaps, np.nan), np.insert(reach, gaps, np.nan)])


def rounded(values: np.ndarray) -> np.ndarray:
    """Four significant digits of each."""
    return np.array([float(f"{v:.4g}") for v in values])
