"""Building blocks of the networks: 3x3 convolutions that fuse to one for inference."""

from collections.abc import Iterable

import torch
from torch import nn


class RepConv(nn.Module):
    """ReLU(BN(conv3x3(x)) + BN(x)); the second term only where shapes allow. `fused()` is the same as one conv."""

    def __init__(self, c_in, c_out, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(c_out)
        self.identity = nn.BatchNorm2d(c_out) if c_in == c_out and stride == 1 else None

    def forward(self, x):
        y = self.bn(self.conv(x))
        return torch.relu(y if self.identity is None else y + self.identity(x))

    def fused(self):
        """The same function in evaluation mode as Sequential(Conv2d with bias, ReLU)."""
        kernel, bias = folded(self.conv, self.bn)
        if self.identity is not None:
            kernel, bias = with_identity(kernel, bias, self.identity)
        conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, self.conv.stride, 1)
        conv.weight.data, conv.bias.data = kernel.detach(), bias.detach()
        return nn.Sequential(conv, nn.ReLU())


def folded(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel and bias of a convolution without bias and the batch norm after it, as one in evaluation mode."""
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    return conv.weight * scale[:, None, None, None], bn.bias - bn.running_mean * scale


def with_identity(kernel: torch.Tensor, bias: torch.Tensor, bn: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel (C, C / groups, 3, 3) and bias that add bn(x), in evaluation mode, to what they did."""
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    kernel, channels = kernel.clone(), torch.arange(len(scale))
    kernel[channels, channels % kernel.shape[1], 1, 1] += scale
    return kernel, bias + bn.bias - bn.running_mean * scale


def stage(c_in, c_out, blocks):
    """A strided RepConv and `blocks` more."""
    return nn.Sequential(RepConv(c_in, c_out, 2), *[RepConv(c_out, c_out) for _ in range(blocks)])


def stages(stem, widths, blocks):
    """Stages one after the other: of `widths` channels, each half as large as the one before."""
    ins = (stem, *widths[:-1])
    return nn.Sequential(*[stage(a, b, n) for a, b, n in zip(ins, widths, blocks, strict=True)])


def outputs_of(layers: Iterable[nn.Module], x: torch.Tensor) -> list[torch.Tensor]:
    """What each of some layers gives, the first of x, every other of the one before it."""
    found = []
    for layer in layers:
        x = layer(x)
        found.append(x)
    return found


def fuse(module):
    """The module with every block that has a fused form replaced by it, in place."""
    for name, child in module.named_children():
        setattr(module, name, child.fused() if hasattr(child, "fused") else fuse(child))
    return module
