"""What the command says on the terminal, and its exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpe_core.io.text import one_line

if TYPE_CHECKING:
    from rich.console import Console

EXIT_OK = 0
EXIT_THRESHOLD = 1  # of `hpe eval`
EXIT_FAILED = 1  # some of many inputs
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
UNBOUNDED = 10_000  # columns, where nobody looks at a terminal
GAP = 2  # columns between two


def print_error(error: object) -> None:
    """One line on the error stream."""
    print(f"hpe: error: {one_line(error)}", file=sys.stderr)


def print_note(text: object) -> None:
    """One line on the error stream about what goes on all the same."""
    print(f"hpe: note: {one_line(text)}", file=sys.stderr)


def escaped(text: str) -> str:
    """Text for rich that is shown as it is."""
    from rich.markup import escape

    return escape(text)


def console_width(console: Console) -> int:
    """Columns that there are: of the terminal or as $COLUMNS says; elsewhere, as in a pipe, any number."""
    return console.width if console.is_terminal or "COLUMNS" in os.environ else UNBOUNDED


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> None:
    """A table on standard output that fits the terminal. The first `texts` columns are text, which may wrap; the others
    are numbers, which do not: those that do not fit beside each other go below, with the first column again."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    width = console_width(console)
    needed = [max(cell_len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    left = width - sum(n + GAP for n in needed[texts:])  # beside all numbers
    needed = [min(n, max(width // 3, 10, left // texts)) if column < texts else n for column, n in enumerate(needed)]
    needed = [n if column < texts else min(n, max(width - needed[0] - GAP, 6)) for column, n in enumerate(needed)]
    groups: list[list[int]] = [[0]]
    for column in range(1, len(header)):
        if len(groups[-1]) > 1 and sum(needed[one] + GAP for one in (*groups[-1], column)) - GAP > width:
            groups.append([0])
        groups[-1].append(column)
    console = Console(highlight=False, width=min(width, sum(needed) + GAP * len(needed)))
    for group in groups:
        table = Table(title=escaped(title), title_justify="left", title_style="bold", box=None, padding=(0, GAP, 0, 0))
        for column in group:
            is_text = column < texts
            table.add_column(
                escaped(header[column]),
                justify="left" if is_text else "right",
                no_wrap=not is_text,
                width=needed[column],
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(escaped(row[column]) for column in group))
        console.print(table)
