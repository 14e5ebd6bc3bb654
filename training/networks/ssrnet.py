"""ssrnet: three angles by soft stagewise regression, coarse to fine, in bins whose place and width follow the face.

Source: SSR-Net-MD of FSA-Net's comparison (Yang et al., CVPR 2019), after SSR-Net (IJCAI 2018). Its own trunk reads
64x64 pixels and has 233,619 parameters with the heads. On the shared trunk one map feeds both streams.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from training.networks import _euler
from training.networks._trunks import ssr
from training.networks._trunks.method import DeployedRotation, MethodConfig, spec

SPEC = spec("ssrnet")
FREE_BATCH = True
BATCHES, STEPS = "crops", 6000
WEIGHTS = {"angles": 0.05}  # per degree
CELLS = (4, 4, 8)  # side of the pooled products


@dataclass(frozen=True)
class Config(MethodConfig):
    """Which trunk."""

    OWN_SIDE: ClassVar[int] = ssr.SIDE


class StageHead(nn.Module):
    """One stage: features (N, F) -> p (N, 9), delta (N, 3), eta (N, 3)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.delta, self.eta = (
            nn.Sequential(nn.Linear(features, 6), nn.Tanh(), nn.Linear(6, 3), nn.Tanh()) for _ in range(2)
        )
        self.p = ssr.bins_layer(features)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return torch.relu(self.p(x)), self.delta(x), self.eta(x)


class SsrNet(nn.Module):
    """Products of both streams, pooled, one head per stage."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.trunk = ssr.TwoStreams() if config.trunk == "own" else ssr.OneStream()
        self.gates = ssr.Gates()
        self.heads = nn.ModuleList(StageHead(cells**2 * ssr.CHANNELS) for cells in CELLS)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(N, side, side, 3) uint8 -> yaw, pitch, roll (N, 3) in degrees."""
        found = []
        for head, cells, (s, x) in zip(self.heads, CELLS, self.gates(self.trunk(crops)), strict=True):
            pool = s.shape[-1] // cells
            found.append(head((F.max_pool2d(s, pool) * F.avg_pool2d(x, pool)).flatten(1)))
        p, delta, eta = (torch.stack(part, 1).float() for part in zip(*found, strict=True))
        return ssr.angles(p.unflatten(-1, (3, ssr.BINS)), delta, eta)


def loss_terms(output: torch.Tensor, labels: dict[str, torch.Tensor], config: Config) -> dict[str, torch.Tensor]:
    """Mean absolute error of the angles."""
    return {"angles": ssr.mean_absolute_deg(output, labels)}


class Deployed(DeployedRotation):
    """As exported: the angles as a rotation."""

    def sixd(self, output: torch.Tensor) -> torch.Tensor:
        return _euler.sixd(output)


def build(config: Config | None = None) -> SsrNet:
    """A fresh network with random weights."""
    return SsrNet(config or Config())
