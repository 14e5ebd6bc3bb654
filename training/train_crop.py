"""Train a crop network by its name: a published method, on its own trunk or on the shared one, or crop6dof.

    python -m training.train_crop --model hopenet --trunk shared --start hpe_core/weights/crop6dof.onnx \\
        --crops CROPS.npz [CROPS.npz ...] --out runs/hopenet
    python -m training.train_crop --model hopenet --trunk own --crops CROPS.npz --out runs/hopenet_own
    python -m training.train_crop --recipe config/training/hopenet.yaml --data 300W_LP --out runs/hopenet_published

`shared` is crop6dof's trunk, which --start gives crop6dof's weights, so that heads are compared on equal terms; `own`
is the published one. --data takes folders of 300W-LP, AFLW2000-3D and BIWI; a recipe (training.recipes) says how a
method was published: rates, epochs, losses and crops. Options given beside it win. The result is `<out>/last.pt`, as of
training.train; training.deploy.export makes the ONNX of it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from types import ModuleType
from typing import Any

from hpe_core import registry
from hpe_core.errors import HpeError
from hpe_core.evaluation.images.protocols import PROTOCOLS
from training import fit, recipes
from training.batches import crops, folders
from training.data.folders import faces_of
from training.networks._trunks.method import TRUNKS
from training.train import NETWORKS, run

BATCHES = "crops"


def known() -> list[str]:
    """Sorted names of the networks that learn from crops."""
    return [name for name in registry.available(NETWORKS) if registry.load(NETWORKS, name).BATCHES == BATCHES]


def network_of(name: str) -> ModuleType:
    """The module of a crop network. Raises HpeError, listing the known ones, when there is none."""
    if name not in (names := known()):
        raise HpeError(f"unknown model '{name}', known: {', '.join(names)}")
    return registry.load(NETWORKS, name)


def config_of(network: ModuleType, **settings: Any) -> Any:
    """The network's Config with these settings; None leaves the default. Raises HpeError for one that it lacks."""
    settings = {name: value for name, value in settings.items() if value is not None}
    allowed = [field.name for field in fields(network.Config)]
    for name in settings.keys() - set(allowed):
        raise HpeError(f"{network.SPEC['name']} has no setting '{name}', allowed: {', '.join(allowed)}")
    return network.Config(**settings)


def train(args: argparse.Namespace) -> None:
    """Train, as `parser` says."""
    if not args.model:
        raise HpeError(f"say --model or --recipe; known models: {', '.join(known())}")
    network = network_of(args.model)
    config = config_of(network, trunk=args.trunk, **args.settings)
    data = _of_folders(args, network, config) if args.data else _of_crops(args, network, config)
    run(args, network, config, data, crops.collate)


def _of_crops(args: argparse.Namespace, network: ModuleType, config: Any) -> crops.Views:
    if not args.crops:
        raise HpeError("say what to learn from: --crops FILES or --data FOLDERS")
    if args.crop == recipes.PUBLISHED or args.list or args.protocol:
        raise HpeError("--crops are look-at crops of all faces: --crop published, --list and --protocol need --data")
    if args.epochs and not args.steps:
        raise HpeError("epochs are of --data: give --steps with --crops")
    args.steps = args.steps or network.STEPS
    return crops.dataset(args, config)


def _of_folders(args: argparse.Namespace, network: ModuleType, config: Any) -> folders.Folders:
    if args.crops:
        raise HpeError("give --crops or --data, not both")
    if args.crop == recipes.PUBLISHED and not args.recipe:
        raise HpeError("--crop published needs a --recipe, which says how the crops are cut")
    recipe = recipes.load(args.recipe) if args.recipe else recipes.Recipe(model=args.model)
    recipe = replace(recipe, crop=args.crop or recipes.LOOKAT, protocol=args.protocol or "")
    faces = faces_of(args.data, recipe, args.list or ())
    recipes.with_epochs(args, len(faces))
    args.steps = args.steps or network.STEPS
    return folders.Folders(faces, recipe, config, args.seed, args.steps * args.batch)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", help=", ".join(known()))
    p.add_argument("--trunk", choices=TRUNKS, help="by default the shared one, or the recipe's")
    p.add_argument("--recipe", help="YAML file, as those in config/training")
    p.add_argument("--data", nargs="+", help="folders of 300W-LP, AFLW2000-3D or BIWI")
    p.add_argument("--list", nargs="+", help="files with the names of the images of --data that are taken, one a line")
    p.add_argument("--crop", choices=(recipes.PUBLISHED, recipes.LOOKAT), help="of --data, by default look-at crops")
    p.add_argument("--protocol", choices=PROTOCOLS, help="whose test sequences of --data are left out, as biwi-70-30")
    p.add_argument("--epochs", type=int, default=0, help="over --data; --steps wins")
    fit.add_options(p, None)
    crops.add_options(p, required=False)
    p.set_defaults(settings={})
    return p


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The parsed command line; what it leaves open is the recipe's."""
    p = parser()
    recipe = p.parse_args(argv).recipe
    if recipe:
        p.set_defaults(**recipes.defaults(recipes.load(recipe)))
    return p.parse_args(argv)


def main() -> None:
    try:
        train(arguments())
    except HpeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
