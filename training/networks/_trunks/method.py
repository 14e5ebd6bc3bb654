"""What all crop methods share: the settings, the choice of a trunk, rows of a rotation, weights of the labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from hpe_core.errors import HpeError
from training.losses.head6dof import matrix_from_sixd
from training.networks._blocks import fuse
from training.networks._trunks import shared

CROP_M = 0.28  # as crop6dof's: all methods see the same crops
TRUNKS = ("shared", "own")
LABEL_STD_DEG = 6.0  # a label this uncertain counts half
# of ImageNet, RGB, for values in [0, 1]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def spec(name: str, columns: dict[str, list[int]] | None = None) -> dict[str, Any]:
    """SPEC of a crop method; columns: by default those of a rotation alone."""
    columns = columns or {"sixd": [0, 6]}  # R_local: its first two columns, orthonormal
    row = max(end for _, end in columns.values())
    return {
        "name": name,
        "input": "uint8 BGR face-centred crops (N, side, side, 3), `crop_m` metres wide",
        "output": f"float32 (N, {row}): one row per crop, see `columns`",
        "crop_m": CROP_M,
        "columns": columns,
    }


@dataclass(frozen=True)
class MethodConfig:
    """Settings that every method has. trunk: `shared` (crop6dof's) or `own` (as published)."""

    trunk: str = "shared"

    OWN_SIDE: ClassVar[int] = 224
    COLUMNS: ClassVar[dict[str, list[int]]] = {"sixd": [0, 6]}

    def __post_init__(self) -> None:
        if self.trunk not in TRUNKS:
            raise HpeError(f"trunk is '{self.trunk}', allowed: {', '.join(TRUNKS)}")

    @property
    def side(self) -> int:
        """Side of a crop in pixels: the trunk's."""
        return shared.SIDE if self.trunk == "shared" else self.OWN_SIDE

    @property
    def input_hwc(self) -> tuple[int, int, int]:
        """Shape of one input crop."""
        return self.side, self.side, 3

    @property
    def crop_m(self) -> float:
        """Width of a crop, as the batches cut it."""
        return CROP_M

    @property
    def columns(self) -> dict[str, list[int]]:
        """Columns of an output row."""
        return self.COLUMNS


def imagenet(crops: torch.Tensor) -> torch.Tensor:
    """Crops (N, S, S, 3) uint8 BGR -> (N, 3, S, S) float RGB with the mean and deviation of ImageNet taken out."""
    rgb = crops.flip(-1).permute(0, 3, 1, 2).float() / 255.0
    mean, std = (torch.tensor(v, device=crops.device).reshape(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (rgb - mean) / std


class Backbone(nn.Module):
    """Crops to maps and features by the trunk that the config names.

    own: makes the published trunk, a module with `maps(x)` and `widths`; own_scaled: makes its input x of the crops.
    Features are the published mean over the last map, or the shared trunk's neck.
    """

    def __init__(
        self,
        config: MethodConfig,
        own: Callable[[], nn.Module],
        own_scaled: Callable[[torch.Tensor], torch.Tensor] = imagenet,
    ) -> None:
        super().__init__()
        is_shared = config.trunk == "shared"
        self.trunk = shared.Shared() if is_shared else own()
        self.neck = shared.Neck() if is_shared else None
        self.scaled = shared.scaled if is_shared else own_scaled
        self.widths = tuple(self.trunk.widths)
        self.features = shared.FEATURES if is_shared else self.widths[-1]  # their number

    def maps(self, crops: torch.Tensor) -> list[torch.Tensor]:
        """Crops (N, S, S, 3) uint8 -> the trunk's maps (N, C, H, W), fine to coarse."""
        return self.trunk.maps(self.scaled(crops))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Crops (N, S, S, 3) uint8 -> features (N, F)."""
        last = self.maps(crops)[-1]
        return last.mean((2, 3)) if self.neck is None else self.neck(last)


class DeployedRotation(nn.Module):
    """A network with fused convolutions that gives its rotation, as exported; `sixd` makes it of the raw output."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.config = fuse(net), net.config

    def sixd(self, output: Any) -> torch.Tensor:
        """First two columns of R_local (N, 6), orthonormal."""
        raise NotImplementedError

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(N, side, side, 3) uint8 -> (N, 6) float32."""
        return self.sixd(self.net(crops))


def orthonormal(sixd: torch.Tensor) -> torch.Tensor:
    """Six numbers (N, 6) by Gram-Schmidt; zeros stay zeros, which so3.matrix_from_sixd refuses."""
    return matrix_from_sixd(sixd)[..., :2].transpose(1, 2).flatten(1)


def shares(labels: dict[str, torch.Tensor], valid: torch.Tensor | None = None) -> torch.Tensor:
    """How much each sample counts in a mean (N,), summing to 1, or to 0 where none counts.

    Uncertain labels count less, those without a pose and those not `valid` (N,) not at all.
    """
    share = labels["weight"] / (1.0 + (labels["rot_std_deg"] / LABEL_STD_DEG) ** 2)
    share = share if valid is None else share * valid
    return share / share.sum().clamp(min=1e-6)
