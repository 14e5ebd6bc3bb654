"""Train crop6dof on stored face crops (training.data.crops).

    python -m training.train_crop6dof --crops CROPS.npz [CROPS.npz ...] --out runs/crop6dof --steps 20000

Every face is shown as two random views at a time, for the consistency loss. The result is one file, `<out>/last.pt`,
which training.deploy.export turns into the ONNX that ships (training.fit).
"""

import cv2
import numpy as np
import torch

from training import fit
from training.data.crops import KEYS, random_view
from training.losses.crop6dof import WEIGHTS, loss_terms
from training.networks import crop6dof

VIEWS = 2


class Views(torch.utils.data.Dataset):
    """Sample `index` of an endless seeded sequence: two views (2, S, S, 3) uint8 of one face and their labels.

    Rare yaws are drawn more often: probability falls with the root of their number.
    """

    def __init__(self, paths, config, seed, length):
        stores = [np.load(path) for path in paths]
        self.crops = [store["crops"] for store in stores]
        self.labels = {key: np.concatenate([store[key] for store in stores]) for key in KEYS}
        self.starts = np.cumsum([0] + [len(crops) for crops in self.crops])
        yaw = np.degrees(np.arcsin(np.clip(np.abs(self.labels["R_local"][:, 0, 2]), 0, 1)))
        bins = (yaw // 10).astype(int)
        rarity = 1.0 / np.sqrt(np.maximum(np.bincount(bins, minlength=10), 30))[bins]
        self.cumulative = np.cumsum(rarity) / rarity.sum()
        self.config, self.seed, self.length = config, seed, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        cv2.setNumThreads(1)
        rng = np.random.default_rng([self.seed, index])
        face = min(int(np.searchsorted(self.cumulative, rng.random(), side="right")), self.starts[-1] - 1)
        store = int(np.searchsorted(self.starts, face, side="right")) - 1
        crop = self.crops[store][face - self.starts[store]]
        label = {key: values[face] for key, values in self.labels.items()}
        return [random_view(rng, crop, label, self.config.side, crop6dof.SPEC["crop_m"]) for _ in range(VIEWS)]


def collate(samples):
    """Crops (2 B, S, S, 3) uint8 and a dict of label tensors (2 B, ...) float32."""
    views = [view for sample in samples for view in sample]
    crops = torch.from_numpy(np.stack([crop for crop, _ in views]))
    labels = {key: torch.from_numpy(np.array([label[key] for _, label in views], np.float32)) for key in views[0][1]}
    return crops, labels


def train(args):
    """Train, as `parser` says."""
    fit.prepare(args)
    config = crop6dof.Config()
    data = Views(args.crops, config, args.seed, args.steps * args.batch)
    fit.fit(crop6dof.build(config), config, data, collate, loss_terms, WEIGHTS, args)


def parser():
    p = fit.parser(__doc__, steps=20000, batch=32)
    p.add_argument("--crops", nargs="+", required=True, help="files that training.data.crops wrote")
    return p


if __name__ == "__main__":
    train(parser().parse_args())
