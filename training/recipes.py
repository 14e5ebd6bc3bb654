"""How a published method was trained, as one YAML file of config/training: `training.train_crop --recipe FILE`.

A recipe gives the options of the trainer and says which crops are cut: `published`, a loose box as in the paper, with
the label as the data set states it; or `lookat`, the face-centred crops of this project. Unknown keys and wrong values
are errors. Options on the command line win.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpe_core.config import Checked, option, overridden
from hpe_core.errors import HpeError
from hpe_core.evaluation.images.protocols import PROTOCOLS
from hpe_core.io.yaml_file import load_mapping

PUBLISHED, LOOKAT = "published", "lookat"
STRETCH, COVER = "stretch", "cover"
OPTIMISERS = ("adamw", "adam")


@dataclass(frozen=True)
class Loose(Checked):
    """How a box around the landmarks becomes a crop. Each side moves by its factor times k times width or height."""

    left: float = option(0.0, "factor of the left side", -1.0, 5.0)
    top: float = option(0.0, "factor of the upper side", -1.0, 5.0)
    right: float = option(0.0, "factor of the right side", -1.0, 5.0)
    bottom: float = option(0.0, "factor of the lower side", -1.0, 5.0)
    k_low: float = option(1.0, "k is drawn evenly from here", 0.0, 5.0)
    k_high: float = option(1.0, "to here; a test takes the middle", 0.0, 5.0)
    in_turn: bool = option(True, "right and lower side see the size that left and upper side have made")
    square: str = option(
        "no",
        "then a square about the centre, its side the longer one or the height",
        choices=("no", "longer", "height"),
    )
    scale: float = option(1.0, "factor on the side of that square", 0.1, 5.0)
    clamp: bool = option(False, "the box ends at the border of the image; else what lies outside is black")
    fit: str = option(STRETCH, "stretched to the square input, or its short side fills it", choices=(STRETCH, COVER))
    shown: float = option(1.0, "share of the side that is shown: at random in training, the middle in a test", 0.1, 1.0)


@dataclass(frozen=True)
class Augment(Checked):
    """What is done to published crops in training; look-at crops have the project's own (training.data.crops)."""

    flip: float = option(0.5, "share that is mirrored", 0.0, 1.0)
    blur: float = option(0.0, "share that is blurred", 0.0, 1.0)
    coarse: str = option("", "factors, e.g. '1 2 4': one is drawn, the crop shrinks by it and grows back")
    zoom: float = option(0.0, "share that is scaled about its middle", 0.0, 1.0)
    zoom_low: float = option(0.8, "least scale of those", 0.1, 1.0)
    zoom_high: float = option(1.2, "largest scale", 1.0, 5.0)
    zoom_each_axis: bool = option(False, "width and height are scaled apart")
    area: float = option(
        1.0, "least share of the area of a part that is shown alone, aspect 3/4 to 4/3; 1: all", 0.1, 1.0
    )
    turn_deg: float = option(0.0, "turned in the image by exactly so much to either side", 0.0, 180.0)
    turn: float = option(0.0, "share that is turned", 0.0, 1.0)
    shift: float = option(0.0, "standard deviation of a shift, per side of the crop", 0.0, 1.0)
    degrade: bool = option(False, "light, noise and compression as in training.data.scenes")


@dataclass(frozen=True)
class Recipe(Checked):
    """One YAML file."""

    model: str = option("", "method, a file in training/networks")
    trunk: str = option("own", "trunk", choices=("own", "shared"))
    crop: str = option(PUBLISHED, "crops", choices=(PUBLISHED, LOOKAT))
    protocol: str = option("", "evaluation protocol whose test sequences are left out; empty: none")
    limit_deg: float = option(99.0, "labels with an angle at or beyond this are left out", 1.0, 181.0)
    epochs: int = option(0, "epochs; 0: by steps", 0, 100000)
    steps: int = option(0, "steps", 0, 10**8)
    batch: int = option(16, "faces per step", 1, 65536)
    lr: float = option(1e-3, "learning rate", 1e-9, 1.0)
    head_lr: float = option(1.0, "factor on the learning rate of what is not the backbone", 0.0, 100.0)
    optimiser: str = option(
        "adam", "adam at a rate that falls at milestones; adamw with warm-up and cosine", choices=OPTIMISERS
    )
    weight_decay: float = option(0.0, "of adam", 0.0, 1.0)
    milestones: str = option("", "epochs, e.g. '30 60', from which on the rate is lower")
    lr_factor: float = option(0.1, "by this factor each", 1e-6, 1.0)
    ema: float = option(0.0, "moving average of the weights; 0: the last ones", 0.0, 1.0)
    train: Loose = field(default_factory=Loose)
    aflw2000: Loose = field(default_factory=Loose)
    biwi: Loose = field(default_factory=Loose)
    augment: Augment = field(default_factory=Augment)
    config: dict[str, Any] = field(default_factory=dict)  # further settings of the method's Config
    loss: dict[str, float] = field(default_factory=dict)  # weights of its terms, instead of its WEIGHTS

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            raise HpeError("a recipe must say its model")
        if self.protocol and self.protocol not in PROTOCOLS:
            raise HpeError(f"unknown protocol '{self.protocol}', known: {', '.join(PROTOCOLS)}")
        numbers(self.milestones, "milestones")
        numbers(self.augment.coarse, "augment.coarse")
        if self.train.k_low > self.train.k_high:
            raise HpeError(f"train: k_low must not be above k_high, got {self.train.k_low} and {self.train.k_high}")
        for name, value in self.loss.items() if isinstance(self.loss, dict) else [("loss", None)]:
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise HpeError(f"loss must give a weight of at least 0 for '{name}', got {value!r}")
        if not isinstance(self.config, dict):
            raise HpeError(f"config must be a group of settings, got {self.config!r}")


def numbers(text: str, name: str) -> list[int]:
    """Whole numbers above 0 in a text, rising. Raises HpeError when it is another."""
    parts = text.split()
    found = [int(part) for part in parts if part.isdecimal()]
    if len(found) < len(parts) or 0 in found or found != sorted(set(found)):
        raise HpeError(f"{name} must be rising whole numbers such as '30 60', got {text!r}")
    return found


def load(path: str | Path) -> Recipe:
    """Recipe of a YAML file. Raises HpeError with the file, what is wrong in it and what is allowed."""
    values = load_mapping(path, "recipe")
    try:
        return overridden(Recipe(model=_text(values, "model")), values)
    except HpeError as error:
        raise HpeError(f"recipe {path}: {error}") from error


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise HpeError(f"{name} must be the name of a method, got {value!r}")
    return value


def defaults(recipe: Recipe) -> dict[str, Any]:
    """Options of training.train_crop that a recipe sets, by their names; milestones are epochs until `with_epochs`."""
    same = ("model", "trunk", "batch", "lr", "head_lr", "optimiser", "weight_decay", "lr_factor", "ema", "epochs")
    options = {name: getattr(recipe, name) for name in same}
    options |= {"milestones": numbers(recipe.milestones, "milestones"), "loss": dict(recipe.loss)}
    return options | {
        "settings": dict(recipe.config),
        "steps": recipe.steps or None,
        "crop": recipe.crop,
        "protocol": recipe.protocol or None,
    }


def with_epochs(args: argparse.Namespace, faces: int) -> None:
    """Steps for the epochs of a recipe over so many faces, unless steps are given; milestones as steps."""
    per_epoch = -(-faces // args.batch)
    if args.epochs and not args.steps:
        args.steps = args.epochs * per_epoch
    args.milestones = [epoch * per_epoch for epoch in args.milestones]
