"""Train head6dof on shards of photos and renders.

    python -m training.train_head6dof --shards DIR [DIR ...] --out runs/head6dof --steps 6000

Runs on a GPU where there is one, else on the CPU in bfloat16. Every --save-every steps it writes a checkpoint with
weights, moving averages, optimiser, config, commit and seed; --resume goes on from it. The result is one file,
`<out>/last.pt`, which hpe_core.export turns into the ONNX that ships.
"""

import argparse
import json
import math
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from hpe_core.models import head6dof
from training.scenes import SceneMaker
from training.shards import Labels, ShardSet
from training.targets import loss_terms

LOSS_WEIGHTS = {
    "score": 1.0,
    "centre": 2.0,
    "size": 1.0,
    "rotation": 4.0,
    "points": 2.0,
    "rotation_nll": 0.1,
    "size_nll": 0.1,
    "centre_nll": 0.1,
}


class Scenes(torch.utils.data.Dataset):
    """Scene `index` of an endless seeded sequence: image (H, W, 3) uint8 and a dict of label tensors."""

    def __init__(self, shards, config, seed, length):
        yaw = shards.yaw_deg()
        histogram = np.bincount((yaw // 10).astype(int), minlength=19)
        rarity = 1.0 / np.sqrt(np.maximum(histogram, 30))[(yaw // 10).astype(int)]
        self.maker, self.seed, self.length = SceneMaker(shards, rarity), seed, length
        assert (self.maker.config.width, self.maker.config.height) == (config.width, config.height)

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        cv2.setNumThreads(1)
        image, labels = self.maker.scene(np.random.default_rng([self.seed, index]))
        return torch.from_numpy(np.ascontiguousarray(image)), faces_from(labels)


def faces_from(labels):
    """Labels as float32 tensors by name."""
    return {
        name: torch.from_numpy(np.ascontiguousarray(getattr(labels, name))).float()
        for name in Labels.__dataclass_fields__
    }


def collate(samples):
    """Images (B, H, W, 3) and a list of B face dicts."""
    return torch.stack([image for image, _ in samples]), [faces for _, faces in samples]


def commit():
    """Current git commit, with `+` when the tree has changes; `unknown` outside git."""
    options = {"capture_output": True, "text": True, "check": True, "cwd": Path(__file__).parent}
    try:
        head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], **options)
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno", "."], **options)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def learning_rate(step, steps, peak):
    """Linear warm-up over 200 steps, then a cosine to 1 % of the peak."""
    warm = min(1.0, (step + 1) / 200)
    return peak * warm * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / steps))))


def train(args):
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = head6dof.Config()
    net = head6dof.build(config).to(device, memory_format=torch.channels_last)
    decay = [p for p in net.parameters() if p.ndim > 1]
    no_decay = [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.02}, {"params": no_decay, "weight_decay": 0.0}], lr=args.lr
    )
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(args.ema), use_buffers=True
    )
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    start = 0
    if args.resume:
        saved = torch.load(args.resume, weights_only=True, map_location=device)
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        if not args.restart_schedule:
            optimiser.load_state_dict(saved["optimiser"])
            start = saved["step"]

    shards = ShardSet(args.shards)
    data = Scenes(shards, config, args.seed, args.steps * args.batch)
    remaining = torch.utils.data.Subset(data, range(start * args.batch, len(data)))
    loader = torch.utils.data.DataLoader(
        remaining, args.batch, num_workers=args.workers, collate_fn=collate, persistent_workers=False
    )
    log = open(out / "log.jsonl", "a")
    running, began = {}, time.time()
    progress = tqdm(loader, initial=start, total=args.steps, unit="step")
    for step, (images, faces) in enumerate(progress, start):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, args.steps, args.lr)
        with torch.autocast(device, dtype=torch.bfloat16):
            maps = net(images.to(device))
        terms = loss_terms([m.float().cpu() for m in maps], faces, config)
        loss = sum(LOSS_WEIGHTS[name] * value for name, value in terms.items())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
        average.update_parameters(net)
        for name, value in terms.items():
            running[name] = 0.98 * running.get(name, value.item()) + 0.02 * value.item()
        if (step + 1) % 50 == 0:
            line = {"step": step + 1, "minutes": (time.time() - began) / 60} | running
            log.write(json.dumps({k: round(v, 4) for k, v in line.items()}) + "\n")
            log.flush()
            progress.set_postfix({k: f"{running.get(k, 0):.3f}" for k in ("score", "rotation", "centre", "size")})
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


def parser():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shards", nargs="+", required=True, help="folders with shard_*.npz")
    p.add_argument("--out", required=True)
    p.add_argument("--steps", type=int, default=6000)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--ema", type=float, default=0.998)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--threads", type=int, default=0, help="CPU threads of torch; one is best when cores are shared")
    p.add_argument("--save-every", type=int, default=250)
    p.add_argument("--resume", help="checkpoint to go on from")
    p.add_argument("--restart-schedule", action="store_true", help="keep the weights of --resume, start at step 0")
    return p


if __name__ == "__main__":
    train(parser().parse_args())
