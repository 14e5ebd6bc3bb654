"""Batches of a whole-image network: scenes of photos and renders (training.data.scenes)."""

import argparse
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from hpe_core.io.shards import LABEL
from training.data.labels import FaceLabel
from training.data.scenes import SceneMaker
from training.data.shards import ShardSet


class Scenes(torch.utils.data.Dataset):
    """Scene `index` of a seeded sequence: image (H, W, 3) uint8 and a dict of label tensors.

    config: of the network, with `width` and `height`.
    """

    def __init__(self, shards: ShardSet, config, seed: int, length: int):
        yaw = shards.yaw_deg()
        histogram = np.bincount((yaw // 10).astype(int), minlength=19)
        rarity = 1.0 / np.sqrt(np.maximum(histogram, 30))[(yaw // 10).astype(int)]
        self.maker, self.seed, self.length = SceneMaker(shards, rarity), seed, length
        assert (self.maker.config.width, self.maker.config.height) == (config.width, config.height)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int):
        cv2.setNumThreads(1)
        image, labels = self.maker.scene(np.random.default_rng([self.seed, index]))
        return torch.from_numpy(np.ascontiguousarray(image)), faces_from(labels)


def faces_from(labels: FaceLabel) -> dict[str, torch.Tensor]:
    """A FaceLabel as float32 tensors by name."""
    return {name: torch.from_numpy(np.ascontiguousarray(getattr(labels, name))).float() for name in LABEL}


def collate(samples: Sequence) -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
    """Images (B, H, W, 3) and a list of B face dicts."""
    return torch.stack([image for image, _ in samples]), [faces for _, faces in samples]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m training.train` for networks that learn from these batches."""
    parser.add_argument("--shards", nargs="+", required=True, help="folders with shard_*.npz")


def dataset(args: argparse.Namespace, config) -> Scenes:
    """The whole sequence of a run: steps * batch samples."""
    return Scenes(ShardSet(args.shards), config, args.seed, args.steps * args.batch)
