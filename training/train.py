"""Train a network.

    python -m training.train crop6dof --crops CROPS.npz [CROPS.npz ...] --out runs/crop6dof
    python -m training.train head6dof --shards DIR [DIR ...] --out runs/head6dof

The result is one file, `<out>/last.pt`, which training.deploy.export turns into the ONNX that ships (training.fit).
A network is one file in training/networks: SPEC, Config, build, Deployed, FREE_BATCH, and the names of what it learns
from (BATCHES, a file in training/batches) and by (LOSS, a file in training/losses).
"""

import argparse
from functools import partial
from types import ModuleType

from hpe_core import registry
from training import fit

NETWORKS, BATCHES, LOSSES = "training.networks", "training.batches", "training.losses"


def batches_of(network: ModuleType) -> ModuleType:
    """The module of training.batches that a network names."""
    return registry.load(BATCHES, network.BATCHES)


def train(args: argparse.Namespace) -> None:
    """Train, as `parser` says."""
    fit.prepare(args)
    network = registry.load(NETWORKS, args.network)
    batches, loss = batches_of(network), registry.load(LOSSES, network.LOSS)
    config = network.Config()
    data = batches.dataset(args, config)
    terms = partial(loss.loss_terms, config=config)
    fit.fit(network.build(config), config, data, batches.collate, terms, loss.WEIGHTS, args)


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
