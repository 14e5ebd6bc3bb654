"""Types of command line arguments with their ranges; argparse names the option that is out of its range."""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hpe_core.errors import HpeError
from hpe_core.output.choices import MESHES

if TYPE_CHECKING:  # `hpe --help` does without their libraries
    from hpe_core.io.frame import Source
    from hpe_core.pipeline import Pipeline

MOST = 10**9  # of anything that is counted


def whole(low: int, high: int = MOST) -> Callable[[str], int]:
    """A type for argparse: whole numbers from `low` to `high`."""

    def value_of(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < low:
            raise argparse.ArgumentTypeError(f"must be at least {low}, a whole number, got {text!r}")
        if value > high:
            raise argparse.ArgumentTypeError(f"must be at most {high}, got {text!r}")
        return value

    return value_of


def number(low: float, high: float) -> Callable[[str], float]:
    """A type for argparse: numbers from `low` to `high`."""

    def value_of(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a number from {low:g} to {high:g}, got {text!r}")
        return value

    return value_of


def some_of(allowed: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """A type for argparse: names of these with commas between them, each once, in their order."""

    def value_of(text: str) -> tuple[str, ...]:
        names = {name.strip() for name in text.split(",")}
        if not names <= set(allowed):
            raise argparse.ArgumentTypeError(f"must be some of {','.join(allowed)}, got {text!r}")
        return tuple(name for name in allowed if name in names)

    return value_of


def hfov_deg(text: str) -> float:
    """A type for argparse: a horizontal field of view in degrees."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < 180.0:
        raise argparse.ArgumentTypeError(f"horizontal field of view must lie in (0, 180) degrees, got {text}")
    return value


def check_texts(args: argparse.Namespace) -> None:
    """Raises HpeError when a text among parsed arguments is empty or holds a NUL, which no name or path does."""
    for name, given in vars(args).items():
        for text in given if isinstance(given, list) else [given]:
            if isinstance(text, str) and not text.strip():
                raise HpeError(f"argument {name.replace('_', '-')} is empty")
            if isinstance(text, str) and "\0" in text:
                raise HpeError(f"argument {name.replace('_', '-')} holds a NUL, which no name does")


def check_shape_options(args: argparse.Namespace, source: "Source", pipeline: "Pipeline") -> None:
    """Raises HpeError when an option of `hpe run` asks for meshes and the model tells no shape, or for files of a
    stream."""
    asked = [f"--draw {part}" for part in args.draw if part in MESHES]
    asked += [f"--export {args.export}"] if args.export else []
    if asked and not pipeline.tells_shape:
        model = pipeline.config.estimator.model
        raise HpeError(f"{asked[0]} needs a model that tells the shape of faces, such as dense; {model} does not")
    if args.export and source.kind != "images":
        raise HpeError(f"--export {args.export} writes the faces of photos, got a {source.kind}: give it single frames")
