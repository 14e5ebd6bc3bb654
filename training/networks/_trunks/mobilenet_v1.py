"""MobileNet v1 (Howard et al., arXiv 1704.04861) as OpNet has it: one grey channel, a 5x5 stem, skips."""

import torch
from torch import nn

from training.networks._blocks import outputs_of

STEM = 32
# width, stride
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
_LAST_OF_STRIDE = (0, 2, 4, 10, 12)


class SeparableBlock(nn.Module):
    """Depthwise 3x3, BN, ReLU, 1x1, BN, added to the input where shapes allow, ReLU."""

    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(c_in, c_in, 3, stride, 1, groups=c_in, bias=False),
            nn.BatchNorm2d(c_in),
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        self.adds = c_in == c_out and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return torch.relu(x + y if self.adds else y)


class MobileNetV1(nn.Module):
    """(N, 1, H, W) -> maps at strides 2, 4, 8, 16, 32: 65, 33, 17, 9, 5 cells wide for a side of 129."""

    widths = (64, 128, 256, 512, 1024)

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, STEM, 5, 2, 2, bias=False), nn.BatchNorm2d(STEM), nn.ReLU())
        blocks, c_in = [], STEM
        for width, stride in BLOCKS:
            blocks.append(SeparableBlock(c_in, width, stride))
            c_in = width
        self.blocks = nn.ModuleList(blocks)

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The last output of every stride."""
        found = outputs_of(self.blocks, self.stem(x))
        return [found[i] for i in _LAST_OF_STRIDE]
