"""Train a crop network by its name: a published method, on its own trunk or on the shared one, or crop6dof.

    python -m training.train_crop --model hopenet --trunk shared --start hpe_core/weights/crop6dof.onnx \\
        --crops CROPS.npz [CROPS.npz ...] --out runs/hopenet
    python -m training.train_crop --model hopenet --trunk own --crops CROPS.npz --out runs/hopenet_own

`shared` is crop6dof's trunk, which --start gives crop6dof's weights, so that heads are compared on equal terms; `own`
is the published one. The result is `<out>/last.pt`, as of training.train; training.deploy.export makes the ONNX of it.
"""

import argparse
import sys
from dataclasses import fields
from types import ModuleType
from typing import Any

from hpe_core import registry
from hpe_core.errors import HpeError
from training import fit
from training.batches import crops
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
    network = network_of(args.model)
    args.steps = args.steps or network.STEPS
    run(args, network, config_of(network, trunk=args.trunk))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True, help=", ".join(known()))
    p.add_argument("--trunk", choices=TRUNKS, help="by default the shared one")
    fit.add_options(p, None)
    crops.add_options(p)
    return p


def main() -> None:
    try:
        train(parser().parse_args())
    except HpeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
