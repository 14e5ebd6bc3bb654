"""Train what lies behind the trunk of a crop network first, on features that are computed once.

    python -m training.warm_head dense --start hpe_core/weights/crop6dof.onnx --crops CROPS.npz [...] --out runs/warm
    python -m training.train dense --start hpe_core/weights/crop6dof.onnx --crops CROPS.npz [...] \\
        --resume runs/warm/last.pt --restart-schedule --out runs/dense

New outputs of a network that begins with another's trunk so learn in a tenth of the time, and the trunk is not led
astray by them. --views random views are drawn as in training; --steps and --batch count steps over their features.
"""

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hpe_core import registry
from training import fit
from training.networks._blocks import fuse
from training.train import LOSSES, NETWORKS, batches_of, fused_weights

DRAW = 32  # samples at a time while features are computed
DROPOUT = 0.1
NOTE_EVERY = 200  # steps


def features(net, data, collate, workers: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """What the trunk says of all views of `data` (N, C, 4, 4) float16, and their labels."""
    loader = torch.utils.data.DataLoader(data, DRAW, num_workers=workers, collate_fn=collate)
    found, labels = [], []
    with torch.no_grad():
        for images, label in loader:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                found.append(net.trunk(images).half())
            labels.append(label)
    return torch.cat(found), {key: torch.cat([label[key] for label in labels]) for key in labels[0]}


def warm(args: argparse.Namespace) -> None:
    """Train, as `parser` says; writes `<args.out>/last.pt` like training.train."""
    fit.prepare(args)
    network = registry.load(NETWORKS, args.network)
    loss, batches, config = registry.load(LOSSES, network.LOSS), batches_of(network), network.Config()
    net = network.build(config)
    net.load_state_dict(fused_weights(fuse(net), args.start, getattr(network, "from_smaller", None)))
    net = net.to(memory_format=torch.channels_last)
    seen, labels = features(
        net, batches.of_length(args, config, args.views // batches.VIEWS), batches.collate, args.workers
    )
    terms_of = partial(loss.loss_terms, config=config)
    rng, drop = np.random.default_rng(args.seed), nn.Dropout(DROPOUT)
    head = [p for module in (net.hidden, net.output) for p in module.parameters()]
    optimiser = torch.optim.AdamW(head, lr=args.lr, weight_decay=0.02)
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(args.ema)
    )
    running: dict[str, float] = {}
    for step in range(args.steps):
        faces = rng.integers(0, len(seen) // batches.VIEWS, args.batch)
        rows = torch.from_numpy((faces[:, None] * batches.VIEWS + np.arange(batches.VIEWS)).ravel())
        optimiser.param_groups[0]["lr"] = fit.learning_rate(step, args.steps, args.lr)
        terms = terms_of(
            net.behind_trunk(drop(seen[rows].float())), {key: value[rows] for key, value in labels.items()}
        )
        optimiser.zero_grad()
        sum(loss.WEIGHTS[name] * value for name, value in terms.items()).backward()
        nn.utils.clip_grad_norm_(head, 10.0)
        optimiser.step()
        average.update_parameters(net)
        running = {name: 0.98 * running.get(name, value.item()) + 0.02 * value.item() for name, value in terms.items()}
        if (step + 1) % NOTE_EVERY == 0:
            print(step + 1, {name: round(value, 4) for name, value in running.items()}, flush=True)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    whole = torch.optim.AdamW(net.parameters())  # the joint training that follows has another
    state = {"net": net.state_dict(), "average": average.state_dict(), "optimiser": whole.state_dict()}
    torch.save(
        state | {"step": args.steps, "config": asdict(config), "args": vars(args), "commit": fit.commit()},
        out / "last.pt",
    )


def parser() -> argparse.ArgumentParser:
    """The command line: a network, then its options."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("network", choices=["dense"])
    fit.add_options(p, 3000)
    p.set_defaults(batch=128)
    p.add_argument("--start", required=True, help="exported model whose trunk it begins with")
    p.add_argument("--views", type=int, default=60000)
    batches_of(registry.load(NETWORKS, "dense")).add_options(p)
    return p


if __name__ == "__main__":
    warm(parser().parse_args())
