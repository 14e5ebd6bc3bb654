"""The trunk of SSR-Net and FSA-Net: one stream of separable convolutions with ReLU, and one with tanh."""

import torch
from torch import nn

WIDTHS = (32, 64, 128)


def separable(c_in: int, c_out: int, activation: nn.Module) -> nn.Sequential:
    """Depthwise 3x3 without bias, 1x1 with, BN as Keras has it, activation."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_in, 3, 1, 1, groups=c_in, bias=False),
        nn.Conv2d(c_in, c_out, 1),
        nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.01),
        activation,
    )


class Stream(nn.Module):
    """(N, 3, 64, 64) -> maps 16x16x32, 8x8x64, 8x8x128."""

    def __init__(self, activation: nn.Module, pool: nn.Module):
        super().__init__()
        a, b, c = WIDTHS
        self.levels = nn.ModuleList(
            [
                nn.Sequential(separable(3, 16, activation), pool),
                nn.Sequential(separable(16, a, activation), separable(a, a, activation), pool),
                nn.Sequential(separable(a, b, activation), separable(b, b, activation), pool),
                nn.Sequential(separable(b, c, activation), separable(c, c, activation)),
            ]
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        found = []
        for level in self.levels:
            x = level(x)
            found.append(x)
        return found[1:]


class TwoStreams(nn.Module):
    """(N, 3, 64, 64) -> three maps of each stream."""

    widths = WIDTHS

    def __init__(self):
        super().__init__()
        self.relu, self.tanh = Stream(nn.ReLU(), nn.AvgPool2d(2)), Stream(nn.Tanh(), nn.MaxPool2d(2))

    def maps(self, x: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """(of the tanh stream, of the ReLU stream), finest first."""
        return list(zip(self.tanh(x), self.relu(x), strict=True))
