"""`hpe models`: the shipped models and their cards."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpe_core.cli.terminal import EXIT_BAD_INPUT, EXIT_OK, escaped, print_error
from hpe_core.errors import HpeError

if TYPE_CHECKING:  # inference is loaded when the command runs
    from hpe_core.inference import Backend

LONG = {"name", "spec", "config", "intended_use", "out_of_scope_use", "privacy", "permission", "limits", "chosen_on"}


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Hang `models` under an argparse subparsers object."""
    models = subparsers.add_parser("models", help="list the models and their cards")
    models.add_argument("name", metavar="NAME", nargs="?", help="print this model's card")
    models.add_argument("--json", action="store_true", help="with NAME: everything that the card says, as JSON")
    models.set_defaults(command=_models)


def _models(args: argparse.Namespace) -> int:
    from hpe_core import backends, catalogue

    names = [args.name] if args.name else catalogue.networks()
    if not names:
        print(f"no models in {catalogue.WEIGHTS}")
    if not args.name:
        print(catalogue.AUTO_TEXT)
        for name, method in catalogue.METHODS.items():
            print(f"{name}: {method.detector} finds faces, {method.refiner} refines them, rotation: {method.rotation}")
    code = EXIT_OK
    for name in names:
        try:
            path = catalogue.path_of(name)
            backend = backends.create("onnxruntime", path, 1)
        except HpeError as error:  # the others are still of use
            print_error(error)
            code = EXIT_BAD_INPUT
            continue
        if args.name and args.json:
            print(json.dumps(backend.card.raw | {"sha256": backend.sha256}, indent=2))
        elif args.name:
            _print_whole_card(name, path, backend)
        else:
            _print_card(name, path, backend)
    return code


def _print_whole_card(name: str, path: Path, backend: "Backend") -> None:
    from rich.console import Console
    from rich.padding import Padding

    from hpe_core.cli.card_text import sections

    console = Console(highlight=False)
    console.print(f"[bold]{escaped(name)}[/]: {escaped(path.name)}, {path.stat().st_size / 1e6:.1f} MB")
    console.print(f"sha256 {backend.sha256}", soft_wrap=True)
    for title, lines in sections(backend.card.raw):
        console.print(f"\n[bold]{title}[/]")
        for line in lines:
            console.print(Padding(escaped(line), (0, 0, 0, 2)))


def _print_card(name: str, path: Path, backend: "Backend") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=name, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False)
    table.add_row("file", escaped(f"{path.name}, {path.stat().st_size / 1e6:.1f} MB, sha256 {backend.sha256[:16]}"))
    table.add_row("input", " x ".join(map(str, backend.input_shape)))
    for key, value in backend.card.raw.items():
        if key not in LONG:  # all of it in `hpe models NAME`
            table.add_row(key, escaped(_inline(value)))
    Console(highlight=False).print(table)


def _inline(value: Any) -> str:
    """Nested values of a card as readable text: one line per item of a list, a thing's name before its properties."""
    if isinstance(value, dict):
        rest = ", ".join(f"{key} {_inline(item)}" for key, item in value.items() if key != "name")
        return f"{value['name']}: {rest}" if "name" in value else rest
    if isinstance(value, list):
        return "\n".join(_inline(item) for item in value)
    return str(value)
