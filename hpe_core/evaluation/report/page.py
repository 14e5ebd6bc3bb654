"""report.html: one file with plots, tables and the worst frames; needs no network and no further file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpe_core.evaluation.images.evaluate import Absent
from hpe_core.evaluation.images.scores import ImageResult
from hpe_core.evaluation.report.headline import About, cards, marked_table
from hpe_core.evaluation.report.results import DIGITS
from hpe_core.evaluation.report.tables import Results, cell
from hpe_core.evaluation.report.thresholds import Check
from hpe_core.evaluation.report.time_plots import rounded, time_plots
from hpe_core.evaluation.report.worst import worst_of
from hpe_core.evaluation.streams.bag_evaluation import BagResult, Job, combined
from hpe_core.evaluation.streams.evaluate import Evaluated
from hpe_core.io.json_file import json_values

PAGE = Path(__file__).with_name("page.html")
MAX_BAGS = 30
BINS = (
    ("yaw_deg", "true yaw (deg)"),
    ("pan_deg", "true pan (deg)"),
    ("tilt_deg", "true tilt (deg)"),
    ("distance_m", "distance (m)"),
    ("face_size_px", "face size (px)"),
)
NOMINAL_BINS = (("nominal_pan_deg", "nominal pan (deg)"), ("nominal_tilt_deg", "nominal tilt (deg)"))


def write_report(
    path: Path,
    results: Sequence[BagResult],
    bag_paths: Mapping[str, Path],
    job: Job,
    checks: Sequence[Check],
    failed: Mapping[str, str],
    about: About = (),
) -> None:
    """Write report.html of BagResults. bag_paths: dict name -> path, for the pictures of the worst frames; about: for
    the header."""
    labels = list(results[0].evaluated)
    many = len(results) > 1
    together = {label: s or {} for label, s in combined(results).items()} if many else results[0].summary["estimates"]
    values = {
        "subtitle": _subtitle(job, failed, len(results)),
        "about": about,
        "cards": cards(together),
        "labels": labels,
        "bags_total": len(results),
        "checks": [{"passed": c.passed, "text": c.text} for c in checks],
        "combined": marked_table(together) if many else None,
        "overview": _overview(results) if many else None,
        "bags": [_bag(result, bag_paths[result.name], job) for result in results[:MAX_BAGS]],
    }
    write_page(path, values)


def write_page(path: Path, values: Mapping[str, Any]) -> None:
    """Write the page with its data (dict) in it."""
    text = json.dumps(json_values(values, digits=DIGITS), separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )
    Path(path).write_text(PAGE.read_text("utf-8").replace("@DATA@", text), encoding="utf-8")


def page_of_images(
    tables: Mapping[str, Results],
    checks: Sequence[Check],
    worst: Sequence[Mapping[str, Any]] = (),
    about: About = (),
) -> dict[str, Any]:
    """Values for `write_page` of methods on single images. tables: dict title -> dict method -> result; worst: of the
    first table, as `worst_images` has them."""
    labels = list(dict.fromkeys(name for results in tables.values() for name in _measured(results)))
    return {
        "subtitle": "single images, each method on the same ones",
        "about": about,
        "cards": cards({name: r.summary for name, r in _measured(next(iter(tables.values()), {})).items()}),
        "labels": labels,
        "bags_total": len(tables),
        "checks": [{"passed": c.passed, "text": c.text} for c in checks],
        "combined": None,
        "overview": None,
        "bags": [_images(title, results, worst if i == 0 else ()) for i, (title, results) in enumerate(tables.items())],
    }


def _measured(results: Results) -> dict[str, ImageResult]:
    return {name: r for name, r in results.items() if not isinstance(r, Absent)}


def _images(title: str, results: Results, worst: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    measured = _measured(results)
    summaries = {name: r.summary for name, r in measured.items()}
    reasons = [
        [reason, *(s["detection"]["missed_by_reason"].get(reason, 0) for s in summaries.values())]
        for reason in dict.fromkeys(r for s in summaries.values() for r in s["detection"]["missed_by_reason"])
    ]
    shown = {"ground-truth heads": "ground_truth_heads", "matched": "matched", "missed": "missed"}
    counts = [[title, *(s["detection"][key] for s in summaries.values())] for title, key in shown.items()]
    return {
        "name": title,
        "labels": list(measured),
        "table": marked_table(summaries),
        "time_plots": [],
        "plots": _plots(measured, summaries),
        "worst": worst,
        "accounting": counts + reasons,
        "notices": [f"{name}: absent: {r.reason}" for name, r in results.items() if isinstance(r, Absent)],
    }


def _subtitle(job: Job, failed: Mapping[str, str], count: int) -> str:
    parts = [f"against {job.truth}" if job.truth else "without ground truth"]
    if job.options.apply_offset:
        parts.append("clock offset applied")
    if failed:
        parts.append(f"{len(failed)} bags could not be evaluated: {', '.join(failed)}")
    if count > MAX_BAGS:
        parts.append(f"the first {MAX_BAGS} of {count} bags in detail")
    return "; ".join(parts)


def _overview(results: Sequence[BagResult]) -> dict[str, Any] | None:
    """Header and a row per bag: recall and rotation error of every estimate."""
    labels = list(results[0].evaluated)
    paths = {"recall": "detection.recall", "deg": "rotation.geodesic_deg.mean", "mm": "translation.error_mm.mean"}
    header = ["", *(f"{label} {name}" for label in labels for name in paths)]
    rows = []
    for result in results:
        estimates = result.summary["estimates"]
        rows.append([result.name, *(cell(estimates[label], path) for label in labels for path in paths.values())])
    return {"header": header, "rows": rows} if any(any(row[1:]) for row in rows) else None


def _bag(result: BagResult, path: Path, job: Job) -> dict[str, Any]:
    estimates = result.summary["estimates"]
    start_ns = min(
        (int(one.rows["stamp_ns"][0]) for one in result.evaluated.values() if len(one.rows["stamp_ns"])), default=0
    )
    return {
        "name": result.name,
        "table": marked_table(estimates),
        "time_plots": time_plots(result, start_ns),
        "plots": _plots(result.evaluated, estimates),
        "worst": worst_of(result, path, job, start_ns),
        "accounting": _accounting(result.evaluated),
        "notices": _notices(result),
    }


def _plots(
    evaluated: Mapping[str, Evaluated] | Mapping[str, ImageResult], estimates: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Distribution, bins and covariance; only where there is something to show."""
    plots = []
    curves = []
    for label, one in evaluated.items():
        errors = one.rows.get("geodesic_deg", np.zeros(0))
        errors = np.sort(errors[np.isfinite(errors)])
        if len(errors):
            share = np.linspace(0, 1, 101)
            curves.append({"label": label, "kind": "line", "x": rounded(np.quantile(errors, share)), "y": 100 * share})
    if curves:
        title = "Cumulative error distribution"
        plots.append(
            {
                "title": title,
                "x": "geodesic error (deg)",
                "y": "% of found heads",
                "zero": True,
                "x_from_zero": True,
                "series": curves,
            }
        )
    for kinds, error, key in ((BINS, "Rotation error", "geodesic_deg"), (NOMINAL_BINS, "Residual", "residual_deg")):
        unit = "geodesic error (deg)" if key == "geodesic_deg" else "residual (nominal deg)"
        for name, axis in kinds:
            bins = {label: s["by"][name] for label, s in estimates.items() if s.get("by", {}).get(name)}
            if bins:
                plots.append(_bin_plot(f"{error} by {axis}", axis, unit, bins, key))
    if any(s.get("by") for s in estimates.values()):
        bins = {label: s["by"]["yaw_deg"] for label, s in estimates.items() if s.get("by", {}).get("yaw_deg")}
        if bins:
            plots.append(_bin_plot("Recall by true yaw", "true yaw (deg)", "recall", bins, "recall"))
    curves = []
    for label, s in estimates.items():
        coverage = ((s.get("uncertainty") or {}).get("rotation") or {}).get("coverage")
        if coverage:
            curves.append(
                {"label": label, "kind": "line points", "x": [float(k) for k in coverage], "y": [*coverage.values()]}
            )
    if curves:
        title = "Calibration of the rotation's covariance: under-confident above the diagonal"
        axes = {"x": "probability", "y": "share inside", "x_range": [0, 1], "y_range": [0, 1], "diagonal": True}
        plots.append({"title": title, **axes, "series": curves})
    return plots


