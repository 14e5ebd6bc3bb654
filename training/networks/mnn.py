"""mnn: pose at the bottleneck of an encoder-decoder, 68 landmarks as heat maps and their visibility after it.

Source: MNN (Valle et al., PAMI 2020). Its layers and losses are not published: here the encoder is that of OPAL by the
same group, or the shared trunk; the decoder adds each of the encoder's maps on its way up to a quarter of the crop's
side. The pose are three angles by squared error, as there. A landmark is the mean place under its heat map, its depth
comes from the bottleneck, its visibility from the decoder's last map where the heat map has it.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from training.losses.crop6dof import landmark_terms, landmark_weights
from training.networks import _euler
from training.networks._blocks import RepConv
from training.networks._trunks import shared
from training.networks._trunks.irn import InvertedResidualNet
from training.networks._trunks.method import CROP_M, DeployedRotation, MethodConfig, shares, spec
from training.networks.crop6dof import LANDMARKS, SCALE_M

COLUMNS = {"sixd": [0, 6], "landmarks_m": [6, 210], "visibility": [210, 278]}
SPEC = spec("mnn", COLUMNS)
FREE_BATCH = True
BATCHES, STEPS = "crops", 6000
WEIGHTS = {"pose": 1.0, "heat_maps": 0.2, "landmarks": 4.0, "visibility": 0.2}
UNIT_DEG = 30.0  # the network's own unit of angles
DECODER = 48  # channels


@dataclass(frozen=True)
class Config(MethodConfig):
    """own_side: of a crop on the own trunk in pixels, 128 or 256 as in MNN."""

    COLUMNS: ClassVar[dict[str, list[int]]] = COLUMNS

    own_side: int = 128

    @property
    def side(self) -> int:
        """Side of a crop in pixels."""
        return shared.SIDE if self.trunk == "shared" else self.own_side


class Decoder(nn.Module):
    """From the coarsest map up to the finest, adding each map on the way (N, 48, H, W)."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, DECODER, 1) for width in widths)
        self.steps = nn.ModuleList(RepConv(DECODER, DECODER) for _ in widths[1:])

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        *finer, x = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        for step, lateral in zip(self.steps, finer[::-1], strict=True):
            x = step(F.interpolate(x, scale_factor=2.0, mode="nearest") + lateral)
        return x


class Mnn(nn.Module):
    """Encoder, decoder, and what is read at the bottleneck and after it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        is_shared = config.trunk == "shared"
        self.trunk = shared.Shared() if is_shared else InvertedResidualNet()
        self.neck = shared.Neck() if is_shared else None
        widths = tuple(self.trunk.widths)
        self.decoder = Decoder(widths)
        features = shared.FEATURES if is_shared else widths[-1]
        self.pose, self.depth = nn.Linear(features, 3), nn.Linear(features, LANDMARKS)
        self.heat, self.seen = nn.Conv2d(DECODER, LANDMARKS, 1), nn.Conv2d(DECODER, LANDMARKS, 1)

    def forward(self, crops: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, side, side, 3) uint8 -> angles (N, 3) deg, heat (N, 68, cells), landmarks_m (N, 204), visibility (N, 68).

        heat: logits; visibility: logits.
        """
        if self.neck is None:
            maps = self.trunk.maps(crops.permute(0, 3, 1, 2).float() / 255.0)
            features = maps[-1].amax((2, 3))
        else:
            maps = self.trunk.maps(shared.scaled(crops))
            features = self.neck(maps[-1])
        last = self.decoder(maps)
        heat, seen = self.heat(last).flatten(2).float(), self.seen(last).flatten(2).float()
        share = torch.softmax(heat, -1)
        across = share @ cell_centres_m(last.shape[-1]).to(share)
        depth = SCALE_M * self.depth(features).float()
        return {
            "angles": UNIT_DEG * self.pose(features).float(),
            "heat": heat,
            "landmarks_m": torch.cat([across, depth[..., None]], -1).flatten(1),
            "visibility": (share * seen).sum(-1),
        }


def cell_centres_m(cells: int) -> torch.Tensor:
    """Centres (cells * cells, 2) of a map's cells, row by row, from the crop's middle."""
    along = ((torch.arange(cells) + 0.5) / cells - 0.5) * CROP_M
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def heat_map_error(heat: torch.Tensor, labels: dict[str, torch.Tensor]) -> torch.Tensor:
    """Cross-entropy (a scalar) of heat (N, 68, cells) with the four cells about each landmark inside the map, by their
    bilinear weights, whose mean place is the landmark's.
    """
    cells = round(heat.shape[-1] ** 0.5)
    place = (torch.nan_to_num(labels["landmarks_m"])[..., :2] / CROP_M + 0.5) * cells - 0.5
    inside = ((place > 0.0) & (place < cells - 1.0)).all(-1)
    weight = landmark_weights(labels) * inside
    first = place.clamp(0.0, cells - 1.001).floor()
    x, y = (place - first).unbind(-1)
    index = (first[..., 1] * cells + first[..., 0]).long()[..., None] + torch.tensor([0, 1, cells, cells + 1])
    share = torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], -1)
    error = -(share * torch.log_softmax(heat, -1).gather(-1, index)).sum(-1)
    return (weight * error).sum() / weight.sum().clamp(min=1.0)


def loss_terms(
    output: dict[str, torch.Tensor], labels: dict[str, torch.Tensor], config: Config
) -> dict[str, torch.Tensor]:
    """Squared error of the angles within +-99 degrees, heat maps, landmarks, visibilities."""
    output = {name: value.cpu() for name, value in output.items()}
    true = _euler.from_matrix(labels["R_local"])
    error = ((output["angles"] - true) / UNIT_DEG).square().mean(-1)
    return {
        "pose": (shares(labels, _euler.within(true)) * error).sum(),
        "heat_maps": heat_map_error(output["heat"], labels),
    } | landmark_terms(output, labels)


class Deployed(DeployedRotation):
    """As exported: rows (N, 278) in SPEC's columns."""

    def sixd(self, output: dict[str, torch.Tensor]) -> torch.Tensor:
        return _euler.sixd(output["angles"])

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        output = self.net(crops)
        return torch.cat([self.sixd(output), output["landmarks_m"], output["visibility"]], 1)


def build(config: Config | None = None) -> Mnn:
    """A fresh network with random weights."""
    return Mnn(config or Config())
