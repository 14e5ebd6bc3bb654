"""crop_fast: crop6dof on crops of 96 px, for small boards. It starts from crop6dof's weights, not from random ones."""

from dataclasses import dataclass

import torch
from torch import nn

from hpe_core.catalogue import WEIGHTS
from training.networks import crop6dof
from training.networks._blocks import fuse

SPEC = crop6dof.SPEC | {"name": "crop_fast"}
FREE_BATCH = True  # any number of crops
BATCHES, LOSS, STEPS = "crops", "crop6dof", 12000  # of training.train: training/batches, training/losses


@dataclass(frozen=True)
class Config(crop6dof.Config):
    """crop6dof's widths, a smaller input side."""

    side: int = 96


class Deployed(crop6dof.Deployed):
    """Network with fused convolutions, as exported."""


def build(config: Config | None = None) -> nn.Module:
    """The shipped crop6dof in its fused form, whose first dense layer reads a smaller map."""
    from training.train import fused_weights  # which finds networks by name

    net = fuse(crop6dof.build(config or Config()))
    weights = fused_weights(fuse(crop6dof.build()), str(WEIGHTS / "crop6dof.onnx"))
    cells = net.hidden.in_features // net.config.widths[-1]
    weights["hidden.weight"] = of_smaller_map(weights["hidden.weight"], net.config.widths[-1], cells)
    net.load_state_dict(weights)
    return net


def of_smaller_map(weight: torch.Tensor, channels: int, cells: int) -> torch.Tensor:
    """Weight (out, channels * cells) of a dense layer that says of a square map of so many cells what `weight`
    (out, channels * more cells) says of that map enlarged to its own size (bilinear).
    """
    side, larger = round(cells**0.5), round((weight.shape[1] // channels) ** 0.5)
    one_each = torch.eye(cells).reshape(cells, 1, side, side)
    enlarged = nn.functional.interpolate(one_each, size=(larger, larger), mode="bilinear").flatten(1)
    return (weight.reshape(-1, channels, larger**2) @ enlarged.T).flatten(1)
