"""The training loop that every network shares: seeded data, moving averages, checkpoints, resume.

Every --save-every steps `<out>/last.pt` is written with weights, moving averages, optimiser, config, commit and seed;
--resume goes on from it. Runs on a GPU where there is one, else on the CPU, in bfloat16 where that helps (`half`).
"""

import argparse
import json
import math
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from hpe_core.errors import HpeError

STEPS_PER_SEED = 10**7  # no two seeds share a step's


def commit() -> str:
    """Current git commit, with `+` when the tree has changes; `unknown` outside git."""
    options = {"capture_output": True, "text": True, "check": True, "cwd": Path(__file__).parent}
    try:
        head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], **options)
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno", "."], **options)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 200 steps, then a cosine to 1 % of the peak."""
    warm = min(1.0, (step + 1) / 200)
    return peak * warm * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / steps))))


def rate_of(step: int, args: argparse.Namespace) -> float:
    """Learning rate of a step: `learning_rate`, or of adam one that falls by --lr-factor at every milestone."""
    if args.optimiser == "adamw":
        return learning_rate(step, args.steps, args.lr)
    return args.lr * args.lr_factor ** sum(step >= milestone for milestone in args.milestones)


def optimiser_of(net: torch.nn.Module, args: argparse.Namespace) -> torch.optim.Optimizer:
    """AdamW, which decays weights of more than one axis; or adam, with a rate of its own for what is not `backbone`."""
    if args.optimiser == "adamw":
        decay = [p for p in net.parameters() if p.ndim > 1]
        no_decay = [p for p in net.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": 0.02}, {"params": no_decay, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=args.lr)
    body = [p for name, p in net.named_parameters() if name.startswith("backbone.")]
    heads = [p for name, p in net.named_parameters() if not name.startswith("backbone.")]
    groups = [{"params": body}, {"params": heads, "factor": args.head_lr}]
    return torch.optim.Adam([g for g in groups if g["params"]], lr=args.lr, weight_decay=args.weight_decay)


def weights_of(weights: dict[str, float], args: argparse.Namespace) -> dict[str, float]:
    """Weights of a network's loss terms with those of a recipe over them. Raises HpeError for a term that it lacks."""
    for name in args.loss.keys() - weights.keys():
        raise HpeError(f"the loss of {args.model} has no term '{name}', known: {', '.join(weights)}")
    return weights | args.loss


def device() -> str:
    """`cuda` where there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def half(net: torch.nn.Module) -> bool:
    """Whether to compute in bfloat16: not with depthwise convolutions on a CPU.

    There their backward pass is up to eight times as slow as in float32 (torch 2.13).
    """
    convolutions = [layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)]
    return device() == "cuda" or not any(layer.groups == layer.in_channels > 1 for layer in convolutions)


def fit(net, config, data, collate, loss_terms, loss_weights, args):
    """Train `net` on `data`, whose samples steps * batch long sequence is seeded; writes `<args.out>/last.pt`.

    loss_terms(output, labels) -> dict of scalars, weighted by loss_weights; collate(samples) -> (images, labels).
    """
    net, in_half = net.to(device(), memory_format=torch.channels_last), half(net)
    optimiser = optimiser_of(net, args)
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(args.ema), use_buffers=True
    )
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    start = _restore(args, net, average, optimiser)
    remaining = torch.utils.data.Subset(data, range(start * args.batch, len(data)))
    loader = torch.utils.data.DataLoader(remaining, args.batch, num_workers=args.workers, collate_fn=collate)
    log = open(out / "log.jsonl", "a")
    running, began = {}, time.time()
    progress = tqdm(loader, initial=start, total=args.steps, unit="step")
    for step, (images, labels) in enumerate(progress, start):
        torch.manual_seed(args.seed * STEPS_PER_SEED + step)  # dropout of a step is the same in a resumed run
        for group in optimiser.param_groups:
            group["lr"] = group.get("factor", 1.0) * rate_of(step, args)
        with torch.autocast(device(), dtype=torch.bfloat16, enabled=in_half):
            output = net(images.to(device()))
        terms = loss_terms(output, labels)
        optimiser.zero_grad()
        sum(loss_weights[name] * value for name, value in terms.items()).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
        average.update_parameters(net)
        for name, value in terms.items():
            running[name] = 0.98 * running.get(name, value.item()) + 0.02 * value.item()
        if (step + 1) % 50 == 0:
            line = {"step": step + 1, "minutes": (time.time() - began) / 60} | running
            log.write(json.dumps({k: round(v, 4) for k, v in line.items()}) + "\n")
            log.flush()
            progress.set_postfix({k: f"{v:.3f}" for k, v in running.items()})
        if (step + 1) % args.save_every == 0 or step + 1 == args.steps:
            checkpoint = {
                "net": net.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step + 1,
                "config": asdict(config),
                "args": vars(args),
                "commit": commit(),
            }
            torch.save(checkpoint, out / "tmp.pt")
            (out / "tmp.pt").replace(out / "last.pt")


def _restore(args, net, average, optimiser):
    """Load --resume, if given; returns the step to go on from."""
    if not args.resume:
        return 0
    saved = torch.load(args.resume, weights_only=True, map_location=device())
    net.load_state_dict(saved["net"])
    average.load_state_dict(saved["average"])
    if args.restart_schedule:
        return 0
    optimiser.load_state_dict(saved["optimiser"])
    return saved["step"]


def add_options(p: argparse.ArgumentParser, steps: int | None) -> None:
    """Options that every network has; `steps` is the default of --steps."""
    p.add_argument("--out", required=True)
    p.add_argument("--steps", type=int, default=steps)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--ema", type=float, default=0.998)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--threads", type=int, default=0, help="CPU threads of torch; one is best when cores are shared")
    p.add_argument("--save-every", type=int, default=250)
    p.add_argument("--start", help="exported model to begin with, trained on in its fused form")
    p.add_argument("--resume", help="checkpoint to go on from")
    p.add_argument("--restart-schedule", action="store_true", help="keep the weights of --resume, start at step 0")
    # what a recipe may say (training.recipes)
    p.set_defaults(optimiser="adamw", weight_decay=0.0, head_lr=1.0, milestones=[], lr_factor=0.1, loss={})


def prepare(args: argparse.Namespace) -> None:
    """Seed and thread count, before the network is built."""
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
