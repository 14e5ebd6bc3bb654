"""whenet: yaw over the full circle in 120 bins of three degrees, pitch and roll in 66.

Source: Zhou, Gregson, WHENet: Real-time Fine-Grained Estimation for Wide Range Head Pose, 2020. EfficientNet-B0;
cross-entropy plus the square of the error the short way round. The weights of the two were not published: 1 and 1 here.

Where the original errs: its mean of the yaw is linear, so that a head which shows its back, half in the first bin and
half in the last, reads as facing the camera. Here yaw is the direction of the bins' mean vector, and where that is too
short to point anywhere the row is zeros, which is no rotation. Lower edges instead of bin centres (1.5 degrees).
`decode` = `published` does both as the original.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from training.networks import _euler
from training.networks._trunks.efficientnet_b0 import EfficientNetB0
from training.networks._trunks.method import Backbone, DeployedRotation, shares, spec

SPEC = spec("whenet")
FREE_BATCH = True  # any number of crops
BATCHES, STEPS = "crops", 6000
YAW_BINS, BINS = 120, 66
FULL_DEG = 180.0
SHORTEST = 0.1  # mean vector of the yaw's bins that still points somewhere; a sure network gives nearly 1
WEIGHTS = {"cross_entropy": 1.0, "square": 1.0}


@dataclass(frozen=True)
class Config(_euler.BinConfig):
    """decode `published`: the linear mean of the yaw too."""


class WHENet(nn.Module):
    """Features to 120 + 66 + 66 logits."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config, EfficientNetB0)
        self.yaw = nn.Linear(self.backbone.features, YAW_BINS)
        self.pitch_roll = nn.Linear(self.backbone.features, 2 * BINS)

    def forward(self, crops: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, side, side, 3) uint8 -> logits: yaw (N, 120), pitch_roll (N, 2, 66)."""
        features = self.backbone(crops)
        return {
            "yaw": self.yaw(features).float(),
            "pitch_roll": self.pitch_roll(features).float().unflatten(1, (2, BINS)),
        }


def decode(logits: dict[str, torch.Tensor], config: Config) -> tuple[torch.Tensor, torch.Tensor]:
    """Yaw, pitch, roll (N, 3) deg and the length (N,) of the yaw's mean vector, 0 to 1; 1 where none is taken."""
    pitch_roll = _euler.expectation(logits["pitch_roll"], _euler.bin_angles(BINS, decode=config.decode))
    bins = _euler.bin_angles(YAW_BINS, FULL_DEG, config.decode)
    if config.decode == "published":
        yaw = _euler.expectation(logits["yaw"], bins)
        length = torch.ones_like(yaw)
    else:
        sine, cosine = (_euler.expectation(logits["yaw"], f(torch.deg2rad(bins))) for f in (torch.sin, torch.cos))
        yaw, length = torch.atan2(sine, cosine) * (180.0 / math.pi), torch.sqrt(sine.square() + cosine.square())
    return torch.cat([yaw[:, None], pitch_roll], -1), length


def loss_terms(
    logits: dict[str, torch.Tensor], labels: dict[str, torch.Tensor], config: Config
) -> dict[str, torch.Tensor]:
    """Dict of scalars, each the sum over the three angles; labels of `training.data.crops.random_view`."""
    logits = {name: value.cpu() for name, value in logits.items()}
    angles = _euler.from_matrix(labels["R_local"])
    share = shares(labels, _euler.within(angles[:, 1:]))
    cross_entropy = _euler.cross_entropy(logits["yaw"], _euler.bin_of(angles[:, 0], YAW_BINS, FULL_DEG))
    cross_entropy = cross_entropy + _euler.cross_entropy(logits["pitch_roll"], _euler.bin_of(angles[:, 1:], BINS)).sum(
        -1
    )
    decoded, length = decode(logits, config)
    square = _euler.wrapped(decoded - angles).square()
    # the shorter the mean vector, the wilder the slope of its direction
    square = length.detach().square() * square[:, 0] + square[:, 1:].sum(-1)
    return {"cross_entropy": (share * cross_entropy).sum(), "square": (share * square).sum()}


class Deployed(DeployedRotation):
    """As exported: (N, side, side, 3) uint8 -> (N, 6); zeros where the yaw points nowhere."""

    def sixd(self, output: dict[str, torch.Tensor]) -> torch.Tensor:
        angles, length = decode(output, self.config)
        return _euler.sixd(angles) * (length >= SHORTEST).float()[:, None]


def build(config: Config | None = None) -> WHENet:
    """A fresh network with random weights."""
    return WHENet(config or Config())
