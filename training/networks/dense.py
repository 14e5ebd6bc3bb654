"""dense: a face-centred crop -> pose as crop6dof, identity and expression of a head model, gaze, visibility.

Seed: 3DDFA_V2 (Guo et al., ECCV 2020). The vertices are F = mean + identity . S + expression . E of
hpe_core/weights/head_model.npz, camera points R F + t. Trunk of crop6dof, a larger head.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from training.networks import crop6dof
from training.networks.crop6dof import LANDMARKS, SCALE_M, Crop6DoF, Deployed  # noqa: F401  Deployed is as there

IDENTITY, EXPRESSION, GAZE = 40, 53, 4
_SHARED = 17  # columns of the pose, as in crop6dof
SPEC = {
    "name": "dense",
    "input": "uint8 BGR face-centred crops (N, side, side, 3), `crop_m` metres wide",
    "output": "float32 (N, 182): one row per crop, see `columns`",
    "crop_m": 0.28,
    "columns": {
        **{name: span for name, span in crop6dof.SPEC["columns"].items() if span[1] <= _SHARED},  # as in crop6dof
        "visibility": [17, 85],  # logits of the 68 landmarks
        "identity": [85, 125],  # standard deviations
        "expression": [125, 178],  # 0..1 by the head model's names; left and right are the subject's
        "gaze": [178, 182],  # left yaw, pitch, right yaw, pitch in the head, rad; to the subject's left and up
    },
}
ROW = 182
FREE_BATCH = True  # any number of crops
# what the last layer's numbers are multiplied by: its new rows learn so much faster than those that crop6dof brings
IDENTITY_GAIN, EXPRESSION_GAIN, GAZE_GAIN = 10.0, 10.0, 3.0
BATCHES, LOSS, STEPS = "crops", "dense", 14000  # of training.train


@dataclass(frozen=True)
class Config(crop6dof.Config):
    """Widths and input side."""

    hidden: int = 384

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


class Dense(Crop6DoF):
    """crop6dof's trunk, a wider layer behind it, other columns."""

    row = ROW

    def __init__(self, config):
        super().__init__(config)
        with torch.no_grad():
            self.output.weight[SPEC["columns"]["identity"][0] :] = 0.0  # the mean face
            self.output.bias[slice(*SPEC["columns"]["expression"])] = -2.5 / EXPRESSION_GAIN  # most are near 0

    def in_units(self, row):
        """What the last layer says (N, 182) in the units of SPEC's columns."""
        parts = row.split([12, 2, 3, LANDMARKS, IDENTITY, EXPRESSION, GAZE], 1)
        head, centre, size, visibility, identity, expression, gaze = parts
        shape = [identity * IDENTITY_GAIN, torch.sigmoid(expression * EXPRESSION_GAIN), gaze * GAZE_GAIN]
        return torch.cat([head, centre * SCALE_M, size, visibility, *shape], 1)


def build(config=None):
    """A fresh network with random weights."""
    return Dense(config or Config())


def from_smaller(tensors: Mapping[str, np.ndarray], net: nn.Module) -> dict[str, np.ndarray]:
    """Weights of a fused `dense` network, by name: `tensors` as they are, or made from those of crop6dof.

    Its pose and visibility stay what they are; identity, expression and gaze begin at `net`'s random ones.
    """
    own = {f"net.{name}": value.numpy().copy() for name, value in net.state_dict().items()}
    if tensors["net.output.bias"].shape == own["net.output.bias"].shape:
        return dict(tensors)
    out = own | {name: value for name, value in tensors.items() if ".stem." in name or ".stages." in name}
    few = len(tensors["net.hidden.bias"])
    visibility = slice(*crop6dof.SPEC["columns"]["visibility"])
    rows = np.r_[0:_SHARED, visibility]
    for kind in ("weight", "bias"):
        out[f"net.hidden.{kind}"][:few] = tensors[f"net.hidden.{kind}"]
    out["net.output.weight"][: len(rows)] = 0.0
    out["net.output.weight"][: len(rows), :few] = tensors["net.output.weight"][rows]
    out["net.output.bias"][: len(rows)] = tensors["net.output.bias"][rows]
    return out
