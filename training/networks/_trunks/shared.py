"""The trunk on which heads are compared: crop6dof's, without its last convolutions, so that it can start from them."""

import torch
from torch import nn

from training.networks._blocks import RepConv, outputs_of, stages

SIDE = 128
STEM, WIDTHS, BLOCKS = 16, (32, 64, 128), (1, 3, 2)
FEATURES = 128


def scaled(crops: torch.Tensor) -> torch.Tensor:
    """Crops (N, S, S, 3) uint8 as crop6dof reads them: (N, 3, S, S) float BGR in [-1, 1]."""
    return crops.permute(0, 3, 1, 2).float() / 127.5 - 1.0


class Shared(nn.Module):
    """Three maps of a crop of 128 pixels; 512,640 weights when fused, under the names that crop6dof gives them."""

    widths = WIDTHS

    def __init__(self) -> None:
        super().__init__()
        self.stem = RepConv(3, STEM, 2)
        self.stages = stages(STEM, WIDTHS, BLOCKS)

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """x (N, 3, 128, 128) of `scaled` -> (N, 32, 32, 32), (N, 64, 16, 16), (N, 128, 8, 8)."""
        return outputs_of(self.stages, self.stem(x))


class Neck(nn.Module):
    """The last map (N, 128, 8, 8) as features (N, 128). Where things lie matters, so nothing is pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = RepConv(WIDTHS[-1], 32, 2)
        self.hidden = nn.Linear(4 * 4 * 32, FEATURES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.hidden(self.conv(x).flatten(1)))
