"""hybrid: coarse to fine, each angle as 198, 66, 18, 6 and 2 bins at once; the 198 are read as their expectation.

Source: Wang, Chen, Zhou, Hybrid Coarse-Fine Classification for Head Pose Estimation, 2019. hopenet's trunk and crops;
cross-entropies weighted 7, 5, 3, 1, 1 plus twice the square of the angle's error.

Where the original errs: lower edges instead of centres (0.5 degrees; `decode` tells); the roll's loss takes the two-bin
term of pitch, and the two-bin layers are never trained: here each angle has its own, and all learn. Still true here:
the bins do not nest (11 is no multiple of 3), and the cross-entropies are not on one scale (ln 198 to ln 2).
"""

from dataclasses import dataclass

import torch

from training.networks import _euler
from training.networks._trunks.method import shares, spec
from training.networks._trunks.resnet50 import ResNet50

SPEC = spec("hybrid")
FREE_BATCH = True  # any number of crops
BATCHES, STEPS = "crops", 6000
BINS = {198: 7.0, 66: 5.0, 18: 3.0, 6: 1.0, 2: 1.0}  # number of bins: weight of their cross-entropy
FINEST = 198
WEIGHTS = {"cross_entropy": 1.0, "square": 2.0}


@dataclass(frozen=True)
class Config(_euler.BinConfig):
    """No setting of its own."""


def loss_terms(logits: torch.Tensor, labels: dict[str, torch.Tensor], config: Config) -> dict[str, torch.Tensor]:
    """Dict of scalars, each the sum over the three angles; labels of `training.data.crops.random_view`."""
    logits = logits.cpu()
    angles = _euler.from_matrix(labels["R_local"])
    share = shares(labels, _euler.within(angles))
    cross_entropy = sum(
        weight * _euler.cross_entropy(part, _euler.bin_of(angles, bins)).sum(-1)
        for part, (bins, weight) in zip(logits.split(list(BINS), -1), BINS.items(), strict=True)
    )
    square = (_euler.mean_angles(logits[..., :FINEST], config) - angles).square().sum(-1)
    return {"cross_entropy": (share * cross_entropy).sum(), "square": (share * square).sum()}


class Deployed(_euler.DeployedAngles):
    """As exported: only the finest bins count."""

    def sixd(self, output: torch.Tensor) -> torch.Tensor:
        return super().sixd(output[..., :FINEST])


def build(config: Config | None = None) -> _euler.AngleNetwork:
    """A fresh network with random weights. The bins of BINS lie side by side."""
    return _euler.AngleNetwork(config or Config(), ResNet50, sum(BINS))
