"""`hpe models`: what there is to choose from, and the cards."""

import argparse
import json
from typing import TYPE_CHECKING

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
        if missing := catalogue.missing_from_zoo():
            console.print(f"not here: {', '.join(missing)} ({catalogue.ZOO_ELSEWHERE})", markup=False)
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
    """One model for people: what it is, and the card of each part."""
    from rich.padding import Padding

    from hpe_core.cli.card_text import sections

    console.print(f"[bold]{escaped(facts.name)}[/]: {escaped(facts.what)}")
    for part in facts.parts:
        console.print(f"\n[bold]{escaped(part.path.name)}[/], {part.path.stat().st_size / 1e6:.1f} MB")
        console.print(f"sha256 {part.sha256}", soft_wrap=console.width >= 80)
        for title, lines in sections(part.card):
            console.print(f"\n[bold]{title}[/]")
            for line in lines:
                console.print(Padding(escaped(line), (0, 0, 0, 2)))
