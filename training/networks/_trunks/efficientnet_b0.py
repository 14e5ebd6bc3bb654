"""EfficientNet-B0 (Tan and Le, ICML 2019) without its classifier and without stochastic depth."""

import torch
from torch import nn

from training.networks._blocks import outputs_of

STEM, TOP = 32, 1280
# expansion, width, blocks, first stride, kernel
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def _conv_bn_silu(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
        nn.SiLU(),
    )


class SqueezeExcite(nn.Module):
    """Channels weighted by what the pooled map says (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = nn.functional.silu(self.squeeze(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.excite(pooled))


class InvertedBottleneck(nn.Module):
    """1x1 up, depthwise, squeeze and excite, 1x1 down without an activation; added to the input where shapes allow."""

    def __init__(self, c_in: int, c_out: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        inner = c_in * expansion
        self.layers = nn.Sequential(
            *([_conv_bn_silu(c_in, inner, 1)] if expansion > 1 else []),
            _conv_bn_silu(inner, inner, kernel, stride, groups=inner),
            SqueezeExcite(inner, c_in // 4),
            nn.Conv2d(inner, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        self.adds = c_in == c_out and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return x + y if self.adds else y


class EfficientNetB0(nn.Module):
    """(N, 3, H, W) -> maps at strides 4, 8, 16, 32."""

    widths = (24, 40, 112, TOP)

    def __init__(self):
        super().__init__()
        self.stem = _conv_bn_silu(3, STEM, 3, 2)
        stages, c_in = [], STEM
        for expansion, width, count, stride, kernel in STAGES:
            blocks = [
                InvertedBottleneck(c_in if i == 0 else width, width, expansion, kernel, stride if i == 0 else 1)
                for i in range(count)
            ]
            stages.append(nn.Sequential(*blocks))
            c_in = width
        self.stages = nn.ModuleList(stages)
        self.top = _conv_bn_silu(c_in, TOP, 1)

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The last output of every stride; of the coarsest one, the 1280 channels of the top."""
        found = outputs_of(self.stages, self.stem(x))
        return [found[1], found[2], found[4], self.top(found[-1])]
