"""Building blocks of the networks: 3x3 convolutions that fuse to one for inference."""

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
        scale = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        kernel = self.conv.weight * scale[:, None, None, None]
        bias = self.bn.bias - self.bn.running_mean * scale
        if self.identity is not None:
            scale = self.identity.weight / torch.sqrt(self.identity.running_var + self.identity.eps)
            kernel = kernel.clone()
            channels = torch.arange(len(scale))
            kernel[channels, channels, 1, 1] += scale
            bias = bias + self.identity.bias - self.identity.running_mean * scale
        conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, self.conv.stride, 1)
        conv.weight.data, conv.bias.data = kernel.detach(), bias.detach()
        return nn.Sequential(conv, nn.ReLU())


def stage(c_in, c_out, blocks):
    """A strided RepConv and `blocks` more."""
    return nn.Sequential(RepConv(c_in, c_out, 2), *[RepConv(c_out, c_out) for _ in range(blocks)])


def stages(stem, widths, blocks):
    """Stages one after the other: of `widths` channels, each half as large as the one before."""
    ins = (stem, *widths[:-1])
    return nn.Sequential(*[stage(a, b, n) for a, b, n in zip(ins, widths, blocks, strict=True)])


def fuse(module):
    """The module with every RepConv replaced, in place, by its fused form."""
    for name, child in module.named_children():
        setattr(module, name, child.fused() if isinstance(child, RepConv) else fuse(child))
    return module
