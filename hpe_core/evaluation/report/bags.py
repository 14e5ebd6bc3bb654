"""Files of an evaluation of bags: results.json, frames.csv, junit.xml, report.html, tables, errors.mcap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpe_core.evaluation.report import export
from hpe_core.evaluation.report.errors_bag import write_errors_bag
from hpe_core.evaluation.report.export import write_exports
from hpe_core.evaluation.report.headline import about, resolved_model
from hpe_core.evaluation.report.page import write_report
from hpe_core.evaluation.report.results import results_json, with_schema, write_frames_csv, write_junit
from hpe_core.evaluation.report.thresholds import Check
from hpe_core.evaluation.streams.bag_evaluation import BagResult, Job, all_rows, combined
from hpe_core.evaluation.streams.readers import parse_spec

SCHEMA = "hpe-evaluation"
NAMES = ("results.json", "frames.csv", "junit.xml", "report.html", "errors.mcap", *export.NAMES)


def write_files(
    out: Path,
    results: Sequence[BagResult],
    job: Job,
    checks: Sequence[Check],
    *,
    failed: Mapping[str, str],
    bag_paths: Mapping[str, Path],
    report: bool = True,
    errors_bag: bool = True,
    command: str = "",
) -> None:
    """Write the files into the folder `out`. command: as it was typed, for the header of the report.

    failed: name -> reason of the bags that could not be evaluated; bag_paths: name -> path, for pictures.
    """
    values = results_of(results, job, checks) | {"failed_bags": failed}
    (out / "results.json").write_text(results_json(with_schema(SCHEMA, values)), encoding="utf-8")
    write_frames_csv(out / "frames.csv", all_rows(results))
    write_junit(out / "junit.xml", checks, "hpe_eval")
    if report:
        write_report(out / "report.html", results, bag_paths, job, checks, failed, about(command, _models(job)))
        many = {"all bags": {label: s or {} for label, s in combined(results).items()}} if len(results) > 1 else {}
        write_exports(out, many | {result.name: result.summary["estimates"] for result in results})
    if errors_bag and job.truth:
        write_errors_bag(out / "errors.mcap", results)


def _models(job: Job) -> list[str]:
    """Names of the methods behind the estimates `run`, those of the others are not known."""
    specs = [spec for spec in map(parse_spec, job.estimates) if spec.kind == "run"]
    return list(dict.fromkeys(resolved_model(job.config, spec.what) for spec in specs))


def results_of(bag_results: Sequence[BagResult], job: Job, checks: Sequence[Check]) -> dict[str, Any]:
    """The content of results.json for one bag or several."""
    options = job.options
    values: dict[str, Any] = {
        "settings": {
            "gate_m": options.match.gate_m,
            "max_ground_truth_gap_s": options.match.max_truth_gap_s,
            "tolerance_s": options.match.tolerance_s,
            "calibration_part": options.calibration_part,
            "apply_offset": options.apply_offset,
            "max_offset_s": options.max_offset_s,
            "looking_deg": options.looking_deg,
            "targets": {name: list(point) for name, point in options.targets},
            "estimate_frame": job.estimate_frame,
            "ground_truth_frame": job.truth_frame,
        },
        "thresholds": [
            {name: getattr(c, name) for name in ("estimate", "metric", "bound", "limit", "value", "passed")}
            for c in checks
        ],
        "bags": [result.summary for result in bag_results],
    }
    if len(bag_results) > 1:
        values["combined"] = combined(bag_results)
    return values
