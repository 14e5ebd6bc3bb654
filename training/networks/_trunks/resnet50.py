"""ResNet-50 (He et al., CVPR 2016) without its classifier: stride in the 3x3 convolutions, as its users train it."""

import torch
from torch import nn

from training.networks._blocks import outputs_of

WIDTHS = (256, 512, 1024, 2048)
BLOCKS = (3, 4, 6, 3)


def _conv_bn(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
    )


class Bottleneck(nn.Module):
    """1x1 to a quarter of the width, 3x3, 1x1 back, added to the input."""

    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.reduce = _conv_bn(c_in, c_out // 4, 1)
        self.middle = _conv_bn(c_out // 4, c_out // 4, 3, stride)
        self.expand = _conv_bn(c_out // 4, c_out, 1)
        self.skip = nn.Identity() if c_in == c_out and stride == 1 else _conv_bn(c_in, c_out, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.middle(torch.relu(self.reduce(x))))
        return torch.relu(self.expand(y) + self.skip(x))


class ResNet50(nn.Module):
    """(N, 3, H, W) -> maps at strides 4, 8, 16, 32."""

    widths = WIDTHS

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(_conv_bn(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        stages, c_in = [], 64
        for index, (width, count) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
            blocks = [Bottleneck(c_in if i == 0 else width, width, 2 if i == 0 and index else 1) for i in range(count)]
            stages.append(nn.Sequential(*blocks))
            c_in = width
        self.stages = nn.ModuleList(stages)

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Output of every stage."""
        return outputs_of(self.stages, self.stem(x))
