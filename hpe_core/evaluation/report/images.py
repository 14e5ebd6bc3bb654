"""Files of a comparison of methods on images: results.json, frames.csv, tables.md, report.html, junit.xml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpe_core.evaluation.images.evaluate import Absent
from hpe_core.evaluation.images.scores import ImageResult
from hpe_core.evaluation.report import export
from hpe_core.evaluation.report.export import write_exports
from hpe_core.evaluation.report.headline import about
from hpe_core.evaluation.report.page import page_of_images, write_page
from hpe_core.evaluation.report.results import results_json, with_schema, write_frames_csv
from hpe_core.evaluation.report.tables import Results, bin_tables, markdown, method_table
from hpe_core.evaluation.report.thresholds import Check

SCHEMA = "hpe-image-evaluation"
NAMES = ("results.json", "frames.csv", "tables.md", "junit.xml", "report.html", *export.NAMES)


def write_tables(
    out: str | Path,
    tables: Mapping[str, Results],
    checks: Sequence[Check] = (),
    extra: Mapping[str, Any] | None = None,
    worst: Sequence[Mapping[str, Any]] = (),
    command: str = "",
) -> None:
    """results.json, frames.csv, tables.md, table.tex, table.csv and report.html of tables: dict title -> dict method ->
    result.

    extra: further keys of results.json; worst: of `worst_images`; command: as it was typed.
    """
    out = Path(out)
    values = {
        "checks": [{"passed": c.passed, "text": c.text} for c in checks],
        "tables": {title: {name: _summary(r) for name, r in results.items()} for title, results in tables.items()},
    }
    (out / "results.json").write_text(results_json(with_schema(SCHEMA, values | dict(extra or {}))), encoding="utf-8")
    first = next(iter(tables.values()))
    write_frames_csv(out / "frames.csv", {n: r.rows for n, r in first.items() if not isinstance(r, Absent)})
    parts = []
    for title, results in tables.items():
        parts += [f"## {title}\n", markdown(*method_table(results))]
        parts += [markdown(*table) for table in bin_tables(results).values()]
    (out / "tables.md").write_text("\n".join(parts), encoding="utf-8")
    write_exports(out, {title: _summaries(results) for title, results in tables.items()})
    write_page(out / "report.html", page_of_images(tables, checks, worst, about(command, list(_summaries(first)))))


def _summaries(results: Results) -> dict[str, dict[str, Any]]:
    return {name: r.summary for name, r in results.items() if not isinstance(r, Absent)}


def _summary(result: ImageResult | Absent) -> dict[str, Any]:
    if isinstance(result, Absent):
        return {"status": "absent", "reason": result.reason, "faces_from": result.faces_from}
    return result.summary
