"""dense: a face-centred crop -> crop6dof's pose, and identity, expression and gaze of a head model.

Seed: 3DDFA_V2 (Guo et al., ECCV 2020). The vertices are F = mean + identity . S + expression . E of
hpe_core/weights/head_model.npz, camera points R F + t. The pose is the shipped crop6dof's and stays what it is, because
features that tell poses tell no expressions: a second trunk behind the same first layer, RepVGG blocks as there, says
the shape and is all that is trained.
"""

from dataclasses import dataclass

import torch
from torch import nn

from hpe_core.catalogue import WEIGHTS
from training.networks import crop6dof
from training.networks._blocks import fuse, stage

IDENTITY, EXPRESSION, GAZE = 40, 53, 4
_POSE = 17  # columns, as in crop6dof
SPEC = {
    "name": "dense",
    "input": "uint8 BGR face-centred crops (N, side, side, 3), `crop_m` metres wide",
    "output": "float32 (N, 182): one row per crop, see `columns`",
    "crop_m": 0.28,
    "columns": {
        **{name: span for name, span in crop6dof.SPEC["columns"].items() if span[1] <= _POSE},  # as in crop6dof
        "visibility": [17, 85],  # logits of the 68 landmarks
        "identity": [85, 125],  # standard deviations
        "expression": [125, 178],  # 0..1 by the head model's names; left and right are the subject's
        "gaze": [178, 182],  # left yaw, pitch, right yaw, pitch in the head, rad; to the subject's left and up
    },
}
ROW = 182
FREE_BATCH = True  # any number of crops
BATCHES, LOSS, STEPS = "crops", "dense", 6000  # of training.train


@dataclass(frozen=True)
class Config(crop6dof.Config):
    """Widths and input side: of crop6dof, and of the trunk of shapes."""

    shape_widths: tuple = (32, 64, 96, 128)
    shape_blocks: tuple = (1, 2, 2, 1)
    shape_hidden: int = 256

    @property
    def learns_shape(self) -> bool:
        """The batches say identity, expression and gaze where they are known."""
        return True

    @property
    def least_px(self) -> int:
        """Of a crop's side that a view shows: below it an expression is hardly seen."""
        return 32

    @property
    def columns(self) -> dict[str, list[int]]:
        """Columns of an output row, as the loss reads them."""
        return SPEC["columns"]


class Dense(nn.Module):
    """crop6dof, fused and fixed, and a second trunk to a 4x4 map with two dense layers."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.pose = fuse(crop6dof.build(config)).requires_grad_(False)
        ins = (config.stem, *config.shape_widths[:-1])
        self.stages = nn.Sequential(
            *[stage(a, b, n) for a, b, n in zip(ins, config.shape_widths, config.shape_blocks, strict=True)]
        )
        cells = (config.side // 2 ** (len(config.shape_widths) + 1)) ** 2
        self.hidden = nn.Linear(cells * config.shape_widths[-1], config.shape_hidden)
        self.output = nn.Linear(config.shape_hidden, IDENTITY + EXPRESSION + GAZE)
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.zeros_(self.output.bias)
        with torch.no_grad():
            self.output.bias[IDENTITY : IDENTITY + EXPRESSION] = -2.5  # most are near 0

    def forward(self, crops):
        """(N, side, side, 3) uint8 -> rows (N, 182) in SPEC's columns; while it trains, those of the pose are 0."""
        pose = self.pose
        x = pose.stem(crops.permute(0, 3, 1, 2).float() / 127.5 - 1.0)  # N 16 S/2 S/2
        shape = self.output(torch.relu(self.hidden(self.stages(x).flatten(1)))).float()
        identity, expression, gaze = shape.split([IDENTITY, EXPRESSION, GAZE], 1)
        first, visibility = shape.new_zeros(len(shape), _POSE), shape.new_zeros(len(shape), crop6dof.LANDMARKS)
        if not self.training:
            row = pose.output(torch.relu(pose.hidden(pose.stages(x).flatten(1)))).float()
            head, centre, size, _, visibility = row.split([12, 2, 3, 3 * crop6dof.LANDMARKS, crop6dof.LANDMARKS], 1)
            first = torch.cat([head, centre * crop6dof.SCALE_M, size], 1)
        return torch.cat([first, visibility, identity, torch.sigmoid(expression), gaze], 1)


class Deployed(crop6dof.Deployed):
    """Network with fused convolutions, as exported."""


def build(config=None):
    """A network with the shipped pose and a random shape."""
    from training.train import fused_weights  # which finds networks by name

    net = Dense(config or Config())
    net.pose.load_state_dict(fused_weights(net.pose, str(WEIGHTS / "crop6dof.onnx")))
    return net
