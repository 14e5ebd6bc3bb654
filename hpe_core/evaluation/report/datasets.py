"""Files of an evaluation on a dataset: results.json, frames.csv, junit.xml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpe_core.evaluation.images.scores import Rows
from hpe_core.evaluation.report.results import results_json, with_schema, write_frames_csv, write_junit
from hpe_core.evaluation.report.thresholds import Check

SCHEMA = "hpe-dataset-evaluation"
NAMES = ("results.json", "frames.csv", "junit.xml")


def write_files(
    out: Path, label: str, summary: Mapping[str, Any], rows: Rows, checks: Sequence[Check], protocol: str
) -> None:
    """Write the files of one model (its label) on one protocol into the folder `out`."""
    (out / "results.json").write_text(results_json(with_schema(SCHEMA, summary)), encoding="utf-8")
    write_frames_csv(out / "frames.csv", {label: rows})
    write_junit(out / "junit.xml", checks, f"hpe_eval.{protocol}")
