"""report.html: one file with plots, tables and the worst frames; needs no network and no further file."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from hpe_core.evaluation.report.results import json_values
from hpe_core.evaluation.report.tables import ROWS, cell
from hpe_core.evaluation.report.thumbnails import thumbnails
from hpe_core.evaluation.streams.bag_evaluation import combined, worst_frames

PAGE = Path(__file__).with_name("page.html")
MAX_BAGS, MAX_POINTS, WORST = 30, 3000, 12
GAP_S = 1.0
NEAR_NS = 20_000_000  # a true pose so near in time is drawn beside the estimate
BINS = (("yaw_deg", "true yaw (deg)"), ("distance_m", "distance (m)"), ("face_size_px", "face size (px)"))


def write_report(path, results, bag_paths, job, checks, failed):
    """Write report.html of BagResults. bag_paths: dict name -> path, for the pictures of the worst frames."""
    labels = list(results[0].evaluated)
    many = len(results) > 1
    values = {
        "subtitle": _subtitle(job, failed, len(results)),
        "labels": labels,
        "bags_total": len(results),
        "checks": [{"passed": c.passed, "text": c.text} for c in checks],
        "combined": _table({label: s or {} for label, s in combined(results).items()}) if many else None,
        "overview": _overview(results) if many else None,
        "bags": [_bag(result, bag_paths[result.name], job) for result in results[:MAX_BAGS]],
    }
    write_page(path, values)


def write_page(path, values):
    """Write the page with its data (dict) in it."""
    text = json.dumps(json_values(values), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    Path(path).write_text(PAGE.read_text("utf-8").replace("@DATA@", text), encoding="utf-8")


def page_of_images(tables, checks):
    """Values for `write_page` of methods on single images. tables: dict title -> dict method -> ImageResult (others,
    which could not be measured, have no rows and are named)."""
    labels = list(
        dict.fromkeys(name for results in tables.values() for name, r in results.items() if hasattr(r, "rows"))
    )
    return {
        "subtitle": "single images, each method on the same ones",
        "labels": labels,
        "bags_total": len(tables),
        "checks": [{"passed": c.passed, "text": c.text} for c in checks],
        "combined": None,
        "overview": None,
        "bags": [_images(title, results, labels) for title, results in tables.items()],
    }


def _images(title, results, labels):
    measured = {name: r for name, r in results.items() if hasattr(r, "rows")}
    summaries = {name: r.summary for name, r in measured.items()}
    reasons = [
        [reason, *(s["detection"]["missed_by_reason"].get(reason, 0) for s in summaries.values())]
        for reason in dict.fromkeys(r for s in summaries.values() for r in s["detection"]["missed_by_reason"])
    ]
    counts = [
        [name, *(s["detection"][name] for s in summaries.values())] for name in ("true_heads", "matched", "missed")
    ]
    return {
        "name": title,
        "labels": list(measured),
        "table": _table(summaries),
        "time_plots": [],
        "plots": _plots(measured, summaries),
        "worst": [],
        "accounting": counts + reasons,
        "notices": [f"{name}: absent: {r.reason}" for name, r in results.items() if name not in measured],
    }


def _subtitle(job, failed, count):
    parts = [f"against {job.truth}" if job.truth else "without truth"]
    if job.options.apply_offset:
        parts.append("clock offset applied")
    if failed:
        parts.append(f"{len(failed)} bags could not be evaluated: {', '.join(failed)}")
    if count > MAX_BAGS:
        parts.append(f"the first {MAX_BAGS} of {count} bags in detail")
    return "; ".join(parts)


def _table(estimates):
    rows = [[name, *(cell(summary, path) for summary in estimates.values())] for name, path in ROWS]
    return [row for row in rows if any(row[1:])]


def _overview(results):
    """Header and a row per bag: recall and rotation error of every estimate."""
    labels = list(results[0].evaluated)
    paths = {"recall": "detection.recall", "deg": "rotation.geodesic_deg.mean", "mm": "translation.error_mm.mean"}
    header = ["", *(f"{label} {name}" for label in labels for name in paths)]
    rows = []
    for result in results:
        estimates = result.summary["estimates"]
        rows.append([result.name, *(cell(estimates[label], path) for label in labels for path in paths.values())])
    return {"header": header, "rows": rows} if any(any(row[1:]) for row in rows) else None


def _bag(result, path, job):
    estimates = result.summary["estimates"]
    start_ns = min(
        (int(one.rows["stamp_ns"][0]) for one in result.evaluated.values() if len(one.rows["stamp_ns"])), default=0
    )
    return {
        "name": result.name,
        "table": _table(estimates),
        "time_plots": _time_plots(result, start_ns),
        "plots": _plots(result.evaluated, estimates),
        "worst": _worst(result, path, job, start_ns),
        "accounting": _accounting(result.evaluated),
        "notices": _notices(result),
    }


def _time_plots(result, start_ns):
    with_truth = result.truth is not None
    kinds = [("Yaw", "yaw (deg)", "yaw_deg"), ("Distance", "distance (m)", "distance_m")]
    if with_truth:
        kinds = [
            ("Rotation error", "geodesic error (deg)", "geodesic_deg"),
            ("Position error", "position error (mm)", "translation_error_mm"),
        ]
    plots = []
    for title, axis, column in kinds:
        series = [_over_time(label, one.rows, column, start_ns) for label, one in result.evaluated.items()]
        plots.append({"title": title, "x": "time (s)", "y": axis, "zero": with_truth, "series": series})
    if with_truth:
        series = [_yaw_over_time(label, one.rows, start_ns) for label, one in result.evaluated.items()]
        true = _over_time(
            "truth", next(iter(result.evaluated.values())).rows, "yaw_deg", start_ns, ("matched", "missed")
        )
        series.insert(0, true | {"colour": "#8a929c", "name": "truth"})
        plots.append({"title": "Yaw: truth (grey) and estimates", "x": "time (s)", "y": "yaw (deg)", "series": series})
    return plots


def _over_time(label, rows, column, start_ns, statuses=("matched", "estimate")):
    use = np.isin(rows["status"], statuses)
    return {"label": label, "kind": "line"} | _thinned((rows["stamp_ns"][use] - start_ns) * 1e-9, rows[column][use])


def _yaw_over_time(label, rows, start_ns):
    use = rows["status"] == "matched"
    yaw = rows["yaw_deg"][use] + rows["yaw_error_deg"][use]
    return {"label": label, "kind": "line"} | _thinned((rows["stamp_ns"][use] - start_ns) * 1e-9, yaw)


def _thinned(x, y):
    """Points of a line: of long series the least and greatest of every bucket; broken (null) at gaps."""
    if len(x) > MAX_POINTS:
        edges = np.linspace(0, len(x), MAX_POINTS // 2 + 1).astype(int)
        keep = sorted({int(a + pick(y[a:b])) for a, b in pairwise(edges) for pick in (np.argmin, np.argmax)})
        gap_s = max(GAP_S, 3 * float(x[-1] - x[0]) / MAX_POINTS)
        x, y = x[keep], y[keep]
    else:
        gap_s = GAP_S
    gaps = np.flatnonzero(np.diff(x) > gap_s) + 1
    return {"x": np.round(np.insert(x, gaps, x[gaps]), 3), "y": np.insert(_rounded(y), gaps, np.nan)}


def _rounded(values):
    return np.array([float(f"{v:.4g}") for v in values])


def _plots(evaluated, estimates):
    """Distribution, bins and covariance; only where there is something to show."""
    plots = []
    curves = []
    for label, one in evaluated.items():
        errors = np.sort(one.rows["geodesic_deg"][np.isfinite(one.rows["geodesic_deg"])])
        if len(errors):
            share = np.linspace(0, 1, 101)
            curves.append({"label": label, "kind": "line", "x": _rounded(np.quantile(errors, share)), "y": 100 * share})
    if curves:
        title = "How many poses are better than an error"
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
    for name, axis in BINS:
        bins = {label: s["by"][name] for label, s in estimates.items() if s.get("by", {}).get(name)}
        if bins:
            plots.append(_bin_plot(f"Rotation error by {axis}", axis, "geodesic error (deg)", bins, "geodesic_deg"))
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
        title = "Covariance of the rotation: above the diagonal it is too large"
        axes = {"x": "probability", "y": "share inside", "x_range": [0, 1], "y_range": [0, 1], "diagonal": True}
        plots.append({"title": title, **axes, "series": curves})
    return plots


def _bin_plot(title, axis, value_axis, bins, key):
    """A point with its interval for every bin of every estimate."""
    edges = sorted({(b["from"], b["to"] is None, b["to"] or 0) for own in bins.values() for b in own})
    names = [f"{low:g}+" if open_ended else f"{low:g} to {high:g}" for low, open_ended, high in edges]
    series = []
    for label, own in bins.items():
        at = [edges.index((b["from"], b["to"] is None, b["to"] or 0)) for b in own]
        values = [b[key] if key == "recall" else b[key]["mean"] for b in own]
        intervals = [None if key == "recall" else b[key]["ci95"] for b in own]
        low, high = ([i[side] if i else None for i in intervals] for side in (0, 1))
        counts = [b["true_heads"] for b in own]
        series.append({"label": label, "kind": "bars", "x": at, "y": values, "low": low, "high": high, "count": counts})
    return {"title": title, "x": axis, "y": value_axis, "names": names, "zero": True, "series": series}


def _worst(result, path, job, start_ns):
    found, wanted = [], {}
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


def _worst_text(row):
    if row["status"] != "matched":
        return f"{row['status']}, {row['distance_m']:.2f} m"
    return f"{row['geodesic_deg']:.1f} deg, {row['translation_error_mm']:.0f} mm, yaw {row['yaw_deg']:.0f}"


def _poses_at(result, label, stamp_ns):
    """Poses of the estimate at this stamp, and the true ones of the nearest stamp (marked True)."""
    poses = []
    for series, is_truth in ((result.estimates[label], False), (result.truth, True)):
        if series is not None and len(series):
            distance = np.abs(series.stamp_ns - stamp_ns)
            nearest = np.flatnonzero(distance == distance.min()) if is_truth else np.flatnonzero(distance == 0)
            poses += [((series.R[i], series.t_m[i]), is_truth) for i in nearest if distance[i] <= NEAR_NS]
    return poses


def _accounting(evaluated):
    reasons = {}
    for label, one in evaluated.items():
        status, counts = np.unique(one.rows["status"], return_counts=True)
        for name, count in zip(status.tolist(), counts.tolist(), strict=True):
            reasons.setdefault(f"rows: {name}", {})[label] = count
        detection = one.summary.get("detection", {})
        for name, count in (*detection.get("skipped", {}).items(), *one.summary["stream"]["losses"].items()):
            reasons.setdefault(name, {})[label] = count
    return [[name, *(counts.get(label, 0) for label in evaluated)] for name, counts in reasons.items()]


def _notices(result):
    truth = result.summary["truth"] or {}
    texts = [f"truth: {text}" for text in truth.get("notices", ())]
    texts += [f"truth: {reason}: {count}" for reason, count in truth.get("losses", {}).items()]
    for label, one in result.evaluated.items():
        texts += [f"{label}: {text}" for text in one.summary["stream"]["notices"]]
    return texts
