"""Tables of the results on bags, images and data sets: the same on the terminal, in Markdown and in the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpe_core.evaluation.errors.metrics import METRICS
from hpe_core.evaluation.images.evaluate import Absent
from hpe_core.evaluation.images.scores import ImageResult

Results = Mapping[str, ImageResult | Absent]  # name of a method -> what it came to
Table = tuple[list[str], list[list[str]]]  # header, rows


def _of_metrics(part: str) -> tuple[tuple[str, str], ...]:
    """Title and path of the metrics that have a row and a column of their own."""
    return tuple((m.title, f"{part}.{m.name}.mean") for m in METRICS if m.part == part and m.title)


# title, path below an estimate's summary: a row for each, a column for each estimate
ROWS = (
    ("ground-truth heads", "detection.ground_truth_heads"),
    ("found (recall)", "detection.recall"),
    ("false positives", "detection.false_positives"),
    ("id switches", "detection.id_switches"),
    ("geodesic error, mean (deg)", "rotation.geodesic_deg.mean"),
    ("  95 % CI of the mean", "rotation.geodesic_deg.ci95"),
    ("  median", "rotation.geodesic_deg.median"),
    ("  95th percentile (p95)", "rotation.geodesic_deg.p95"),
    ("  mean, misses penalised", "rotation.geodesic_deg.mean_failures_as_mean_pose"),
    ("  held-out part, before frame alignment", "frame_alignment.before.geodesic_deg.mean"),
    ("  held-out part, after frame alignment", "frame_alignment.after.geodesic_deg.mean"),
    ("  held-out part, before frame alignment", "aligned.before_geodesic_deg.mean"),
    ("  held-out part, after frame alignment", "aligned.after_geodesic_deg.mean"),
    ("  after alignment on other images", "aligned.rotation.geodesic_deg.mean"),
    ("Euler MAE (deg)", "rotation.euler_mae_deg.mean"),
    ("  yaw", "rotation.euler_mae_deg.yaw"),
    ("  pitch", "rotation.euler_mae_deg.pitch"),
    ("  roll", "rotation.euler_mae_deg.roll"),
    ("  mean, misses penalised", "rotation.euler_mae_deg.mean_failures_as_mean_pose"),
    ("  after alignment on other images", "aligned.rotation.euler_mae_deg.mean"),
    ("slope of estimated on true pan", "rotation.slope.pan.slope"),
    ("  tilt", "rotation.slope.tilt.slope"),
    ("  roll", "rotation.slope.roll.slope"),
    ("residual to nominal labels, mean (deg)", "facing.residual_deg.mean"),
    ("  95 % CI of the mean", "facing.residual_deg.ci95"),
    ("  pan", "facing.residual_deg.pan"),
    ("  tilt", "facing.residual_deg.tilt"),
    ("  mean, misses penalised", "facing.residual_deg.mean_failures_as_mean_pose"),
    ("slope of estimated on nominal pan", "facing.slope.pan"),
    ("  tilt", "facing.slope.tilt"),
    ("rank correlation of pan", "facing.rank_correlation.pan"),
    ("  tilt", "facing.rank_correlation.tilt"),
    *_of_metrics("rotation"),
    ("position error, mean (mm)", "translation.error_mm.mean"),
    ("  depth (% of distance)", "translation.depth_percent.mean"),
    ("ADD, mean (mm)", "translation.add_mm.mean"),
    *_of_metrics("translation"),
    ("time offset to ground truth (s)", "time.offset_s"),
    ("jitter (deg per axis)", "stability.jitter.rotation_deg_per_axis"),
    ("frames with a face", "coverage"),
    ("heads (tracks)", "tracks.count"),
    ("jumps beyond 60 deg", "stability.jumps"),
    ("static jitter (deg per axis)", "stability.static_jitter.rotation_deg_per_axis"),
    ("  share of time at rest", "stability.static_jitter.share"),
    ("second difference, mean (deg)", "stability.second_difference_deg.mean"),
    ("rotation NEES / dof", "uncertainty.rotation.nees_over_dof"),
    ("rotation wrong beyond three std (share)", "uncertainty.rotation.beyond_3_std"),
    ("looking at the camera, F1", "looking_at.camera.f1"),
    ("latency, median (ms)", "latency_ms.median"),
    ("rate (Hz)", "stream.rate_hz"),
    ("dropped messages", "stream.dropped"),
    ("flip consistency (deg)", "flip_consistency.geodesic_deg.mean"),
)
# title, path below a method's summary: a column for each, a row for each method
COLUMNS = (
    ("found", "detection.recall"),
    ("false/img", "detection.false_positives_per_image"),
    ("yaw", "rotation.euler_mae_deg.yaw"),
    ("pitch", "rotation.euler_mae_deg.pitch"),
    ("roll", "rotation.euler_mae_deg.roll"),
    ("MAE", "rotation.euler_mae_deg.mean"),
    ("95 % CI", "rotation.euler_mae_deg.ci95"),
    ("bias y/p/r", "rotation.euler_bias_deg"),
    ("MAE, misses penalised", "rotation.euler_mae_deg.mean_failures_as_mean_pose"),
    ("MAE aligned", "aligned.rotation.euler_mae_deg.mean"),
    *_of_metrics("rotation"),
    ("geo median", "rotation.geodesic_deg.median"),
    ("95 % CI", "rotation.geodesic_deg.median_ci95"),
    ("mean", "rotation.geodesic_deg.mean"),
    ("p95", "rotation.geodesic_deg.p95"),
    ("mean aligned", "aligned.rotation.geodesic_deg.mean"),
    ("slope pan", "rotation.slope.pan.slope"),
    ("tilt", "rotation.slope.tilt.slope"),
    ("roll", "rotation.slope.roll.slope"),
    ("residual", "facing.residual_deg.mean"),
    ("95 % CI", "facing.residual_deg.ci95"),
    ("pan", "facing.residual_deg.pan"),
    ("tilt", "facing.residual_deg.tilt"),
    ("residual, misses penalised", "facing.residual_deg.mean_failures_as_mean_pose"),
    ("slope on nominal pan", "facing.slope.pan"),
    ("tilt", "facing.slope.tilt"),
    ("rank correlation of pan", "facing.rank_correlation.pan"),
    ("tilt", "facing.rank_correlation.tilt"),
    ("depth %", "translation.depth_percent.median"),
    ("lateral mm", "translation.lateral_mm.median"),
    *_of_metrics("translation"),
    ("NEES", "uncertainty.rotation.nees_over_dof"),
    ("in 68 %", "uncertainty.rotation.coverage.0.6827"),
    ("in 95 %", "uncertainty.rotation.coverage.0.95"),
    ("beyond 3 std", "uncertainty.rotation.beyond_3_std"),
    ("t NEES", "uncertainty.translation.nees_over_dof"),
    ("t in 95 %", "uncertainty.translation.coverage.0.95"),
)


def estimate_table(estimates: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Rows of text: title, and a cell for each estimate (dict label -> summary); without those that nobody fills."""
    return [[title, *cells] for title, _, cells in table_rows(estimates)]


