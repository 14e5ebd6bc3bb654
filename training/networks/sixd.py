"""sixd: the rotation as six numbers, its first two columns before they are made orthonormal.

Source: Hempel, Abdelrahman, Al-Hamadi, 6D Rotation Representation for Unconstrained Head Pose Estimation, ICIP 2022
(6DRepNet), after Zhou et al., CVPR 2019. RepVGG-B1g2; the loss is the angle between the rotations.

Its angle is that of arccos, computed in a form whose slope stays finite. Where the original errs: six zeros become the
zero matrix, which reads as a frontal face; here the row stays zeros, which is no rotation. Its label is the inverse
rotation with y up; here it is R_local as everywhere. It learns from yaws below 99 degrees; this learns from all.
"""

from dataclasses import dataclass

import torch
from torch import nn

from training.losses.head6dof import geodesic, matrix_from_sixd
from training.networks._trunks.method import Backbone, DeployedRotation, MethodConfig, orthonormal, shares, spec
from training.networks._trunks.repvgg_b1g2 import RepVggB1g2

SPEC = spec("sixd")
FREE_BATCH = True  # any number of crops
BATCHES, STEPS = "crops", 6000
WEIGHTS = {"rotation": 1.0}


@dataclass(frozen=True)
class Config(MethodConfig):
    """No setting of its own."""


class SixD(nn.Module):
    """Features to six numbers."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config, RepVggB1g2)
        self.output = nn.Linear(self.backbone.features, 6)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(N, side, side, 3) uint8 -> (N, 6), not yet orthonormal."""
        return self.output(self.backbone(crops)).float()


def loss_terms(sixd: torch.Tensor, labels: dict[str, torch.Tensor], config: Config) -> dict[str, torch.Tensor]:
    """The mean angle in rad as a dict; labels of `training.data.crops.random_view`."""
    angle = geodesic(matrix_from_sixd(sixd.cpu()), labels["R_local"])
    return {"rotation": (shares(labels) * angle).sum()}


class Deployed(DeployedRotation):
    """As exported: (N, side, side, 3) uint8 -> (N, 6)."""

    def sixd(self, output: torch.Tensor) -> torch.Tensor:
        return orthonormal(output)


def build(config: Config | None = None) -> SixD:
    """A fresh network with random weights."""
    return SixD(config or Config())
