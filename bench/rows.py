"""Rows of results: where they were measured, and the CSV files that they are appended to."""

import csv
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpe_core.errors import HpeError

ROOT = Path(__file__).resolve().parent.parent


def commit() -> str:
    """The commit that is checked out, short."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()


def append(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows to the end of a CSV, which is made if need be. Raises HpeError when it has other columns."""
    new = not path.exists()
    if not new:
        with open(path, newline="") as file:
            columns = next(csv.reader(file), [])
        if columns != list(rows[0]):
            raise HpeError(f"{path} has the columns {', '.join(columns)}, got {', '.join(rows[0])}")
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if new:
            writer.writeheader()
        writer.writerows(rows)
