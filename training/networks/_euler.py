"""Euler angles and bins of them in torch, for the methods that classify angles.

Angles are (N, 3) degrees: yaw, pitch, roll of R = Rx(-pitch) Ry(yaw) Rz(roll), the convention of 300W-LP; the twin in
NumPy is hpe_core.geometry.euler.aflw2000.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from hpe_core.errors import HpeError
from training.networks._trunks.method import Backbone, DeployedRotation, MethodConfig

LIMIT_DEG = 99.0  # of the published bins: labels beyond are not learnt
ANGLES = 3  # yaw, pitch, roll
OFFSETS = {"centre": 0.5, "published": 0.0}  # of what a bin stands for from its lower edge, in bins


@dataclass(frozen=True)
class BinConfig(MethodConfig):
    """decode: a bin stands for its `centre`, or for its lower edge, as `published`."""

    decode: str = "centre"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decode not in OFFSETS:
            raise HpeError(f"decode is '{self.decode}', allowed: {', '.join(OFFSETS)}")


def from_matrix(R: torch.Tensor) -> torch.Tensor:
    """Angles (N, 3) of rotations (N, 3, 3): yaw in +-180, pitch in +-90, roll in +-180.

    Of the two triples of a rotation this is the one with the smaller pitch; aflw2000.from_matrix gives the one with the
    smaller yaw. They are the same for upright heads within 90 degrees of yaw.
    """
    yaw = torch.asin(R[:, 0, 2].clamp(-1.0, 1.0))
    pitch = -torch.atan2(-R[:, 1, 2], R[:, 2, 2])
    roll = torch.atan2(-R[:, 0, 1], R[:, 0, 0])
    angles = torch.rad2deg(torch.stack([yaw, pitch, roll], -1))
    other = wrapped(torch.tensor([180.0, 180.0, 180.0]) + torch.tensor([-1.0, 1.0, 1.0]) * angles)
    return torch.where((angles[:, 1].abs() <= 90.0)[:, None], angles, other)


def sixd(angles: torch.Tensor) -> torch.Tensor:
    """First two columns (N, 6) of the rotations with these angles (N, 3)."""
    rad = angles * (3.141592653589793 / 180.0)
    sb, sa, sc = torch.sin(rad).unbind(-1)
    cb, ca, cc = torch.cos(rad).unbind(-1)
    sa = -sa  # Rx turns by minus pitch
    x = [cb * cc, ca * sc + sa * sb * cc, sa * sc - ca * sb * cc]
    y = [-cb * sc, ca * cc - sa * sb * sc, sa * cc + ca * sb * sc]
    return torch.stack([*x, *y], -1)


def wrapped(angles: torch.Tensor) -> torch.Tensor:
    """Angles or differences of them, any shape, in [-180, 180)."""
    return torch.remainder(angles + 180.0, 360.0) - 180.0


def bin_of(angles: torch.Tensor, count: int, limit: float = LIMIT_DEG) -> torch.Tensor:
    """Index of each angle's bin, of `count` equal ones from -limit to +limit; angles beyond go to the outermost."""
    width = 2.0 * limit / count
    return torch.floor((angles + limit) / width).long().clamp(0, count - 1)


def bin_angles(count: int, limit: float = LIMIT_DEG, decode: str = "centre") -> torch.Tensor:
    """What each bin stands for (count,): its centre, or as `published` its lower edge, half a bin less."""
    return (torch.arange(count) + OFFSETS[decode]) * (2.0 * limit / count) - limit


def expectation(logits: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Mean angle (...,) under the softmax of logits (..., bins) over bins that stand for `angles` (bins,)."""
    return (torch.softmax(logits, -1) * angles.to(logits)).sum(-1)


def mean_angles(logits: torch.Tensor, config: BinConfig) -> torch.Tensor:
    """Yaw, pitch, roll (N, 3) of logits (N, 3, bins): expectations over equal bins within 99 degrees."""
    return expectation(logits, bin_angles(logits.shape[-1], decode=config.decode))


def cross_entropy(logits: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each sample (...,) from logits (..., bins) and bin indices (...,)."""
    return F.cross_entropy(logits.flatten(0, -2), bins.flatten(), reduction="none").reshape(bins.shape)


def soft_cross_entropy(logits: torch.Tensor, bins: torch.Tensor, weights: tuple[float, ...]) -> torch.Tensor:
    """Cross-entropy (...,) with soft targets: an odd number of weights about each bin (...,), as far as they fit."""
    count, reach = logits.shape[-1], len(weights) // 2
    near = bins[..., None] + torch.arange(-reach, reach + 1)
    share = torch.tensor(weights) * ((near >= 0) & (near < count))
    taken = torch.log_softmax(logits, -1).gather(-1, near.clamp(0, count - 1))
    return -(share * taken).sum(-1)


def within(angles: torch.Tensor, limit: float = LIMIT_DEG) -> torch.Tensor:
    """Which samples (N,) have all their angles (N, k) inside the bins."""
    return (angles.abs() < limit).all(-1)


class AngleHeads(nn.Module):
    """One linear layer per angle over features (N, F) -> logits (N, angles, bins)."""

    def __init__(self, features: int, bins: int) -> None:
        super().__init__()
        self.bins = bins
        self.linear = nn.Linear(features, ANGLES * bins)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.linear(features).float().unflatten(1, (ANGLES, self.bins))


class AngleNetwork(nn.Module):
    """A trunk, shared or its `own`, and AngleHeads over its features."""

    def __init__(self, config: BinConfig, own: type[nn.Module], bins: int) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config, own)
        self.heads = AngleHeads(self.backbone.features, bins)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(N, side, side, 3) uint8 -> logits (N, 3, bins) of yaw, pitch, roll."""
        return self.heads(self.backbone(crops))


class DeployedAngles(DeployedRotation):
    """As exported, for networks whose output are logits (N, 3, bins): (N, side, side, 3) uint8 -> (N, 6) float32."""

    def sixd(self, output: torch.Tensor) -> torch.Tensor:
        return sixd(mean_angles(output, self.config))
