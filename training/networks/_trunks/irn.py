"""Inverted residuals at full resolution first: the encoder of OPAL, a relative of MNN's that is known layer by layer.

Source: opal23_headpose (arXiv 2401.05807) by MNN's authors.
"""

import torch
from torch import nn

from training.networks._blocks import outputs_of

WIDTHS, BLOCKS = (32, 64, 128, 256, 256), (1, 1, 2, 3, 4)
EXPANSION = 6
HALVINGS = 2  # after the last blocks
FIRST_MAP = 2  # what is a quarter of the crop's side


class InvertedResidual(nn.Module):
    """x + 1x1 down(depthwise 3x3(1x1 up(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = EXPANSION * channels
        self.layers = nn.Sequential(
            *[nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()],
            *[nn.Conv2d(inner, inner, 3, 1, 1, groups=inner, bias=False), nn.BatchNorm2d(inner), nn.ReLU()],
            *[nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels)],
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


def _conv_bn_relu(c_in: int, c_out: int, side: int) -> list[nn.Module]:
    """A convolution whose kernel and stride are `side`."""
    return [nn.Conv2d(c_in, c_out, side, side, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]


class InvertedResidualNet(nn.Module):
    """(N, 3, S, S) -> maps of S / 4, S / 8, S / 16, S / 32, S / 64 cells a side."""

    widths = (*WIDTHS[FIRST_MAP:], *[WIDTHS[-1]] * HALVINGS)

    def __init__(self) -> None:
        super().__init__()
        steps, c_in = [], 3
        for i, (width, count) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
            steps.append(
                nn.Sequential(
                    *_conv_bn_relu(c_in, width, 2 if i else 1), *[InvertedResidual(width) for _ in range(count)]
                )
            )
            c_in = width
        steps += [nn.Sequential(*_conv_bn_relu(c_in, c_in, 2)) for _ in range(HALVINGS)]
        self.steps = nn.ModuleList(steps)

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Output of every step from a quarter of the side on."""
        return outputs_of(self.steps, x)[FIRST_MAP:]
