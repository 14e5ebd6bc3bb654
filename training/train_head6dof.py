"""Train head6dof on shards of photos and renders.

    python -m training.train_head6dof --shards DIR [DIR ...] --out runs/head6dof --steps 6000

The result is one file, `<out>/last.pt`, which training.deploy.export turns into the ONNX that ships (training.fit).
"""

import cv2
import numpy as np
import torch

from hpe_core.io.shards import LABEL
from training import fit
from training.data.labels import FaceLabel
from training.data.scenes import SceneMaker
from training.data.shards import ShardSet
from training.losses.head6dof import loss_terms
from training.networks import head6dof

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


def faces_from(labels: FaceLabel) -> dict[str, torch.Tensor]:
    """A FaceLabel as float32 tensors by name."""
    return {name: torch.from_numpy(np.ascontiguousarray(getattr(labels, name))).float() for name in LABEL}


def collate(samples):
    """Images (B, H, W, 3) and a list of B face dicts."""
    return torch.stack([image for image, _ in samples]), [faces for _, faces in samples]


def train(args):
    """Train, as `parser` says."""
    fit.prepare(args)
    config = head6dof.Config()
    data = Scenes(ShardSet(args.shards), config, args.seed, args.steps * args.batch)

    def losses(maps, faces):
        return loss_terms([m.float().cpu() for m in maps], faces, config)

    fit.fit(head6dof.build(config), config, data, collate, losses, LOSS_WEIGHTS, args)


def parser():
    p = fit.parser(__doc__, steps=6000, batch=32)
    p.add_argument("--shards", nargs="+", required=True, help="folders with shard_*.npz")
    return p


if __name__ == "__main__":
    train(parser().parse_args())
