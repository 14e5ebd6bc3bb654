"""RepVGG-B1g2 (Ding et al., CVPR 2021) without its classifier: three branches in training, one convolution after."""

import torch
from torch import nn
from torch.nn import functional as F

from training.networks._blocks import folded, outputs_of, with_identity

STEM = 64
WIDTHS = (128, 256, 512, 2048)
BLOCKS = (4, 6, 16, 1)


class RepVggBlock(nn.Module):
    """ReLU(BN(conv3x3(x)) + BN(conv1x1(x)) + BN(x)); the last term only where shapes allow."""

    def __init__(self, c_in: int, c_out: int, stride: int, groups: int):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride, 1, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(c_out)
        self.pointwise = nn.Conv2d(c_in, c_out, 1, groups=groups, bias=False)
        self.pointwise_bn = nn.BatchNorm2d(c_out)
        self.identity = nn.BatchNorm2d(c_out) if c_in == c_out and stride == 1 else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # a 1x1 convolution of stride 2 over three channels corrupts the heap in its backward pass (torch 2.13, CPU)
        every = self.conv.stride[0]
        y = self.bn(self.conv(x)) + self.pointwise_bn(self.pointwise(x[:, :, ::every, ::every]))
        return torch.relu(y if self.identity is None else y + self.identity(x))

    def fused(self) -> nn.Sequential:
        """The same function in evaluation mode as Sequential(Conv2d with bias, ReLU)."""
        kernel, bias = folded(self.conv, self.bn)
        pointwise, pointwise_bias = folded(self.pointwise, self.pointwise_bn)
        kernel, bias = kernel + F.pad(pointwise, [1, 1, 1, 1]), bias + pointwise_bias
        if self.identity is not None:
            kernel, bias = with_identity(kernel, bias, self.identity)
        one = self.conv
        conv = nn.Conv2d(one.in_channels, one.out_channels, 3, one.stride[0], 1, groups=one.groups)
        conv.load_state_dict({"weight": kernel, "bias": bias})
        return nn.Sequential(conv, nn.ReLU())


class RepVggB1g2(nn.Module):
    """(N, 3, H, W) -> maps at strides 4, 8, 16, 32; every second block has two groups."""

    widths = WIDTHS

    def __init__(self):
        super().__init__()
        self.stem = RepVggBlock(3, STEM, 2, 1)
        stages, c_in, index = [], STEM, 1
        for width, count in zip(WIDTHS, BLOCKS, strict=True):
            blocks = []
            for i in range(count):
                blocks.append(RepVggBlock(c_in, width, 1 if i else 2, 1 if index % 2 else 2))
                c_in, index = width, index + 1
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Output of every stage."""
        return outputs_of(self.stages, self.stem(x))
