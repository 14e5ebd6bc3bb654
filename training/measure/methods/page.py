"""bench/methods.csv, one number a row, and the marked places of docs/methods.md, which are made from it.

    python -m training.measure.methods.page

fills them again without measuring. A place is what stands between `<!-- methods: NAME -->` and its `/` twin; NAME is
`tables` or that of a method.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hpe_core.errors import HpeError
from hpe_core.io.out_folder import new_file
from training.measure.methods import weaknesses
from training.measure.methods.scores import ALL, EULER, GEODESIC, MAEV, MEDIAN, REFUSED, WITHIN, Score

ROOT = Path(__file__).resolve().parents[3]
RESULTS, PAGE = ROOT / "bench" / "methods.csv", ROOT / "docs" / "methods.md"
SHARED, OWN = "shared", "own"
WEAKNESSES = {SHARED: "weaknesses, shared", OWN: "weaknesses, own"}
TITLES = {SHARED: "(a) Shared trunk, same data, same steps", OWN: "(b) Own trunk, as published"}
METHODS = ("crop6dof", "hopenet", "hybrid", "ssrnet", "fsanet", "whenet", "lightweight", "mnn", "sixd", "opnet")
COST, PUBLISHED = "cost", ", published decode"
PLACE = re.compile(r"(<!-- methods: (\w+) -->\n).*?(<!-- /methods: \2 -->)", re.DOTALL)
NOT_YET = "Not measured yet: `python -m training.measure.methods` writes the numbers here."
DASH = "–"  # noqa: RUF001
HARDER = ("40 px faces", "blurred")


@dataclass(frozen=True)
class Row:
    """One number of one method, see Score; of costs `note` may say why there is none."""

    table: str
    method: str
    set: str
    part: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    faces: int | None = None
    note: str = ""


Rows = Sequence[Row]


def order(method: str) -> int:
    """Place of a method in the tables."""
    name = method.removesuffix(PUBLISHED)
    return METHODS.index(name) if name in METHODS else len(METHODS)


def rows_of(table: str, method: str, scores: Iterable[Score]) -> list[Row]:
    """Rows of Scores."""
    return [Row(table, method, **asdict(score)) for score in scores]


def cost_rows(table: str, method: str, cost: Mapping[str, Any]) -> list[Row]:
    """Rows of numbers and texts by name; texts become notes."""
    texts = {name: value for name, value in cost.items() if isinstance(value, str)}
    numbers = {name: value for name, value in cost.items() if name not in texts}
    return [Row(table, method, COST, "", name, value) for name, value in numbers.items()] + [
        Row(table, method, COST, "", name, None, note=text) for name, text in texts.items()
    ]


# --- the file ---------------------------------------------------------------------------------------------------------


def write(path: Path, rows: Rows, where: Mapping[str, str]) -> None:
    """Rows as CSV; where: date, commit and hardware of all of them. An earlier file is replaced."""
    with new_file(path, overwrite=True) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*where, *(f.name for f in fields(Row))])
        writer.writeheader()
        for row in rows:
            values = {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(row).items()}
            writer.writerow({**where, **values})


def read(path: Path) -> tuple[list[Row], dict[str, str]]:
    """Rows of a CSV that `write` made, and where they were measured. Raises HpeError when it is another file."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        rows = [
            Row(
                *(line[name] for name in ("table", "method", "set", "part", "metric")),
                *(float(line[name]) if line[name] else None for name in ("value", "low", "high")),
                int(line["faces"]) if line["faces"] else None,
                line["note"],
            )
            for line in lines
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HpeError(f"{path} is no table of methods: {type(error).__name__} {error}") from error
    if not rows:
        raise HpeError(f"{path} has no rows")
    return rows, {name: lines[0][name] for name in ("date", "commit", "hardware")}


# --- the page ---------------------------------------------------------------------------------------------------------