def _bin_plot(
    title: str, axis: str, value_axis: str, bins: Mapping[str, list[dict[str, Any]]], key: str
) -> dict[str, Any]:
    """A point with its interval for every bin of every estimate."""
    edges = sorted({(b["from"], b["to"] is None, b["to"] or 0) for own in bins.values() for b in own})
    names = [f"{low:g}+" if open_ended else f"{low:g} to {high:g}" for low, open_ended, high in edges]
    series = []
    for label, own in bins.items():
        at = [edges.index((b["from"], b["to"] is None, b["to"] or 0)) for b in own]
        values = [b[key] if key == "recall" else b[key]["mean"] for b in own]
        intervals = [None if key == "recall" else b[key]["ci95"] for b in own]
        low, high = ([i[side] if i else None for i in intervals] for side in (0, 1))
        counts = [b["ground_truth_heads"] for b in own]
        series.append({"label": label, "kind": "bars", "x": at, "y": values, "low": low, "high": high, "count": counts})
    return {"title": title, "x": axis, "y": value_axis, "names": names, "zero": True, "series": series}


def _accounting(evaluated: Mapping[str, Evaluated]) -> list[list[str | int]]:
    reasons: dict[str, dict[str, int]] = {}
    for label, one in evaluated.items():
        status, counts = np.unique(one.rows["status"], return_counts=True)
        for name, count in zip(status.tolist(), counts.tolist(), strict=True):
            reasons.setdefault(f"rows: {name}", {})[label] = count
        detection = one.summary.get("detection", {})
        for name, count in (*detection.get("skipped", {}).items(), *one.summary["stream"]["losses"].items()):
            reasons.setdefault(name, {})[label] = count
    return [[name, *(counts.get(label, 0) for label in evaluated)] for name, counts in reasons.items()]


def _notices(result: BagResult) -> list[str]:
    truth = result.summary["ground_truth"] or {}
    texts = [f"ground truth: {text}" for text in truth.get("notices", ())]
    texts += [f"ground truth: {reason}: {count}" for reason, count in truth.get("losses", {}).items()]
    for label, one in result.evaluated.items():
        texts += [f"{label}: {text}" for text in one.summary["stream"]["notices"]]
    return texts
