"""Train a network.

    python -m training.train crop6dof --crops CROPS.npz [CROPS.npz ...] --out runs/crop6dof
    python -m training.train head6dof --shards DIR [DIR ...] --out runs/head6dof
    python -m training.train crop6dof --start hpe_core/weights/crop6dof.onnx --crops CROPS.npz --out runs/crop6dof

The result is one file, `<out>/last.pt`, which training.deploy.export turns into the ONNX that ships (training.fit).
A network is one file in training/networks: SPEC, Config, build, Deployed, FREE_BATCH, and the names of what it learns
from (BATCHES, a file in training/batches) and by (LOSS, a file in training/losses; or loss_terms and WEIGHTS of its
own). training.train_crop chooses the trunk of a crop method, too.
"""

import argparse
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from hpe_core import registry
from hpe_core.backends.tensorrt.onnx_graph import with_initializers
from hpe_core.errors import HpeError
from training import fit
from training.networks._blocks import fuse
from training.networks._trunks.shared import Shared

NETWORKS, BATCHES, LOSSES = "training.networks", "training.batches", "training.losses"


def batches_of(network: ModuleType) -> ModuleType:
    """The module of training.batches that a network names."""
    return registry.load(BATCHES, network.BATCHES)


def train(args: argparse.Namespace) -> None:
    """Train, as `parser` says."""
    network = registry.load(NETWORKS, args.network)
    batches, config = batches_of(network), network.Config()
    run(args, network, config, batches.dataset(args, config), batches.collate)


def run(
    args: argparse.Namespace, network: ModuleType, config: Any, data: torch.utils.data.Dataset, collate: Callable
) -> None:
    """Train a network with this Config on seeded data; args: of training.fit, and `start`."""
    fit.prepare(args)
    loss = registry.load(LOSSES, network.LOSS) if hasattr(network, "LOSS") else network
    terms = partial(loss.loss_terms, config=config)
    net = network.build(config)
    if args.start:
        load_start(net, args.start)
    fit.fit(net, config, data, collate, terms, fit.weights_of(loss.WEIGHTS, args), args)


def load_start(net: torch.nn.Module, path: str) -> None:
    """Fuse a network and give it the weights of an exported one: of itself, or the shared trunk those of crop6dof."""
    whole = fuse(net)
    names = {name for name, _ in whole.named_parameters()}
    trunk = next((part for part in whole.modules() if isinstance(part, Shared)), None)
    stored = {name.removeprefix("net.") for name in _weights_of(path)}
    part = whole if trunk is None or names <= stored else trunk
    part.load_state_dict(fused_weights(part, path))


def fused_weights(net: torch.nn.Module, path: str) -> dict[str, torch.Tensor]:
    """State of a fused network from the ONNX that training.deploy.export wrote of it.

    Raises HpeError when it is another network.
    """
    tensors = _weights_of(path)
    own = {f"net.{name}": value.shape for name, value in net.state_dict().items()}
    wrong = [name for name, shape in own.items() if name not in tensors or tensors[name].shape != tuple(shape)]
    if wrong:
        raise HpeError(f"{path}: got another network, want one with {wrong[0]} of shape {tuple(own[wrong[0]])}")
    return {name.removeprefix("net."): torch.tensor(tensors[name].astype(np.float32)) for name in own}


def _weights_of(path):
    """Name -> array of all weights of an exported network."""
    return {t.name: numpy_helper.to_array(t) for t in with_initializers(onnx.load(path)).graph.initializer}


def parser() -> argparse.ArgumentParser:
    """The command line: a network, then its options."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    networks = p.add_subparsers(dest="network", metavar="NETWORK", required=True)
    for name in registry.available(NETWORKS):
        network = registry.load(NETWORKS, name)
        options = networks.add_parser(name, help=network.SPEC["input"])
        fit.add_options(options, network.STEPS)
        batches_of(network).add_options(options)
    return p


if __name__ == "__main__":
    train(parser().parse_args())
