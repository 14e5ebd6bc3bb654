"""Batches of a crop network: stored face crops (training.data.crops), each shown as two random views at a time.

The views of one face lie side by side, for the consistency loss.
"""

import argparse
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from training.data.crops import KEYS, LEAST_PX, SHAPE_KEYS, random_view, unknown_shape

VIEWS = 2
AWAY_DEG, AWAY_SHARE = 110, 0.25  # yaw from which no face is seen; how often such a head is drawn
NO_FACE_SHARE = 0.03  # of what is drawn, where there is any
SHAPE_SHARE = 0.6  # of what is drawn, of faces whose shape is known, where it is of some


class Views(torch.utils.data.Dataset):
    """Sample `index` of a seeded sequence: two views (2, S, S, 3) uint8 of one face and their labels.

    config: of the network, with `side` and `crop_m`, and `learns_shape` where it wants identity and expression; clean:
    share of faces whose views are turned and shifted, not degraded.

    Rare yaws are drawn more often: probability falls with the root of their number. Heads turned away are drawn less,
    faces whose identity and expression are known SHAPE_SHARE of the time.
    """

    def __init__(self, paths: Sequence[str], config, seed: int, length: int, clean: float = 0.0):
        stores = [np.load(path) for path in paths]
        self.crops = [store["crops"] for store in stores]
        self.labels = {key: np.concatenate([store[key] for store in stores]) for key in KEYS}
        if getattr(config, "learns_shape", False):
            for key in SHAPE_KEYS:
                parts = [store[key] if key in store else _unknown(key, len(store["weight"])) for store in stores]
                self.labels[key] = np.concatenate(parts).astype(np.float32)
        self.starts = np.cumsum([0] + [len(crops) for crops in self.crops])
        R = self.labels["R_local"]
        yaw = np.degrees(np.abs(np.arctan2(R[:, 0, 2], R[:, 2, 2])))
        bins = (yaw // 10).astype(int)
        rarity = 1.0 / np.sqrt(np.maximum(np.bincount(bins, minlength=19), 30))[bins]
        rarity *= np.where(yaw > AWAY_DEG, AWAY_SHARE, 1.0)
        no_face = self.labels["no_face"] > 0
        rarity[no_face] = NO_FACE_SHARE / (1 - NO_FACE_SHARE) * rarity[~no_face].sum() / max(no_face.sum(), 1)
        if getattr(config, "learns_shape", False):
            known = np.isfinite(self.labels["identity"][:, 0])
            rarity[known] = 1.0  # a profile shows little of an expression
            if known.any() and not known.all():
                rarity[known] *= SHAPE_SHARE / (1 - SHAPE_SHARE) * rarity[~known].sum() / rarity[known].sum()
        self.cumulative = np.cumsum(rarity) / rarity.sum()
        self.config, self.seed, self.length = config, seed, length
        self.clean, self.least_px = clean, getattr(config, "least_px", LEAST_PX)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int):
        cv2.setNumThreads(1)
        rng = np.random.default_rng([self.seed, index])
        face = min(int(np.searchsorted(self.cumulative, rng.random(), side="right")), self.starts[-1] - 1)
        store = int(np.searchsorted(self.starts, face, side="right")) - 1
        crop = self.crops[store][face - self.starts[store]]
        label = {key: values[face] for key, values in self.labels.items()}
        side, crop_m = self.config.side, self.config.crop_m
        least_px = 0 if self.clean and rng.random() < self.clean else self.least_px
        return [random_view(rng, crop, label, side, crop_m, least_px) for _ in range(VIEWS)]


def _unknown(key: str, faces: int) -> np.ndarray:
    value = unknown_shape()[key]
    return np.broadcast_to(value, (faces, *value.shape))


def collate(samples: Sequence) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Crops (2 B, S, S, 3) uint8 and a dict of label tensors (2 B, ...) float32."""
    views = [view for sample in samples for view in sample]
    crops = torch.from_numpy(np.stack([crop for crop, _ in views]))
    labels = {key: torch.from_numpy(np.array([label[key] for _, label in views], np.float32)) for key in views[0][1]}
    return crops, labels


def add_options(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Options of `python -m training.train` for networks that learn from these batches."""
    parser.add_argument("--crops", nargs="+", required=required, help="files that training.data.crops wrote")
    parser.add_argument("--clean", type=float, default=0.0, help="share of faces that are only turned and shifted")


def dataset(args: argparse.Namespace, config) -> Views:
    """The whole sequence of a run: steps * batch samples."""
    return Views(args.crops, config, args.seed, args.steps * args.batch, args.clean)
