"""Whole bags: all estimates of one bag, a folder of bags, in this process or in others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpe_core.config import PipelineConfig
from hpe_core.errors import HpeError
from hpe_core.evaluation.streams import evaluate as one
from hpe_core.evaluation.streams.readers import Spec, bag_camera, image_stamps, in_frame, parse_spec, read_series
from hpe_core.evaluation.streams.rows import Rows
from hpe_core.evaluation.streams.run_model import Progress, run_model
from hpe_core.evaluation.streams.series import PoseSeries
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.bags import Bag, bag_name


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to evaluate in each bag: estimates and ground truth as the user wrote them, frames of the head they are of,
    and what the estimate `run` needs. Plain values, so that it travels to other processes."""

    estimates: tuple[str, ...]
    truth: str | None = None
    estimate_frame: str = "face"
    truth_frame: str = "face"
    ignore_frame_ids: bool = False
    topic: str | None = None
    config: PipelineConfig | None = None
    camera: CameraModel | None = None
    hfov_deg: float | None = None
    flip: bool = False
    options: one.Options = field(default_factory=one.Options)

    def __post_init__(self) -> None:
        labels = [parse_spec(text).label for text in self.estimates]
        double = sorted({label for label in labels if labels.count(label) > 1})
        if double:
            raise HpeError(f"two estimates are named {double[0]}: give them names, as in a=/head_pose")
        if not labels:
            raise HpeError("nothing to evaluate: give --estimate TOPIC, tf:PARENT/CHILD, FILE.csv or run")


@dataclass(frozen=True, eq=False, kw_only=True)
class BagResult:
    """One bag: summary (its part of results.json), and by the labels of the estimates what they were and came to."""

    name: str
    summary: dict[str, Any]
    evaluated: dict[str, one.Evaluated]
    estimates: dict[str, PoseSeries]
    truth: PoseSeries | None  # ground truth


def evaluate_bag(path: str | Path, job: Job, progress: Progress | None = None) -> BagResult:
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
            raise HpeError("the ground truth cannot be 'run': that is an estimate")
        truth = read_series(path, spec, job.truth_frame)
        if len(truth.message_stamp_ns) == 0:
            raise HpeError(f"the ground truth {job.truth} has no message that can be read")
    evaluated: dict[str, one.Evaluated] = {}
    estimates: dict[str, PoseSeries] = {}
    for text in job.estimates:
        spec = parse_spec(text)
        series, flips = _estimate(path, spec, job, progress)
        own_truth = truth
        if truth is not None:
            own_truth = in_frame(truth, series.frame_id, path, f"the ground truth {job.truth}", job.ignore_frame_ids)
        result = one.evaluate(series, own_truth, image_ns, camera, job.options)
        result.summary["source"] = {"kind": spec.kind, "name": spec.name}
        if flips is not None:
            result.summary["flip_consistency"] = flips
        evaluated[spec.label], estimates[spec.label] = result, series
    summary = {
        "bag": {"name": bag_name(path), "messages": counts, "images": len(image_ns)},
        "camera": _camera(camera),
        "ground_truth": _truth(truth, job.truth) if truth is not None and job.truth else None,
        "estimates": {label: result.summary for label, result in evaluated.items()},
    }
    return BagResult(name=bag_name(path), summary=summary, evaluated=evaluated, estimates=estimates, truth=truth)


def _estimate(
    path: str | Path, spec: Spec, job: Job, progress: Progress | None
) -> tuple[PoseSeries, dict[str, Any] | None]:
    if spec.kind != "run":
        return read_series(path, spec, job.estimate_frame), None
    return run_model(
        path,
        spec.what,
        topic=job.topic,
        config=job.config,
        camera=job.camera,
        hfov_deg=job.hfov_deg,
        flip=job.flip,
        progress=progress,
    )


def _truth(truth: PoseSeries, text: str) -> dict[str, Any]:
    return {
        "name": parse_spec(text).name,
        "poses": len(truth),
        "messages": len(truth.message_stamp_ns),
        "frame_id": truth.frame_id,
        "losses": dict(truth.losses),
        "notices": list(truth.notices),
    }


def _camera(camera: CameraModel | None) -> dict[str, Any] | None:
    if camera is None:
        return None
    return {"width": camera.width, "height": camera.height, "K": camera.K.ravel().tolist(), "D": camera.D.tolist()}


def combined(bag_results: Sequence[BagResult]) -> dict[str, dict[str, Any] | None]:
    """dict label -> summary over all bags, from their per-pose errors together (None without ground truth)."""
    labels = list(bag_results[0].evaluated)
    return {label: one.pooled([result.evaluated[label] for result in bag_results]) for label in labels}


def summaries_for_checks(bag_results: Sequence[BagResult]) -> dict[str, dict[str, Any]]:
    """dict label -> summary that thresholds look at: the only bag's, or that over all bags."""
    if len(bag_results) == 1:
        return bag_results[0].summary["estimates"]
    return {label: summary or {} for label, summary in combined(bag_results).items()}


def all_rows(bag_results: Sequence[BagResult]) -> dict[str, Rows]:
    """dict estimate label -> rows of frames.csv; with several bags the label is bag:estimate."""
    if len(bag_results) == 1:
        return {label: result.rows for label, result in bag_results[0].evaluated.items()}
    return {f"{bag.name}:{label}": result.rows for bag in bag_results for label, result in bag.evaluated.items()}


def remarks(summary: dict[str, Any]) -> Iterator[str]:
    """What a user should know of one bag's results beyond the numbers: losses, notices, and why nothing matched."""
    truth = summary["ground_truth"] or {}
    sources = [("ground truth", truth.get("losses", {}), truth.get("notices", []))]
    for label, estimate in summary["estimates"].items():
        sources.append((label, estimate["stream"]["losses"], estimate["stream"]["notices"]))
    for name, losses, notices in sources:
        yield from (f"lost      {name}: {reason}: {count}" for reason, count in losses.items())
        yield from (f"note      {name}: {text}" for text in notices)
    for label, estimate in summary["estimates"].items():
        counts = estimate.get("detection")
        if counts and not counts["matched"]:
            reasons = [f"{reason}: {count}" for reason, count in counts["skipped"].items()]
            if counts["false_positives"]:
                reasons.append(f"too far from every ground-truth head (--gate): {counts['false_positives']}")
            yield f"note      {label}: no pose was matched; {'; '.join(reasons) or 'there are none'}"
