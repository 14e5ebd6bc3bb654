"""The summary over all inputs: summary.json and a table on the terminal."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hpe_core.cli.many.inputs import SUMMARY
from hpe_core.cli.many.task import FAILED, FINISHED, SKIPPED, UNFINISHED, Outcome
from hpe_core.cli.terminal import escaped
from hpe_core.io.json_file import json_values, read_json, write_json
from hpe_core.io.text import one_line, printable, utc_now
from hpe_core.output.summary import versions

# of the summary.json of each input: what can be added up
ADDED = ("frames", "frames_with_faces", "faces", "turned_away")
ADDED += ("untracked", "beyond_lens", "unconfirmed", "nlml", "dropped", "losses")
STATES = (FINISHED, SKIPPED, FAILED, UNFINISHED)
MOST_ROWS = 30  # of the table; summary.json has all


def all_of_them(
    sources: Mapping[str, str], outcomes: Mapping[str, Outcome], out: Path, arguments: dict[str, Any], died: int
) -> dict[str, Any]:
    """The content of summary.json. sources: dict name -> path; outcomes: by name, without those that did not start;
    died: workers that did, each time with an input that another one took."""
    inputs = []
    total: dict[str, Any] = {}
    for name, source in sources.items():
        outcome = outcomes.get(name, Outcome(UNFINISHED))
        row: dict[str, Any] = {"name": name, "source": source, "status": outcome.status}
        if outcome.status in (FINISHED, SKIPPED):
            own = read_json(out / name / SUMMARY)
            counts = {key: own[key] for key in ADDED if key in own}
            total = added(total, counts)
            row |= counts
        if outcome.reason:
            row["reason"] = outcome.reason
        inputs.append(row | {"seconds": outcome.seconds, "worker": outcome.worker})
    states = Counter(row["status"] for row in inputs)
    return {
        "inputs": len(inputs),
        "by_status": {state: states[state] for state in STATES},
        "workers_died": died,
        "total": total,
        "by_input": inputs,
        "arguments": arguments,
        "versions": versions(),
        "written": utc_now(),
    }


def added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested dicts of counts, added up."""
    result = dict(one)
    for key, value in other.items():
        if isinstance(value, Mapping):
            result[key] = added(result.get(key, {}), value)
        else:
            result[key] = result.get(key, 0) + value
    return result


def write(folder: Path, summary: dict[str, Any]) -> None:
    """summary.json in a folder."""
    write_json(folder / SUMMARY, json_values(summary))


def shown(summary: Mapping[str, Any], console: Console) -> None:
    """The table on the terminal, and what failed."""
    rows = summary["by_input"]
    table = Table(box=None, pad_edge=False, title=None)
    table.add_column("input", no_wrap=True, overflow="ellipsis", min_width=6)
    for name in ("frames", "face", "lost"):
        table.add_column(name, justify="right", no_wrap=True, min_width=6)
    if console.width >= 60:
        table.add_column("status", no_wrap=True)
    several = [row for row in rows if row["status"] != FAILED]
    for row in several[:MOST_ROWS]:
        table.add_row(*_cells(printable(row["name"]), row, row["status"])[: len(table.columns)])
    if len(several) > MOST_ROWS:
        table.add_row(f"and {len(several) - MOST_ROWS} more")
    states = ", ".join(f"{count} {state}" for state, count in summary["by_status"].items() if count)
    table.add_row(*_cells(f"all {len(rows)}", summary["total"], "")[: len(table.columns)], style="bold")
    console.print(table)
    console.print(f"inputs    {states}", markup=False)
    if summary["workers_died"]:
        console.print(f"workers   {summary['workers_died']} died, their inputs went to others", markup=False)
    for row in rows:
        if row["status"] == FAILED:
            console.print(
                f"failed    {printable(row['name'])}: {one_line(row['reason'])}", markup=False, soft_wrap=True
            )


def _cells(name: str, counts: Mapping[str, Any], status: str) -> list[str]:
    """frames, those with a face, those lost; empty where there are no results."""
    if "frames" not in counts:
        return [escaped(name), "", "", "", status]
    lost = sum(counts.get("dropped", {}).values())
    return [escaped(name), str(counts["frames"]), str(counts["frames_with_faces"]), str(lost), status]
