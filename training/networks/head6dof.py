"""head6dof: whole image in, faces with 6DoF pose out; one stage, dense, no detector before it.

Source: the formulation follows img2pose (Albiero et al., CVPR 2021, arXiv 2012.07791): pose of every face straight
from the whole image, box from the pose. Ours is a one-stage dense head instead of Faster R-CNN, so that the graph has a
fixed output shape. Trunk: 3x3 convolutions with an identity branch, fused into one convolution for inference (RepVGG,
Ding et al., CVPR 2021). Rotation as six numbers (Zhou et al., CVPR 2019).
"""

from dataclasses import dataclass

import torch
from torch import nn

from training.networks._blocks import RepConv, fuse, stage

SPEC = {
    "name": "head6dof",
    "input": "uint8 BGR image (1, height, width, 3), letterboxed",
    "output": "float32 (1, locations, 14): one row per location, see `columns`",
    "columns": {
        "score": [0, 1],
        "centre_px": [1, 3],
        "size_px": [3, 4],
        "sixd": [4, 10],
        "rotation_std_rad": [10, 11],
        "size_rel_std": [11, 12],
        "centre_rel_std": [12, 13],
        "stride": [13, 14],
    },
}
RAW_CHANNELS = 13
FREE_BATCH = False  # one image at a time
FREE_SIDES = True  # of any size in whole steps of the largest stride
BATCHES, LOSS, STEPS = "scenes", "head6dof", 6000  # of training.train: training/batches, training/losses


@dataclass(frozen=True)
class Config:
    """Widths and input size. strides: of the three output levels; level_size_px: size_px that output 0 stands for."""

    width: int = 320
    height: int = 256
    stem: int = 16
    widths: tuple = (32, 48, 96, 160)
    blocks: tuple = (0, 1, 3, 2)
    strides: tuple = (8, 16, 32)
    level_size_px: tuple = (24.0, 60.0, 150.0)

    @property
    def input_hwc(self) -> tuple[int, int, int]:
        """Shape of one input image."""
        return self.height, self.width, 3


class Head6DoF(nn.Module):
    """Trunk, top-down neck and one output map per stride. In (B, H, W, 3) uint8 BGR."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        c4, c8, c16, c32 = config.widths
        self.stem = RepConv(3, config.stem, 2)
        self.stages = nn.ModuleList(
            stage(c_in, c_out, n)
            for c_in, c_out, n in zip((config.stem, c4, c8, c16), config.widths, config.blocks, strict=True)
        )
        self.down32, self.down16 = nn.Conv2d(c32, c16, 1), nn.Conv2d(c16, c8, 1)
        self.merge16, self.merge8 = RepConv(c16, c16), RepConv(c8, c8)
        self.tower32, self.tower16 = RepConv(c32, c32), RepConv(c16, c16)
        self.outputs = nn.ModuleList(nn.Conv2d(c, RAW_CHANNELS, 1) for c in (c8, c16, c32))
        for output in self.outputs:
            nn.init.normal_(output.weight, std=0.01)
            nn.init.zeros_(output.bias)
            with torch.no_grad():
                output.bias[0] = -4.0
                output.bias[4], output.bias[8] = 1.0, 1.0
                output.bias[10:13] = -1.5

    def forward(self, image):
        """Raw maps [(B, 13, H/s, W/s) for s in strides]."""
        x = image.permute(0, 3, 1, 2).float() / 127.5 - 1.0  # B 3 H W
        x = self.stages[0](self.stem(x))  # B 32 H/4
        x8 = self.stages[1](x)
        x16 = self.stages[2](x8)
        x32 = self.stages[3](x16)
        up = nn.functional.interpolate
        y16 = self.merge16(x16 + up(self.down32(x32), scale_factor=2.0))
        y8 = self.merge8(x8 + up(self.down16(y16), scale_factor=2.0))
        features = (y8, self.tower16(y16), self.tower32(x32))
        return [output(feature) for output, feature in zip(self.outputs, features, strict=True)]


def cell_centres(height, width, stride):
    """Pixel centres (height * width, 2) of the cells of one map, x then y, row by row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride - 0.5


def decode(raw_maps, config):
    """Rows (B, locations, 14) in SPEC's columns from raw maps: pixels and standard deviations instead of logits."""
    rows = []
    for raw, stride, base in zip(raw_maps, config.strides, config.level_size_px, strict=True):
        height, width = raw.shape[-2:]
        flat = raw.flatten(2).transpose(1, 2)  # B HW 13
        centres = cell_centres(height, width, stride).to(flat)
        rows.append(
            torch.cat(
                [
                    torch.sigmoid(flat[..., 0:1]),
                    centres + stride * flat[..., 1:3],
                    base * torch.exp(flat[..., 3:4].clamp(-3.0, 3.0)),
                    flat[..., 4:10],
                    torch.exp(flat[..., 10:13].clamp(-6.0, 1.0)),
                    torch.full_like(flat[..., 0:1], stride),
                ],
                -1,
            )
        )
    return torch.cat(rows, 1)


class Deployed(nn.Module):
    """Network with fused convolutions and the decoded output, as exported."""

    def __init__(self, net):
        super().__init__()
        self.net, self.config = fuse(net), net.config

    def forward(self, image):
        """(1, H, W, 3) uint8 -> (1, locations, 14) float32."""
        return decode(self.net(image), self.config)


def build(config=None):
    """A fresh network with random weights."""
    return Head6DoF(config or Config())
