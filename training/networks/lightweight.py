"""lightweight: hopenet's bins with soft labels behind a small network of grouped inverted bottlenecks.

Source: Li, Zhou, Wang et al., Lightweight Head Pose Estimation with rectified crops, IEEE TMM 2022. Three times 66 bins
by their centres; soft cross-entropy plus the square of the angle's error, 1 and 1. Rectified crops, seen as if
the camera looked at the face, are what every method gets here.

Where the original errs: the soft labels sum to 1.1 (kept: it only scales the term), and those of the two outermost bins
on each side do not fit and raise; here what does not fit falls away. Its rectification divides 0 by 0 for a face on the
axis; geometry.lookat does not. `decode` = `published` reads bins by their lower edges, as hopenet does.
"""

from dataclasses import dataclass

import torch
from torch import nn

from training.networks import _euler
from training.networks._trunks.method import shares, spec

SPEC = spec("lightweight")
FREE_BATCH = True  # any number of crops
BATCHES, STEPS = "crops", 6000
BINS = 66
SOFT = (0.1, 0.2, 0.5, 0.2, 0.1)  # of the label's bin and its neighbours
WEIGHTS = {"cross_entropy": 1.0, "square": 1.0}
STEM = 16
GROUPS = 4
# width, kernel, stride, activation of each block
BLOCKS = (
    (32, 3, 2, nn.ReLU),
    (64, 3, 2, nn.ReLU),
    (96, 3, 1, nn.ReLU),
    (96, 5, 2, nn.Hardswish),
    (128, 5, 1, nn.Hardswish),
    (128, 5, 2, nn.Hardswish),
    (128, 3, 1, nn.Hardswish),
)


@dataclass(frozen=True)
class Config(_euler.BinConfig):
    """No setting of its own."""


def _layer(c_in, c_out, kernel, activation, stride=1, groups=1):
    """Convolution without bias, batch norm, activation."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), activation())


def _bottleneck(c_in, c_out, kernel, stride, activation):
    """Grouped 1x1 to twice the channels, depthwise, 1x1; no shortcut."""
    return nn.Sequential(
        _layer(c_in, 2 * c_in, 1, activation, groups=GROUPS),
        _layer(2 * c_in, 2 * c_in, kernel, activation, stride, groups=2 * c_in),
        _layer(2 * c_in, c_out, 1, activation),
    )


class Trunk(nn.Module):
    """The paper's: stem and seven blocks, 180,848 parameters."""

    widths = (BLOCKS[-1][0],)

    def __init__(self) -> None:
        super().__init__()
        self.stem = _layer(3, STEM, 3, nn.ReLU, 2)
        ins = (STEM, *[width for width, *_ in BLOCKS[:-1]])
        self.blocks = nn.Sequential(*[_bottleneck(c_in, *block) for c_in, block in zip(ins, BLOCKS, strict=True)])

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """x (N, 3, 224, 224) -> the last map alone, (N, 128, 7, 7)."""
        return [self.blocks(self.stem(x))]


class Lightweight(_euler.AngleNetwork):
    """Its heads see what of the features is positive."""

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(N, side, side, 3) uint8 -> logits (N, 3, 66) of yaw, pitch, roll."""
        return self.heads(torch.relu(self.backbone(crops)))


def loss_terms(logits: torch.Tensor, labels: dict[str, torch.Tensor], config: Config) -> dict[str, torch.Tensor]:
    """Dict of scalars, each the sum over the three angles; labels of `training.data.crops.random_view`."""
    logits = logits.cpu()
    angles = _euler.from_matrix(labels["R_local"])
    share = shares(labels, _euler.within(angles))
    cross_entropy = _euler.soft_cross_entropy(logits, _euler.bin_of(angles, BINS), SOFT).sum(-1)
    square = (_euler.mean_angles(logits, config) - angles).square().sum(-1)
    return {"cross_entropy": (share * cross_entropy).sum(), "square": (share * square).sum()}


Deployed = _euler.DeployedAngles


def build(config: Config | None = None) -> Lightweight:
    """A fresh network with random weights."""
    return Lightweight(config or Config(), Trunk, BINS)
