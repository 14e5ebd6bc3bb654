"""Whole bags: all estimates of one bag, a folder of bags, in this process or in others."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import hpe_core
from hpe_core.errors import HpeError
from hpe_core.evaluation.report.results import SCHEMA_VERSION
from hpe_core.evaluation.streams import evaluate as one
from hpe_core.evaluation.streams.readers import bag_camera, image_stamps, in_frame, parse_spec, read_series
from hpe_core.io.bags import Bag


@dataclass(frozen=True)
class Job:
    """What to evaluate in each bag: estimates and truth as the user wrote them, frames of the head they are of, and
    what the estimate `run` needs. Plain values, so that it travels to other processes."""

    estimates: tuple
    truth: str | None = None
    estimate_frame: str = "face"
    truth_frame: str = "face"
    ignore_frame_ids: bool = False
    topic: str | None = None
    config: object = None
    camera: object = None
    hfov_deg: float | None = None
    flip: bool = False
    options: one.Options = field(default_factory=one.Options)

    def __post_init__(self):
        labels = [parse_spec(text).label for text in self.estimates]
        double = sorted({label for label in labels if labels.count(label) > 1})
        if double:
            raise HpeError(f"two estimates are named {double[0]}: give them names, as in a=/head_pose")
        if not labels:
            raise HpeError("nothing to evaluate: give --estimate TOPIC, tf:PARENT/CHILD, FILE.csv or run")


@dataclass(frozen=True, eq=False)
class BagResult:
    """summary: this bag's part of results.json; evaluated: label -> Evaluated; estimates: label -> PoseSeries; truth:
    PoseSeries or None."""

    name: str
    summary: dict
    evaluated: dict
    estimates: dict
    truth: object


def bag_name(path):
    """A bag's name without its place on this machine."""
    full = Path(path).resolve()
    return full.name if full.is_dir() else full.stem


def evaluate_bag(path, job, progress=None):
    """BagResult of one bag. Raises HpeError when the bag or one of the sources cannot be read."""
    if not Path(path).exists():
        raise HpeError(f"{path} does not exist")
    bag = Bag(path)
    try:
        counts = dict(bag.counts)
    finally:
        bag.close()
    camera, image_ns = job.camera or bag_camera(path, job.topic), image_stamps(path, job.topic)
    truth = None
    if job.truth:
        spec = parse_spec(job.truth)
        if spec.kind == "run":
            raise HpeError("the truth cannot be 'run': that is an estimate")
        truth = read_series(path, spec, job.truth_frame)
        if len(truth.message_stamp_ns) == 0:
            raise HpeError(f"the truth {job.truth} has no message that can be read")
    evaluated, estimates = {}, {}
    for text in job.estimates:
        spec = parse_spec(text)
        series, flips = _estimate(path, spec, job, progress)
        own_truth = truth
        if truth is not None:
            own_truth = in_frame(truth, series.frame_id, path, f"the truth {job.truth}", job.ignore_frame_ids)
        result = one.evaluate(series, own_truth, image_ns, camera, job.options)
        result.summary["source"] = {"kind": spec.kind, "name": spec.name}
        if flips is not None:
            result.summary["flip_consistency"] = flips
        evaluated[spec.label], estimates[spec.label] = result, series
    summary = {
        "bag": {"name": bag_name(path), "messages": counts, "images": len(image_ns)},
        "camera": _camera(camera),
        "truth": None if truth is None else _truth(truth, job),
        "estimates": {label: result.summary for label, result in evaluated.items()},
    }
    return BagResult(bag_name(path), summary, evaluated, estimates, truth)


def _estimate(path, spec, job, progress):
    if spec.kind != "run":
        return read_series(path, spec, job.estimate_frame), None
    from hpe_core.evaluation.streams.run_model import run_model

    camera = (job.camera, job.hfov_deg)
    return run_model(path, spec.what, job.topic, job.config, *camera, flip=job.flip, progress=progress)


def _truth(truth, job):
    return {
        "name": parse_spec(job.truth).name,
        "poses": len(truth),
        "messages": len(truth.message_stamp_ns),
        "frame_id": truth.frame_id,
        "losses": dict(truth.losses),
        "notices": list(truth.notices),
    }


def _camera(camera):
    if camera is None:
        return None
    return {"width": camera.width, "height": camera.height, "K": camera.K.ravel().tolist(), "D": camera.D.tolist()}


def results_of(bag_results, job, checks):
    """The content of results.json for one bag or several."""
    options = job.options
    values = {
        "schema": "hpe-evaluation",
        "schema_version": SCHEMA_VERSION,
        "hpe_version": hpe_core.__version__,
        "settings": {
            "gate_m": options.match.gate_m,
            "max_truth_gap_s": options.match.max_truth_gap_s,
            "tolerance_s": options.match.tolerance_s,
            "calibration_part": options.calibration_part,
            "apply_offset": options.apply_offset,
            "max_offset_s": options.max_offset_s,
            "looking_deg": options.looking_deg,
            "targets": {name: list(point) for name, point in options.targets},
            "estimate_frame": job.estimate_frame,
            "truth_frame": job.truth_frame,
        },
        "thresholds": [
            {
                "estimate": c.estimate,
                "metric": c.metric,
                "bound": c.bound,
                "limit": c.limit,
                "value": c.value,
                "passed": c.passed,
            }
            for c in checks
        ],
        "bags": [result.summary for result in bag_results],
    }
    if len(bag_results) > 1:
        values["combined"] = combined(bag_results)
    return values


def combined(bag_results):
    """dict label -> summary over all bags, from their per-pose errors together (None without truth)."""
    labels = list(bag_results[0].evaluated)
    return {label: one.pooled([result.evaluated[label] for result in bag_results]) for label in labels}


def summaries_for_checks(bag_results):
    """dict label -> summary that thresholds look at: the only bag's, or that over all bags."""
    if len(bag_results) == 1:
        return bag_results[0].summary["estimates"]
    return {label: summary or {} for label, summary in combined(bag_results).items()}


def all_rows(bag_results):
    """dict estimate label -> rows for frames.csv; with several bags the label is bag:estimate."""
    if len(bag_results) == 1:
        return {label: result.rows for label, result in bag_results[0].evaluated.items()}
    return {f"{bag.name}:{label}": result.rows for bag in bag_results for label, result in bag.evaluated.items()}


def worst_frames(rows, count=12, apart_ns=1_000_000_000):
    """Row indices of the largest rotation errors (two thirds of `count`), then of missed and false heads (one third);
    at most one of each kind per second."""
    geodesic = np.nan_to_num(rows["geodesic_deg"], nan=-1.0)
    ranked = np.argsort(-geodesic, kind="stable")
    errors = ranked[geodesic[ranked] >= 0]
    failures = np.flatnonzero(np.isin(rows["status"], ("missed", "false")))
    few = max(1, count // 3)
    return [
        *_apart(errors, rows["stamp_ns"], count - few, apart_ns),
        *_apart(failures, rows["stamp_ns"], few, apart_ns),
    ]


def _apart(ranked, stamp_ns, count, apart_ns):
    """The first `count` of the ranked row indices that keep their distance in time from each other."""
    chosen = []
    for index in ranked.tolist():
        if all(abs(int(stamp_ns[index]) - int(stamp_ns[other])) >= apart_ns for other in chosen):
            chosen.append(index)
            if len(chosen) == count:
                break
    return chosen
