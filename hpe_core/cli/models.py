"""`hpe models`: what there is to choose from, and the cards."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpe_core.cli.terminal import EXIT_BAD_INPUT, EXIT_OK, escaped, print_error
from hpe_core.errors import HpeError

if TYPE_CHECKING:  # loaded when the command runs
    from rich.console import Console

    from hpe_core.cli.model_facts import Facts

NARROW = 72  # columns; below, a block for each model instead of a table
LEGEND = """\
MAE: mean absolute error of yaw, pitch, roll on {aflw2000} photos of AFLW2000-3D; LFW: median angle to the label on
{lfw} LFW photos that were not trained on; ms: the networks alone, for one face, on one core of the CPU that their cards
were made on; -: not measured. All about one: hpe models NAME"""


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Hang `models` under an argparse subparsers object."""
    models = subparsers.add_parser("models", help="list the models and their cards")
    models.add_argument("name", metavar="NAME", nargs="?", help="print the cards of this model")
    models.add_argument("--json", action="store_true", help="print everything, as JSON")
    models.set_defaults(command=_models)


def _models(args: argparse.Namespace) -> int:
    from rich.console import Console

    from hpe_core import catalogue
    from hpe_core.cli import model_facts

    names = [args.name] if args.name else model_facts.names()
    if not names:
        print(f"no models in {catalogue.WEIGHTS}")
    loaded: dict[str, model_facts.Part] = {}
    found: list[model_facts.Facts] = []
    problems: dict[str, HpeError] = {}
    for name in names:
        try:
            found.append(model_facts.facts_of(name, loaded))
        except HpeError as error:  # the others are still of use
            problems.setdefault(str(error), error)
    for error in problems.values():
        print_error(error)
    console = Console(highlight=False)
    if args.json:
        values = {facts.name: facts.as_dict() for facts in found}
        if found:
            print(json.dumps(values[args.name] if args.name else values, indent=2))
    elif args.name:
        for facts in found:
            _print_facts(console, facts)
    else:
        _print_choice(console, found)
        print(catalogue.AUTO_TEXT)
    return EXIT_BAD_INPUT if problems else EXIT_OK


def _print_choice(console: "Console", found: "list[Facts]") -> None:
    from rich.table import Table

    heads = ("model", "MAE deg", "LFW deg", "ms", "MB", "licence")
    if console.width < NARROW:
        for facts in found:
            console.print(f"[bold]{escaped(facts.title)}[/]")
            grid = Table.grid(padding=(0, 1))
            grid.add_column(no_wrap=True)
            for head, cell in zip(heads[1:], _cells(facts), strict=True):
                grid.add_row(f"  {head}", escaped(cell))
            console.print(grid)
    else:
        table = Table(box=None, pad_edge=False)
        for head in heads:
            numeric = head not in ("model", "licence")
            table.add_column(head, justify="right" if numeric else "left", no_wrap=head != "licence")
        for facts in found:
            table.add_row(escaped(facts.title), *map(escaped, _cells(facts)))
        console.print(table)
    images = {name: next((n for n in (facts.images(name) for facts in found) if n), 0) for name in ("aflw2000", "lfw")}
    console.print(" ".join(LEGEND.format(**images).split()), markup=False)


def _cells(facts: "Facts") -> list[str]:
    numbers = (facts.mae_deg, facts.lfw_deg, facts.ms, facts.mb)
    return [*("-" if number is None else f"{number:.1f}" for number in numbers), facts.licence]


def _print_facts(console: "Console", facts: "Facts") -> None:
    """One model for people: what it is, numbers, and the card of each part."""
    console.print(f"[bold]{escaped(facts.name)}[/]  {escaped(facts.what)}")
    if facts.metrics:
        _print_value(console, "metrics", facts.metrics, 0)
    for part in facts.parts:
        size = f"{part.path.stat().st_size / 1e6:.1f} MB, sha256 {part.sha256[:16]}"
        console.print(f"\n[bold]{escaped(part.name)}[/]  {escaped(f'{Path(part.path).name}, {size}')}")
        if part.input_shape:
            _print_value(console, "input", " x ".join(map(str, part.input_shape)), 0)
        for key, value in part.card.items():
            if key not in ("name", "spec", "config", "estimator"):  # the machine's part, in --json
                _print_value(console, key, value, 0)


def _print_value(console: "Console", key: str, value: Any, depth: int) -> None:
    """A value of a card with its name before it, one line for each thing in it, indented by its depth."""
    from rich.padding import Padding

    title = f"{'  ' * depth}{key.replace('_', ' ')}"
    if isinstance(value, dict) and not _is_per_image(value):
        console.print(escaped(title))
        for name, item in value.items():
            _print_value(console, str(name), item, depth + 1)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        console.print(escaped(title))
        for item in value:
            console.print(Padding(escaped(f"- {_line(item)}"), (0, 0, 0, 2 * depth + 2)))
    else:
        text = _line(value)
        if len(title) + 2 + len(text) <= console.width:
            console.print(escaped(f"{title}: {text}"))
        else:
            console.print(escaped(title))
            console.print(Padding(escaped(text), (0, 0, 0, 2 * depth + 2)))


def _is_per_image(value: dict[str, Any]) -> bool:
    """Whether a dict is a table with a row of numbers for each of many things."""
    rows = [item for item in value.values() if isinstance(item, list) and item]
    numbers = all(isinstance(x, int | float) for row in rows for x in row)
    return len(rows) == len(value) > 3 and numbers and len({len(row) for row in rows}) == 1


def _line(value: Any) -> str:
    """A value in one line; a thing's name before its properties; of a table the means of its columns."""
    if isinstance(value, dict):
        if _is_per_image(value):
            means = [sum(column) / len(column) for column in zip(*value.values(), strict=True)]
            return f"{len(value)} rows, means {', '.join(f'{mean:.2f}' for mean in means)} (all with --json)"
        rest = "; ".join(f"{key}: {_line(item)}" for key, item in value.items() if key != "name")
        return f"{value['name']}: {rest}" if "name" in value else rest
    if isinstance(value, list):
        return ", ".join(map(_line, value)) or "none"
    return str(value)