def fill(page: Path, results: Path) -> None:
    """Write the tables and every method's line into the marked places of a document."""
    rows, where = read(results)
    text = page.read_text("utf-8")
    if "tables" not in {match[2] for match in PLACE.finditer(text)}:
        raise HpeError(f"{page} has no place <!-- methods: tables -->")
    page.write_text(filled(text, rows, where), "utf-8")


def filled(text: str, rows: Rows, where: Mapping[str, str]) -> str:
    """The text of the document with its places filled."""

    def place(match: re.Match[str]) -> str:
        inside = tables(rows, where) if match[2] == "tables" else line_of(match[2], rows)
        return f"{match[1]}\n{inside}\n\n{match[3]}"

    return PLACE.sub(place, text)


def line_of(method: str, rows: Rows) -> str:
    """What a method scores in degrees, on either trunk, in a sentence each."""
    out = []
    for table, trunk in ((SHARED, "Shared trunk"), (OWN, "Own trunk")):
        own = {(r.set, r.part, r.metric): r for r in rows if r.table == table and r.method == method}
        photos, renders = _sets(rows)
        parts = [
            f"Euler MAE {_interval(own[name, WITHIN, EULER])} on `{name}`"
            for name in (*photos, *renders)
            if (name, WITHIN, EULER) in own
        ]
        parts += [
            f"geodesic mean over the full circle {_interval(own[name, ALL, GEODESIC])}"
            for name in renders
            if (name, ALL, GEODESIC) in own
        ]
        if parts:
            parameters = own[COST, "", "parameters"].value or 0.0
            out.append(f"{trunk}, {parameters / 1e6:.2f} M parameters: {', '.join(parts)}.")
    return "\n".join(out) or NOT_YET


def tables(rows: Rows, where: Mapping[str, str]) -> str:
    """All tables in Markdown."""
    parts = [
        f"Measured on {where['date']} at commit {where['commit']}, {where['hardware']}. Degrees, with 95 % intervals "
        "over people."
    ]
    for table in (SHARED, OWN):
        own = [row for row in rows if row.table == table]
        if own:
            parts += [f"### {TITLES[table]}", *_accuracy(own), *_directions(own), *_costs(own)]
    parts += ["### Known weaknesses, on purpose", *_weaknesses(rows)]
    return "\n\n".join(parts)


def _accuracy(rows: Rows) -> list[str]:
    out = []
    photos, renders = _sets(rows)
    for name in photos:
        columns = {m: (name, WITHIN, m) for m in (EULER, MAEV, GEODESIC, MEDIAN)}
        out += [
            f"**`{name}`**: photos, angles below 99 degrees; labels are a consensus",
            _table(rows, columns, counted=False),
        ]
    for name in renders:
        columns = {f"{m}, below 99": (name, WITHIN, m) for m in (EULER, MAEV, GEODESIC, MEDIAN)}
        columns |= {f"{m}, full circle": (name, ALL, m) for m in (GEODESIC, MEDIAN)}
        if any(row.value for row in rows if row.set == name and row.metric == REFUSED):
            columns[REFUSED] = (name, ALL, REFUSED)
        columns |= {f"{GEODESIC}, {part}": (name, part, GEODESIC) for part in HARDER}
        out += [f"**`{name}`**: renders of unseen people, exact labels", _table(rows, columns, counted=False)]
    return out


def _directions(rows: Rows) -> list[str]:
    out = []
    for name in _sets(rows)[1]:
        for axis, how in (("pan", "away from the camera to either side"), ("tilt", "up (positive) and down")):
            found = dict.fromkeys(row.part for row in rows if row.set == name and row.part.startswith(f"{axis} "))
            columns = {part.removeprefix(f"{axis} "): (name, part, GEODESIC) for part in found}
            title = f"**`{name}` by {axis}**, geodesic mean: degrees {how}"
            out += [title, _table(rows, columns, brief=True)]
    return out


