"""The tables of a report for papers and spreadsheets: table.tex and table.csv beside it."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from hpe_core.evaluation.report.headline import Summaries, marked_table
from hpe_core.io.text import csv_text, one_line

NAMES = ("table.tex", "table.csv")
_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
_SPECIAL = re.compile(r"[&%$#_{}\\~^<>|]")


def write_exports(out: Path, tables: Mapping[str, Summaries]) -> None:
    """Write the tables (title -> name of an estimate -> summary) into the folder `out`, rows as in the report."""
    _write_csv(out / "table.csv", tables)
    text = "% needs \\usepackage{booktabs}; the best value of a row is bold\n"
    (out / "table.tex").write_text(text + "\n".join(_tabular(*one) for one in tables.items()), encoding="utf-8")


def _write_csv(path: Path, tables: Mapping[str, Summaries]) -> None:
    """A line per table and measure, a column per estimate of any table; empty where it was not measured."""
    labels = list(dict.fromkeys(label for summaries in tables.values() for label in summaries))
    with open(path, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["table", "measure", *map(csv_text, labels)])
        for title, summaries in tables.items():
            group = ""
            for row in marked_table(summaries):
                cells = dict(zip(summaries, row["cells"], strict=True))
                own, group = _measure(row["title"], group)
                lines.writerow([csv_text(title), own, *(cells.get(label, "") for label in labels)])


def _measure(title: str, group: str) -> tuple[str, str]:
    """A row's title with that of the row that it is a part of, and this one."""
    return (f"{group}: {title.strip()}", group) if title.startswith(" ") else (title, title)


def _tabular(title: str, summaries: Summaries) -> str:
    lines = [
        f"% {one_line(title)}",
        rf"\begin{{tabular}}{{l{'r' * len(summaries)}}}",
        r"\toprule",
        " & ".join(["", *map(latex, summaries)]) + r" \\",
        r"\midrule",
    ]
    for row in marked_table(summaries):
        indent = r"\quad " if row["title"].startswith(" ") else ""
        cells = [latex(cell) for cell in row["cells"]]
        cells = [rf"\textbf{{{cell}}}" if i in row["best"] else cell for i, cell in enumerate(cells)]
        lines.append(" & ".join([indent + latex(row["title"].strip()), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def latex(text: str) -> str:
    """The text in one line, with everything that LaTeX would take as a command made a character."""
    return _SPECIAL.sub(lambda found: _LATEX[found[0]], one_line(text))
