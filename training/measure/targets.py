"""The project's accuracy targets against what was measured: targets.md, made by the machine, whichever side it falls.

A target that could not be measured says so; it is not met.
"""

from dataclasses import dataclass

import numpy as np

from hpe_core.evaluation.errors.bootstrap import interval
from hpe_core.evaluation.images.evaluate import Absent
from hpe_core.evaluation.report.tables import markdown
from training.measure.baselines import LANDMARKS

MAE_DEG, SHARE_OF_BEST_BASELINE = 3.4, 0.9
RENDERED_YAW_DEG, RENDERED_GEODESIC_DEG = 60.0, 2.5
DISTANCE_M, DEPTH_PERCENT, LATERAL_MM = (0.4, 2.0), 3.0, 10.0
OFF_AXIS_GROWTH_DEG = 0.5
SMALL_FOUND, SMALL_GEODESIC_DEG = 0.8, 10.0
COVERAGE = (0.90, 0.98)
JITTER_SHARE = 0.5
SLOPE = (0.97, 1.03)
WEIGHTS_MB, COST_MS = 8.0, 8.0


@dataclass(frozen=True)
class Got:
    """What was reached, in words, and whether that is the target; None: not measured."""

    text: str
    met: bool | None


# of rows: a set has either Euler errors or residuals to nominal directions
ANGLE_COLUMNS = (
    *("yaw_error_deg", "pitch_error_deg", "roll_error_deg"),
    *("pan_residual_deg", "tilt_residual_deg"),
)
NOT_MEASURED = Got("not measured", None)


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Everything that was measured. Each name -> ImageResult or Absent of the same methods.

    dev: the labelled photographs without the one near gimbal lock, dev_all: with it; rendered: exact poses; pointing:
    nominal directions; conditions: set -> condition -> results; video, cost: of training.measure.video and
    training.measure.cost; ours: names of our methods, the others are baselines. What was not measured is empty.
    """

    ours: tuple
    dev_all: dict
    dev: dict
    rendered: dict
    pointing: dict
    conditions: dict
    video: dict
    cost: dict


def targets(m):
    """List of (what, target, dict our method -> Got)."""
    low, high = DISTANCE_M
    rows = [
        ("found faces, aflw2000_dev16", "all", lambda n: found_all(m.dev_all.get(n))),
        (
            "Euler MAE, aflw2000_dev16 without image02773, own detection",
            f"at most {MAE_DEG} deg",
            lambda n: euler_mae(m.dev.get(n)),
        ),
        (
            "the same against the best baseline of this run, crops from ground-truth landmarks",
            f"at most {SHARE_OF_BEST_BASELINE} x",
            lambda n: against_baselines(m.dev, n, m.ours, (LANDMARKS,)),
        ),
        (
            "the same against the best baseline of this run, any source of faces",
            f"at most {SHARE_OF_BEST_BASELINE} x",
            lambda n: against_baselines(m.dev, n, m.ours),
        ),
        (
            f"geodesic, rendered unseen people, |yaw| < {RENDERED_YAW_DEG:g}",
            f"median at most {RENDERED_GEODESIC_DEG} deg",
            lambda n: rendered_rotation(m.rendered.get(n)),
        ),
        (
            f"depth, rendered unseen people, true K, {low} to {high:g} m",
            f"median at most {DEPTH_PERCENT:g} %",
            lambda n: rendered_position(m.rendered.get(n))[0],
        ),
        ("the same, lateral", f"median at most {LATERAL_MM:g} mm", lambda n: rendered_position(m.rendered.get(n))[1]),
    ]
    for name, by_condition in m.conditions.items():
        rows.append(
            (
                f"30 deg off axis against on axis, {name}",
                f"geodesic grows by less than {OFF_AXIS_GROWTH_DEG} deg",
                lambda n, by=by_condition: growth(by.get("0 deg off axis", {}), by.get("30 deg off axis", {}), n),
            )
        )
        for condition in [c for c in by_condition if c.startswith("20 px")]:
            rows.append(
                (
                    f"{condition}, {name}",
                    f"found {100 * SMALL_FOUND:.0f} %, median at most {SMALL_GEODESIC_DEG:g} deg",
                    lambda n, results=by_condition[condition]: small_faces(results.get(n)),
                )
            )
    for name, results in (("aflw2000_dev16 without image02773", m.dev), ("rendered unseen people", m.rendered)):
        for part in ("rotation", "translation") if results is m.rendered else ("rotation",):
            rows.append(
                (
                    f"95 % coverage of the covariance, {part}, {name}",
                    f"{100 * COVERAGE[0]:.0f} to {100 * COVERAGE[1]:.0f} %",
                    lambda n, r=results, p=part: coverage(r.get(n), p),
                )
            )
    for axis, most in (("tilt", 50), ("pan", 85)):
        rows.append(
            (
                f"slope of estimated on true {axis}, rendered unseen people, within {most} deg",
                f"{SLOPE[0]:g} to {SLOPE[1]:g}",
                lambda n, a=axis: slope(m.rendered.get(n), a),
            )
        )
    rows += [
        (
            "residual to nominal directions, pointing04 persons 9 and 10, misses penalised",
            f"at most {SHARE_OF_BEST_BASELINE:g} x the best baseline",
            lambda n: against_baselines(m.pointing, n, m.ours, of=_residual),
        ),
        (
            "static jitter, head-move video, at equal lag",
            f"at most {JITTER_SHARE:g} x the best baseline",
            lambda n: static_jitter(m.video, n, m.ours),
        ),
        ("all weights together", f"at most {WEIGHTS_MB:g} MB", lambda n: weights(m.cost, n)),
        ("one face on one core", f"at most {COST_MS:g} ms", lambda n: cost(m.cost, n)),
    ]
    return [(what, target, {name: got(name) for name in m.ours}) for what, target, got in rows]


def table(rows, ours):
    """targets.md as text."""
    words = {True: "yes", False: "**no**", None: "not measured"}
    header = ["what", "target", *(text for name in ours for text in (name, "met"))]
    body = []
    for what, target, got in rows:
        cells = [text for name in ours for text in (got[name].text, words[got[name].met])]
        body.append([what, target, *cells])
    return markdown(header, body)


def _measured(result):
    return result is not None and not isinstance(result, Absent)


def found_all(result):
    """Every labelled face found."""
    if not _measured(result):
        return NOT_MEASURED
    counts = result.summary["detection"]
    return Got(f"{counts['matched']} of {counts['ground_truth_heads']}", counts["missed"] == 0)


def _mae(result):
    return result.summary["rotation"]["euler_mae_deg"]["mean_failures_as_mean_pose"]


def euler_mae(result):
    """Euler MAE, missed faces counted as the mean pose."""
    if not _measured(result):
        return NOT_MEASURED
    value = _mae(result)
    return Got(f"{value:.2f} deg{_between(result.summary['rotation']['euler_mae_deg']['ci95'])}", value <= MAE_DEG)


def _residual(result):
    return result.summary["facing"]["residual_deg"]["mean_failures_as_mean_pose"]


def against_baselines(results, name, ours, sources=None, of=_mae):
    """Ratio of our error, `of` a result, to that of the best baseline with faces from one of `sources` (None: any),
    missed faces counted as the mean pose by both. The interval is over the images that both found."""
    baselines = {n: r for n, r in results.items() if n not in ours and _measured(r)}
    if sources:
        baselines = {n: r for n, r in baselines.items() if r.summary["faces_from"] in sources}
    if not baselines or not _measured(results.get(name)):
        return NOT_MEASURED
    best = min(baselines, key=lambda n: of(baselines[n]))
    ratio = of(results[name]) / of(baselines[best])
    errors = [_mean_error(r) for r in (results[name], baselines[best])]
    both = np.isfinite(errors[0]) & np.isfinite(errors[1])
    between = interval(lambda a, b, axis: a.mean(axis) / b.mean(axis), errors[0][both], errors[1][both])
    return Got(
        f"{ratio:.2f} x {best} ({of(baselines[best]):.2f} deg){_between(between)}", ratio <= SHARE_OF_BEST_BASELINE
    )


def _mean_error(result):
    """Mean absolute error (F,) of the angles of every labelled face, NaN where it was missed."""
    columns = [result.rows[c] for c in ANGLE_COLUMNS if c in result.rows]
    return np.abs(np.stack(columns, -1)).mean(-1)


def slope(result, axis):
    """Slope of the estimated on the true angle."""
    found = None if not _measured(result) else (result.summary["rotation"]["slope"] or {}).get(axis)
    if found is None:
        return NOT_MEASURED
    value = found["slope"]
    return Got(f"{value:.3f}{_between(found['ci95'])}, {found['poses']} heads", SLOPE[0] <= value <= SLOPE[1])


def rendered_rotation(result):
    """Median geodesic error of the found faces that are not turned far."""
    if not _measured(result):
        return NOT_MEASURED
    chosen = np.abs(result.rows["yaw_deg"]) < RENDERED_YAW_DEG
    return _median(result.rows["geodesic_deg"], chosen, "deg", RENDERED_GEODESIC_DEG)


def rendered_position(result):
    """Median depth error in per cent and lateral error in mm of the found faces within the distances."""
    if not _measured(result):
        return NOT_MEASURED, NOT_MEASURED
    rows = result.rows
    chosen = (rows["distance_m"] >= DISTANCE_M[0]) & (rows["distance_m"] <= DISTANCE_M[1])
    percent = 0.1 * np.abs(rows["depth_error_mm"]) / rows["distance_m"]
    return (
        _median(percent, chosen, "%", DEPTH_PERCENT),
        _median(rows["lateral_error_mm"], chosen, "mm", LATERAL_MM),
    )


def _median(values, chosen, unit, limit):
    found = values[chosen & np.isfinite(values)]
    if len(found) == 0:
        return NOT_MEASURED
    value, between = float(np.median(found)), interval(np.median, found)
    return Got(f"{value:.2f} {unit}{_between(between)}, {len(found)} of {int(chosen.sum())} found", value <= limit)


def growth(before, after, name):
    """How much the mean geodesic error of the faces found in both grows."""
    if not _measured(before.get(name)) or not _measured(after.get(name)):
        return NOT_MEASURED
    difference = after[name].rows["geodesic_deg"] - before[name].rows["geodesic_deg"]
    both = difference[np.isfinite(difference)]
    if len(both) == 0:
        return NOT_MEASURED
    counts = after[name].summary["detection"]
    found = f"{counts['matched']} of {counts['ground_truth_heads']} found"
    text = f"{both.mean():+.2f} deg{_between(interval(np.mean, both))}, {found}"
    return Got(text, bool(both.mean() < OFF_AXIS_GROWTH_DEG))


def small_faces(result):
    """Share of found faces and the median geodesic error of those."""
    if not _measured(result):
        return NOT_MEASURED
    recall, median = result.summary["detection"]["recall"], result.summary["rotation"]["geodesic_deg"]["median"]
    met = recall >= SMALL_FOUND and median is not None and median <= SMALL_GEODESIC_DEG
    return Got(f"found {100 * recall:.0f} %" + ("" if median is None else f", {median:.1f} deg"), met)


def coverage(result, part):
    """Share of true poses inside the 95 % ellipsoid of the published covariance."""
    if not _measured(result) or part not in (result.summary["uncertainty"] or {}):
        return NOT_MEASURED
    found = result.summary["uncertainty"][part]
    share = found["coverage"]["0.95"]
    text = f"{100 * share:.1f} % of {found['count']}, NEES {found['nees_over_dof']:.2f}"
    return Got(text, COVERAGE[0] <= share <= COVERAGE[1])


def static_jitter(video, name, ours):
    """Jitter of the published poses against the best baseline behind a low-pass filter of the same lag."""
    methods = video.get("methods", {})
    mine = methods.get(name, {}).get("jitter_deg_per_axis")
    key = "jitter_at_shared_lag_deg_per_axis"
    baselines = {n: m[key] for n, m in methods.items() if n.partition(",")[0] not in ours and m.get(key) is not None}
    if mine is None or not baselines:
        return NOT_MEASURED
    best = min(baselines, key=baselines.get)
    ratio, lag = mine / baselines[best], methods[name]["lag_s"]
    late = "lag unknown" if lag is None else f"lag {1e3 * lag:.0f} ms"
    return Got(f"{mine:.3f} deg, {ratio:.2f} x {best} ({baselines[best]:.3f} deg), {late}", ratio <= JITTER_SHARE)


def weights(cost, name):
    """Size of the model files that a method loads."""
    size = cost.get("weights_mb", {}).get(name)
    return NOT_MEASURED if size is None else Got(f"{size:.2f} MB", size <= WEIGHTS_MB)


def cost(cost, name):
    """Median processor time for a frame with one face, and the ratio to the fastest baseline."""
    found, fastest = cost.get("cpu_ms", {}).get(name), cost.get("fastest_baseline_cpu_ms")
    if found is None:
        return NOT_MEASURED
    ratio = "" if fastest is None else f", {found / fastest:.2f} x the fastest baseline"
    return Got(f"{found:.2f} ms{ratio}", found <= COST_MS)


def _between(ends):
    return "" if ends is None else f" ({ends[0]:.2f} to {ends[1]:.2f})"