def table_rows(estimates: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """Title, path and cells of the rows of `estimate_table`."""
    rows = [(title, path, [cell(summary, path) for summary in estimates.values()]) for title, path in ROWS]
    return [row for row in rows if any(row[2])]


def number_at(summary: Mapping[str, Any], path: str) -> Any:
    """What lies at a dotted path, None where it was not measured."""
    return _number(summary, path.split("."))


def cell(summary: Mapping[str, Any], path: str) -> str:
    """The number at a dotted path as text; empty when it was not measured."""
    value = number_at(summary, path)
    if value is None:
        return ""
    if isinstance(value, list):
        return " to ".join(f"{v:.2f}" for v in value)
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def method_table(results: Results) -> Table:
    """Header and rows of text, a row for each method, without the columns that nobody fills."""
    measured = _measured(results)
    shown = [column for column in COLUMNS if any(_short_cell(s, column[1]) for s in measured.values())]
    rows = []
    for name, result in results.items():
        if isinstance(result, Absent):
            rows.append([short(name, result.faces_from), f"absent: {result.reason}", *[""] * len(shown)])
            continue
        cells = [_short_cell(result.summary, path) for _, path in shown]
        counts = result.summary["detection"]
        cells[0] = f"{counts['matched']}/{counts['ground_truth_heads']}"
        rows.append([short(name, result.summary["faces_from"]), result.summary["faces_from"], *cells])
    return ["method", "faces from", *(header for header, _ in shown)], rows


def _measured(results: Results) -> dict[str, dict[str, Any]]:
    return {name: r.summary for name, r in results.items() if not isinstance(r, Absent)}


def short(name: str, faces_from: str) -> str:
    """A method's name without the source of its faces, which has a column of its own."""
    return name.removesuffix(f", {faces_from}")


# what bins are of, path below a method's summary, name of the error in them and of it in the table's first cell
BIN_TABLES = (
    ("|yaw|", "abs_yaw_deg", "geodesic_deg", "geodesic mean (faces)"),
    ("tilt", "tilt_deg", "geodesic_deg", "geodesic mean (faces)"),
    ("nominal pan", "nominal_pan_deg", "residual_deg", "residual (faces)"),
    ("nominal tilt", "nominal_tilt_deg", "residual_deg", "residual (faces)"),
)


def bin_tables(results: Results) -> dict[str, Table]:
    """dict what the bins are of -> header and rows of the mean error in each, before and after frame alignment where
    there was one; without the tables that would be empty."""
    measured = _measured(results)
    tables = {what: _bin_table(measured, what, key, error, corner) for what, key, error, corner in BIN_TABLES}
    return {what: (header, rows) for what, (header, rows) in tables.items() if rows}


def _bin_table(measured: Mapping[str, dict[str, Any]], what: str, key: str, error: str, corner: str) -> Table:
    edges = sorted({(b["from"], b["to"]) for s in measured.values() for b in s["by"].get(key, ())})
    rows = []
    for name, summary in measured.items():
        for label, by in (("", summary["by"]), (" aligned", (summary.get("aligned") or {}).get("by"))):
            bins = {(b["from"], b["to"]): b for b in (by or {}).get(key, ())}
            if bins:
                cells = [_bin_cell(bins.get(edge), error) for edge in edges]
                rows.append([short(name, summary["faces_from"]) + label, summary["faces_from"], *cells])
    return [corner, "faces from", *(f"{what} {low:.4g} to {high:.4g}" for low, high in edges)], rows


def _bin_cell(part: Mapping[str, Any] | None, error: str) -> str:
    if part is None:
        return ""
    mean = part[error]["mean"]
    missed = round(part["ground_truth_heads"] * (1.0 - part["recall"]))
    text = "" if mean is None else f"{mean:.2f} "
    return f"{text}({part['ground_truth_heads']}{f', {missed} missed' if missed else ''})"


def _short_cell(summary: Mapping[str, Any], path: str) -> str:
    """The number at a dotted path as text, empty when it was not measured; two digits, shares in per cent."""
    head, _, level = path.partition(".coverage.")  # a level has a point of its own
    value = _number(summary, [*head.split("."), *(("coverage", level) if level else ())])
    if value is None:
        return ""
    if isinstance(value, list):
        return "-".join(f"{v:.2f}" for v in value) if len(value) == 2 else "/".join(f"{v:+.1f}" for v in value)
    return f"{100 * value:.0f} %" if level or path.endswith("_std") else f"{value:.2f}"


def _number(summary: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """What lies below these keys, None where one is missing."""
    value: Any = summary
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]]) + "\n"
