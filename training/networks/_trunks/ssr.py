"""What SSR-Net and FSA-Net share: two streams of separable convolutions, their products, and the dynamic range.

Source: SSR-Net (Yang et al., IJCAI 2018) for three angles and FSA-Net (Yang et al., CVPR 2019). Unlike the originals:
crops are scaled to [0, 1], and no stage's width comes near 0 (DELTA_REACH).
"""

import torch
from torch import nn

from training.networks import _euler
from training.networks._trunks import shared
from training.networks._trunks.method import shares

SIDE = 64
WIDTHS = (32, 64, 128)  # of the maps of either trunk, fine to coarse
CHANNELS = 64  # of a product
STAGES = BINS = 3
DELTA_REACH = 0.9  # the published width 3 (1 + delta) reaches 0 where tanh saturates: NaN


def separable(c_in: int, c_out: int, activation: nn.Module) -> nn.Sequential:
    """Depthwise 3x3 without bias, 1x1 with, BN as Keras has it, activation."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_in, 3, 1, 1, groups=c_in, bias=False),
        nn.Conv2d(c_in, c_out, 1),
        nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.01),
        activation,
    )


class Stream(nn.Module):
    """(N, 3, 64, 64) -> maps 16x16x32, 8x8x64, 8x8x128."""

    def __init__(self, activation: nn.Module, pool: nn.Module) -> None:
        super().__init__()
        a, b, c = WIDTHS
        self.levels = nn.ModuleList(
            [
                nn.Sequential(separable(3, 16, activation), pool),
                nn.Sequential(separable(16, a, activation), separable(a, a, activation), pool),
                nn.Sequential(separable(a, b, activation), separable(b, b, activation), pool),
                nn.Sequential(separable(b, c, activation), separable(c, c, activation)),
            ]
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        found = []
        for level in self.levels:
            x = level(x)
            found.append(x)
        return found[1:]


class TwoStreams(nn.Module):
    """The published trunk: one stream with tanh and maximum, one with ReLU and mean."""

    def __init__(self) -> None:
        super().__init__()
        self.tanh, self.relu = Stream(nn.Tanh(), nn.MaxPool2d(2)), Stream(nn.ReLU(), nn.AvgPool2d(2))

    def forward(self, crops: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Crops (N, 64, 64, 3) uint8 -> (of tanh, of ReLU) per level, fine to coarse."""
        x = crops.permute(0, 3, 1, 2).float() / 255.0
        return list(zip(self.tanh(x), self.relu(x), strict=True))


class OneStream(shared.Shared):
    """The shared trunk in the place of both streams."""

    def forward(self, crops: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Crops (N, 128, 128, 3) uint8 -> the same map twice per level, fine to coarse."""
        return [(x, x) for x in self.maps(shared.scaled(crops))]


class Gates(nn.Module):
    """Both halves of the products, tanh(conv1x1(s)) and ReLU(conv1x1(x)), coarsest level first: stages 1, 2, 3."""

    def __init__(self) -> None:
        super().__init__()
        self.tanh, self.relu = (nn.ModuleList(nn.Conv2d(w, CHANNELS, 1) for w in WIDTHS[::-1]) for _ in range(2))

    def forward(self, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Pairs of maps, fine to coarse -> pairs (N, 64, H, W), coarse to fine."""
        levels = zip(self.tanh, self.relu, pairs[::-1], strict=True)
        return [(torch.tanh(tanh(s)), torch.relu(relu(x))) for tanh, relu, (s, x) in levels]


def bins_layer(features: int) -> nn.Linear:
    """Linear layer for p of three angles and bins, which begins about equal: angles of 0, and no ReLU that is shut."""
    layer = nn.Linear(features, 3 * BINS)
    nn.init.constant_(layer.bias, 1.0 / 3.0)
    return layer


def angles(p: torch.Tensor, delta: torch.Tensor, eta: torch.Tensor) -> torch.Tensor:
    """Angles (N, 3) in degrees of p (N, stages, 3 angles, bins), delta and eta (N, stages, 3 angles) in [-1, 1].

    99 sum_k [sum_i (i - 1 + eta_k) p_ki] / prod_j<=k 3 (1 + delta_j), with 0.9 delta for delta.
    """
    value = p[..., 2] - p[..., 0] + eta * p.sum(-1)  # N stages 3
    total, width = torch.zeros_like(value[:, 0]), torch.ones_like(value[:, 0])
    for k in range(STAGES):
        width = width * BINS * (1.0 + DELTA_REACH * delta[:, k])
        total = total + value[:, k] / width
    return _euler.LIMIT_DEG * total


def mean_absolute_deg(predicted: torch.Tensor, labels: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean absolute error (a scalar, degrees) of angles (N, 3), of the labels that all lie within +-99 degrees."""
    true = _euler.from_matrix(labels["R_local"])
    error = (predicted.cpu() - true).abs().mean(-1)
    return (shares(labels, _euler.within(true)) * error).sum()