def _costs(rows: Rows) -> list[str]:
    head = ("method", "parameters, M", "MB", "ms", "ms INT8", "INT8 changes by, deg", "TensorRT for RTX", "steps")
    lines = []
    for method in _methods(rows):
        cost = {row.metric: row for row in rows if row.method == method and row.set == COST}

        def number(name: str, digits: int, factor: float = 1.0, cost: dict[str, Row] = cost) -> str:
            value = cost[name].value
            return DASH if value is None else f"{value * factor:.{digits}f}"

        int8 = number("int8_ms", 1)
        note = cost["int8_note"].note
        lines.append(
            (
                *(f"`{method}`", number("parameters", 2, 1e-6), number("mb", 2), number("ms", 1)),
                *(f"{int8} ({note})" if note else int8, number("int8_change_deg", 2)),
                *(cost["engine"].note, number("steps", 0)),
            )
        )
    title = "**Cost**: one crop on one thread of the CPU, processor time, median; engines built ahead for 8.6"
    return [title, _markdown(head, lines)]


def _weaknesses(rows: Rows) -> list[str]:
    out = []
    for table, trunk in ((SHARED, "shared trunk"), (OWN, "own trunk")):
        weak = [row for row in rows if row.table == WEAKNESSES[table]]
        bases = {r.method.removesuffix(PUBLISHED) for r in weak if r.method.endswith(PUBLISHED)} | {"whenet", "sixd"}
        backs = [r for r in weak if r.set == weaknesses.BACKS and r.method.removesuffix(PUBLISHED) in bases]
        if backs:
            columns = {r.metric: (r.set, r.part, r.metric) for r in backs}
            out += [f"**Heads turned away by 150 degrees and more**, {trunk}", _table(backs, columns)]
        pole = [row for row in weak if row.set == weaknesses.POLE]
        if pole:
            columns = {f"{r.metric}, {r.part}": (r.set, r.part, r.metric) for r in pole}
            out += [f"**Euler angles towards 90 degrees of yaw**, {trunk}", _table(pole, columns, brief=True)]
        edges = [row for row in weak if row.set == weaknesses.EDGES]
        if edges:
            columns = {r.part: (r.set, r.part, r.metric) for r in edges}
            title = f"**How much larger the geodesic error is than that of `sixd`**, {trunk}, same heads"
            out += [title, _table(edges, columns)]
    return out or [NOT_YET]


def _sets(rows: Rows) -> tuple[list[str], list[str]]:
    """Names of the sets of photos and of those of renders, which alone are shown small and blurred."""
    names = dict.fromkeys(row.set for row in rows if row.table in TITLES and row.set != COST)
    renders = [name for name in names if any(row.set == name and row.part in HARDER for row in rows)]
    return [name for name in names if name not in renders], renders


def _methods(rows: Rows) -> list[str]:
    return sorted(dict.fromkeys(row.method for row in rows), key=lambda name: (order(name), name))


def _table(rows: Rows, columns: Mapping[str, tuple[str, str, str]], brief: bool = False, counted: bool = True) -> str:
    """Methods by columns, each a (set, part, metric). brief: without intervals; counted: titles say of how many faces a
    number is at most, else a column says how many faces a method saw."""
    known = {(row.method, row.set, row.part, row.metric): row for row in rows}
    titles = list(columns)
    if counted:
        faces = [
            max(row.faces or 0 for row in rows if (row.set, row.part, row.metric) == key) for key in columns.values()
        ]
        titles = [f"{title} ({count})" for title, count in zip(titles, faces, strict=True)]
    lines = []
    for method in _methods(rows):
        found = [known.get((method, *key)) for key in columns.values()]
        texts = [DASH if row is None else f"{row.value:.1f}" if brief else _interval(row) for row in found]
        saw = [] if counted else [str(max(row.faces or 0 for row in rows if row.method == method))]
        lines.append((f"`{method}`", *saw, *texts))
    return _markdown(("method", *([] if counted else ["faces"]), *titles), lines)


def _interval(row: Row) -> str:
    if row.value is None or not math.isfinite(row.value):
        return DASH
    ends = "" if row.low is None or row.high is None else f" ({row.low:.1f} to {row.high:.1f})"
    return f"{row.value:.1f}{ends}"


def _markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


if __name__ == "__main__":
    fill(PAGE, RESULTS)
