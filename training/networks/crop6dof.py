"""crop6dof: a face-centred crop -> rotation with uncertainty, 68 visible or hidden landmarks, translation and scale.

Source: direct rotation as six numbers (Zhou et al., CVPR 2019), tangent-space Gaussian by a Cholesky factor as in
OpNet (arXiv 2407.05357). Trunk: 3x3 convolutions with an identity branch, fused into one for inference (RepVGG).
"""

from dataclasses import dataclass

import torch
from torch import nn

from training.networks._blocks import RepConv, fuse, stages

LANDMARKS = 68
SPEC = {
    "name": "crop6dof",
    "input": "uint8 BGR face-centred crops (N, side, side, 3), `crop_m` metres wide",
    "output": "float32 (N, 289): one row per crop, see `columns`",
    "crop_m": 0.28,
    "columns": {
        "sixd": [0, 6],  # R_local
        "precision_factor": [6, 12],  # L: log diagonal, then below it (yx, zx, zy); information L L' of the left error
        "centre_m": [12, 14],  # face centre from the crop's middle, metres at the face's scale
        "log_size": [14, 15],  # ln(true size / size assumed by the crop)
        "log_centre_std_m": [15, 16],
        "log_size_std": [16, 17],
        "landmarks_m": [17, 221],  # (68, 3) x right, y down, z away, from the crop's middle and the face centre's depth
        "visibility": [221, 289],  # logits
    },
}
ROW = 289
FREE_BATCH = True  # any number of crops
BATCHES, LOSS, STEPS = "crops", "crop6dof", 20000  # of training.train: training/batches, training/losses
SCALE_M = 0.1  # the network's own unit of length


@dataclass(frozen=True)
class Config:
    """Widths and input side."""

    side: int = 128
    stem: int = 16
    widths: tuple = (32, 64, 128, 128)
    blocks: tuple = (1, 3, 3, 0)
    hidden: int = 128

    @property
    def input_hwc(self) -> tuple[int, int, int]:
        """Shape of one input crop."""
        return self.side, self.side, 3

    @property
    def crop_m(self) -> float:
        """Width of a crop, as the batches cut it."""
        return SPEC["crop_m"]

    @property
    def columns(self) -> dict[str, list[int]]:
        """Columns of an output row, as the loss reads them."""
        return SPEC["columns"]


class Crop6DoF(nn.Module):
    """Trunk to a 4x4 map, then two dense layers: where things lie matters, so nothing is pooled."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.stem = RepConv(3, config.stem, 2)
        self.stages = stages(config.stem, config.widths, config.blocks)
        cells = (config.side // 2 ** (len(config.widths) + 1)) ** 2
        self.hidden = nn.Linear(cells * config.widths[-1], config.hidden)
        self.output = nn.Linear(config.hidden, ROW)
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.zeros_(self.output.bias)
        with torch.no_grad():
            self.output.bias[0], self.output.bias[4] = 1.0, 1.0
            self.output.bias[6:9] = 2.0
            self.output.bias[15:17] = -3.0

    def forward(self, crops):
        """(N, side, side, 3) uint8 -> rows (N, 289) in SPEC's columns."""
        x = crops.permute(0, 3, 1, 2).float() / 127.5 - 1.0  # N 3 S S
        x = self.stages(self.stem(x))  # N C 4 4
        row = self.output(torch.relu(self.hidden(x.flatten(1)))).float()
        head, centre, size, landmarks, rest = row.split([12, 2, 3, 3 * LANDMARKS, LANDMARKS], 1)
        return torch.cat([head, centre * SCALE_M, size, landmarks * SCALE_M, rest], 1)


class Deployed(nn.Module):
    """Network with fused convolutions, as exported."""

    def __init__(self, net):
        super().__init__()
        self.net, self.config = fuse(net), net.config

    def forward(self, crops):
        """(N, side, side, 3) uint8 -> (N, 289) float32."""
        return self.net(crops)


def build(config=None):
    """A fresh network with random weights."""
    return Crop6DoF(config or Config())
