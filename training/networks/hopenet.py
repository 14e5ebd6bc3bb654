"""hopenet: each angle as 66 bins of three degrees, read as their expectation.

Source: Ruiz, Chong, Rehg, Fine-Grained Head Pose Estimation Without Keypoints, CVPRW 2018. ResNet-50, one linear layer
per angle; cross-entropy of the bins plus alpha times the square of the angle's error (alpha 1 or 2 in the paper).

Where the original errs: it decodes bins by their lower edges, 1.5 degrees below their centres; `decode` tells. A label
of exactly 99 has no bin there. It freezes only a part of its batch norms; here they all learn. Still true here: beyond
99 degrees it knows nothing, and near 90 degrees of yaw pitch and roll cannot be told apart.
"""

from dataclasses import dataclass

import torch

from training.networks import _euler
from training.networks._trunks.method import shares, spec
from training.networks._trunks.resnet50 import ResNet50

SPEC = spec("hopenet")
FREE_BATCH = True  # any number of crops
BATCHES, STEPS = "crops", 6000
BINS = 66
WEIGHTS = {"cross_entropy": 1.0, "square": 1.0}


@dataclass(frozen=True)
class Config(_euler.BinConfig):
    """alpha: weight of the squared error (deg^2) against the cross-entropy."""

    alpha: float = 1.0


def loss_terms(logits: torch.Tensor, labels: dict[str, torch.Tensor], config: Config) -> dict[str, torch.Tensor]:
    """Dict of scalars, each the sum over the three angles; labels of `training.data.crops.random_view`."""
    logits = logits.cpu()
    angles = _euler.from_matrix(labels["R_local"])
    share = shares(labels, _euler.within(angles))
    cross_entropy = _euler.cross_entropy(logits, _euler.bin_of(angles, BINS)).sum(-1)
    square = (_euler.mean_angles(logits, config) - angles).square().sum(-1)
    return {"cross_entropy": (share * cross_entropy).sum(), "square": config.alpha * (share * square).sum()}


Deployed = _euler.DeployedAngles


def build(config: Config | None = None) -> _euler.AngleNetwork:
    """A fresh network with random weights."""
    return _euler.AngleNetwork(config or Config(), ResNet50, BINS)
