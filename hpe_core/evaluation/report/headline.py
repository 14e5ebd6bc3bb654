"""What a report says first: what was run, a few cards, and the best value of every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

import hpe_core
from hpe_core.config import PipelineConfig
from hpe_core.evaluation.errors.metrics import METRICS
from hpe_core.evaluation.report.tables import number_at, table_rows
from hpe_core.io.text import one_line

About = Sequence[tuple[str, str]]  # title and text of the header's lines
Summaries = Mapping[str, Mapping[str, Any]]  # name of an estimate -> its part of results.json

# paths below a summary whose least value is the best; below: whose greatest is; that which is nearest to a number
LEAST = (
    "detection.false_positives",
    "detection.id_switches",
    *(f"rotation.geodesic_deg.{name}" for name in ("mean", "median", "p95", "mean_failures_as_mean_pose")),
    *(f"rotation.euler_mae_deg.{name}" for name in ("mean", "yaw", "pitch", "roll", "mean_failures_as_mean_pose")),
    *(f"facing.residual_deg.{name}" for name in ("mean", "pan", "tilt", "mean_failures_as_mean_pose")),
    *("aligned.rotation.geodesic_deg.mean", "aligned.rotation.euler_mae_deg.mean", "aligned.after_geodesic_deg.mean"),
    *("frame_alignment.after.geodesic_deg.mean", "translation.error_mm.mean", "translation.depth_percent.mean"),
    *("translation.add_mm.mean", "stability.jitter.rotation_deg_per_axis", "stability.jumps"),
    *("stability.static_jitter.rotation_deg_per_axis", "flip_consistency.geodesic_deg.mean", "latency_ms.median"),
    *(f"{metric.part}.{metric.name}.mean" for metric in METRICS if metric.title),
)
GREATEST = ("detection.recall", "coverage", "looking_at.camera.f1")
NEAREST = {
    "uncertainty.rotation.nees_over_dof": 1.0,
    **{f"rotation.slope.{axis}.slope": 1.0 for axis in ("pan", "tilt", "roll")},
    "time.offset_s": 0.0,
}
# title, path of the value, unit, factor; what stands below it: text and path of numbers
_CARDS = (
    ("Rotation error, mean", "rotation.geodesic_deg.mean", "°", 1.0),
    ("Residual to nominal labels, mean", "facing.residual_deg.mean", "°", 1.0),
    ("Euler MAE", "rotation.euler_mae_deg.mean", "°", 1.0),
    ("Position error, mean", "translation.error_mm.mean", " mm", 1.0),
    ("Heads found", "detection.recall", " %", 100.0),
    ("Frames with a face", "coverage", " %", 100.0),
    ("Jitter at rest", "stability.static_jitter.rotation_deg_per_axis", "° per axis", 1.0),
    ("Latency, median", "latency_ms.median", " ms", 1.0),
    ("Rate", "stream.rate_hz", " Hz", 1.0),
)
_NOTES = {
    "rotation.geodesic_deg.mean": (
        ("95 % CI of the mean {:.2f} to {:.2f}", "rotation.geodesic_deg.ci95"),
        ("median {:.2f}", "rotation.geodesic_deg.median"),
        ("95th percentile (p95) {:.2f}", "rotation.geodesic_deg.p95"),
    ),
    "facing.residual_deg.mean": (("95 % CI of the mean {:.2f} to {:.2f}", "facing.residual_deg.ci95"),),
    "rotation.euler_mae_deg.mean": (
        ("yaw {:.2f}", "rotation.euler_mae_deg.yaw"),
        ("pitch {:.2f}", "rotation.euler_mae_deg.pitch"),
        ("roll {:.2f}", "rotation.euler_mae_deg.roll"),
    ),
    "translation.error_mm.mean": (
        ("95th percentile (p95) {:.0f}", "translation.error_mm.p95"),
        ("depth {:.1f} % of the distance", "translation.depth_percent.mean"),
    ),
    "detection.recall": (
        ("{:.0f} matched", "detection.matched"),
        ("{:.0f} missed", "detection.missed"),
        ("{:.0f} false positives", "detection.false_positives"),
    ),
}
MAX_CARDS = 5
_ONLY_ALONE = {"coverage", "stream.rate_hz"}  # of a stream without ground truth


def about(command: str, models: Sequence[str]) -> list[tuple[str, str]]:
    """Lines for the header of a report. command: as it was typed; models: names."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    lines = [("model", ", ".join(models)), ("hpe", hpe_core.__version__), ("date", now), ("command", one_line(command))]
    return [(title, text) for title, text in lines if text]


def resolved_model(config: PipelineConfig | None, model: str | None = None) -> str:
    """Name of the method that `run` takes: `model`, else that of the PipelineConfig; what `auto` stands for here."""
    from hpe_core.evaluation.images.evaluate import with_model
    from hpe_core.pipeline import with_method

    base = config or PipelineConfig()
    return with_method(with_model(base, model) if model else base).estimator.model


def cards(summaries: Summaries) -> list[dict[str, str]]:
    """title, value and note of the headline's cards: of the only estimate, or of the best one."""
    shown = []
    with_truth = any("detection" in summary for summary in summaries.values())
    for title, path, unit, factor in _CARDS:
        values = {label: number_at(summary, path) for label, summary in summaries.items()}
        known = {label: float(value) for label, value in values.items() if value is not None}
        if not known or (with_truth and path in _ONLY_ALONE):
            continue
        labels = [*known]
        ranks = best_of(path, [known[label] for label in labels]) or [0]
        best = labels[ranks[0]]
        note = [text for form, where in _NOTES.get(path, ()) if (text := _filled(form, summaries[best], where))]
        number = factor * known[best]
        value = f"{number:.0f}" if abs(number) >= 100 or factor != 1.0 else f"{number:.3g}"
        of = f"{best}, best of {len(known)}" if len(known) > 1 else best
        of = f"all {len(known)} alike" if len(ranks) == len(known) > 1 else of
        shown.append({"title": title, "value": value + unit, "of": of, "note": "; ".join(note)})
    return shown[:MAX_CARDS]


def _filled(form: str, summary: Mapping[str, Any], path: str) -> str:
    value = number_at(summary, path)
    numbers = value if isinstance(value, list) else [value]
    return "" if None in numbers else form.format(*numbers)


def best_of(path: str, values: Sequence[float | None]) -> list[int]:
    """Indices of the best of these values of a path; none where there is no better and worse, or only one value."""
    numbers = np.array([np.nan if v is None else v for v in values], float)
    if np.isfinite(numbers).sum() < 2:
        return []
    if path in GREATEST:
        cost = -numbers
    elif path in NEAREST:
        cost = np.abs(numbers - NEAREST[path])
    elif path in LEAST:
        cost = numbers
    else:
        return []
    return np.flatnonzero(cost == np.nanmin(cost)).tolist()


def marked_table(summaries: Summaries) -> list[dict[str, Any]]:
    """Rows of estimate_table: title, cells of text, and the indices of the best ones. All best: none is marked."""
    marked = []
    for title, path, cells in table_rows(summaries):
        values = [number_at(summary, path) for summary in summaries.values()]
        best = best_of(path, [v if isinstance(v, int | float) else None for v in values])
        marked.append({"title": title, "cells": cells, "best": best if len(best) < len(cells) else []})
    return marked
