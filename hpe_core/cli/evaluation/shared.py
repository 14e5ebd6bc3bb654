"""What the kinds of `hpe eval` have in common: options, exit code, and results on the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpe_core.cli.terminal import EXIT_OK, EXIT_THRESHOLD

if TYPE_CHECKING:
    from rich.console import Console

    from hpe_core.config import PipelineConfig
    from hpe_core.evaluation.report.thresholds import Check, Threshold


def add_output(p: argparse.ArgumentParser, folder: str) -> None:
    """--out and --overwrite; folder: where results go by default, for people."""
    p.add_argument("--out", metavar="DIR", help=f"output folder (default: hpe_out/{folder})")
    p.add_argument("--overwrite", action="store_true", help="replace the results of an earlier evaluation in DIR")


def add_thresholds(p: argparse.ArgumentParser) -> None:
    """--thresholds."""
    p.add_argument("--thresholds", metavar="FILE.yaml", help="bounds on results; one that fails ends with exit code 1")


def thresholds_of(args: argparse.Namespace) -> list[Threshold]:
    """What --thresholds names."""
    from hpe_core.evaluation.report.thresholds import load_thresholds

    return load_thresholds(args.thresholds) if args.thresholds else []


def config_of(path: str | None) -> PipelineConfig | None:
    """PipelineConfig of a YAML file over the defaults, or None without a file."""
    from hpe_core.cli.config_file import config_from_file

    return config_from_file(path) if path else None


def given_files(args: argparse.Namespace) -> list[str]:
    """Files that the options name, as far as the command has such options."""
    options = ("config", "camera_info", "thresholds", "model")
    named = [getattr(args, name, None) or () for name in options]
    return [path for value in named for path in ([value] if isinstance(value, str) else value)]


def exit_code(checks: Iterable[Check]) -> int:
    """Whether all thresholds are kept."""
    return EXIT_OK if all(check.passed for check in checks) else EXIT_THRESHOLD


def print_results(
    shown: Iterable[tuple[str, Mapping[str, Any]]],
    failed: Mapping[str, str],
    checks: Sequence[Check],
    written: Iterable[Path],
    note: str | None,
) -> None:
    """Tables of (title, dict label -> summary), what failed, thresholds, files and a note on the folder, if any."""
    from rich.console import Console

    from hpe_core.cli.terminal import print_table
    from hpe_core.evaluation.report.tables import estimate_table
    from hpe_core.io.text import printable

    console = Console(highlight=False)
    for title, estimates in shown:
        print_table(printable(title), ["", *map(printable, estimates)], estimate_table(estimates))
    for name, reason in failed.items():
        console.print(printable(f"not evaluated {name}: {reason}"), markup=False)
    print_checks(console, checks)
    for path in written:
        console.print(f"written   {printable(str(path))}", markup=False, soft_wrap=True)
    if note:
        console.print(f"note      {note}", markup=False, soft_wrap=True)


def print_checks(console: Console, checks: Iterable[Check]) -> None:
    """A line for each threshold."""
    for check in checks:
        console.print(f"{'passed' if check.passed else 'FAILED'}  {check.text}", markup=False)
