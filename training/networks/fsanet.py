"""fsanet: stagewise regression on features that attention groups over the face, which capsules or others aggregate.

Source: FSA-Net (Yang et al., CVPR 2019). Several variants average their angles, as its fusion does: on the own trunk
each has one of its own; on the shared trunk they share it. They learn at once, not one by one.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from hpe_core.errors import HpeError
from training.networks import _euler
from training.networks._trunks import ssr
from training.networks._trunks.method import DeployedRotation, MethodConfig, spec

SPEC = spec("fsanet")
FREE_BATCH = True
BATCHES, STEPS = "crops", 6000
WEIGHTS = {"angles": 0.05}  # per degree
SCORES = ("1x1", "var", "w/o")
CELLS = 8  # side of a map
VECTORS, ROWS, MIDDLE = 3 * CELLS**2, 7, 5  # of all maps; that a map's structure makes of them; between
CAPSULES, CAPSULE = ssr.STAGES, 16  # one capsule a stage
ROUTINGS = 2


@dataclass(frozen=True)
class Config(MethodConfig):
    """variants: the SCORES whose answers are averaged, none: see `scores`. aggregation: of AGGREGATIONS."""

    OWN_SIDE: ClassVar[int] = ssr.SIDE

    variants: tuple[str, ...] = ()
    aggregation: str = "capsule"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.variants:
            if name not in SCORES:
                raise HpeError(f"variant is '{name}', allowed: {', '.join(SCORES)}")
        if self.aggregation not in AGGREGATIONS:
            raise HpeError(f"aggregation is '{self.aggregation}', allowed: {', '.join(AGGREGATIONS)}")

    @property
    def scores(self) -> tuple[str, ...]:
        """The variants; by default 1x1 and var, or 1x1 alone on the shared trunk, which is twice as large."""
        return tuple(self.variants) or (("1x1", "var") if self.trunk == "own" else ("1x1",))


class Structure(nn.Module):
    """Fine-grained structure mapping: vectors (N, 192, 64) of three maps -> (N, 21, 64), means by learnt weights."""

    def __init__(self, score: str) -> None:
        super().__init__()
        self.score = nn.Conv2d(ssr.CHANNELS, 1, 1) if score == "1x1" else None
        self.mapping = nn.Linear(CELLS**2, MIDDLE * VECTORS)
        self.grouping = nn.Linear(VECTORS, ROWS * MIDDLE)

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, 64, 8, 8) -> scores (N, 64) of its cells."""
        if self.score is not None:
            return torch.sigmoid(self.score(x)).flatten(1)
        return (x - x.mean(1, keepdim=True)).square().mean(1).flatten(1)

    def weights(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Share of each vector in each mean (N, 21, 192); rows sum to 1."""
        scores = [self.attention(x) for x in maps]
        group = torch.sigmoid(self.grouping(torch.cat(scores, 1))).unflatten(1, (ROWS, MIDDLE))
        rows = [group @ torch.sigmoid(self.mapping(score)).unflatten(1, (MIDDLE, VECTORS)) for score in scores]
        weights = torch.cat(rows, 1)
        return weights / weights.sum(-1, keepdim=True)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        return self.weights(maps) @ vectors(maps)


def vectors(maps: list[torch.Tensor]) -> torch.Tensor:
    """Maps (N, 64, 8, 8) -> their vectors (N, 192, 64)."""
    return torch.cat([x.flatten(2) for x in maps], 2).transpose(1, 2)


def squash(s: torch.Tensor) -> torch.Tensor:
    """Vectors (..., D) with lengths in [0, 1); zero stays zero."""
    square = s.square().sum(-1, keepdim=True)
    return square / (1.0 + square) * s / torch.sqrt(square + 1e-7)


class Capsules(nn.Module):
    """Three capsules by routing (Sabour et al., NeurIPS 2017): (N, V, 64) -> (N, 3, 16)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(CAPSULES, count, ssr.CHANNELS, CAPSULE))
        bound = (6.0 / (ssr.CHANNELS + CAPSULE)) ** 0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        votes = (u[:, None, :, None] @ self.weight).squeeze(-2)  # N 3 V 16
        logits = torch.zeros_like(votes[..., 0])  # N 3 V
        for _ in range(ROUTINGS - 1):
            logits = logits + (votes @ self.agreed(votes, logits)[..., None]).squeeze(-1)
        return self.agreed(votes, logits)

    def agreed(self, votes: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Capsules (N, 3, 16) from votes (N, 3, V, 16), of which each capsule takes its share by logits (N, 3, V)."""
        return squash((torch.softmax(logits, 1)[..., None, :] @ votes).squeeze(-2))


class NetVlad(nn.Module):
    """Residuals to three learnt centres (Arandjelovic et al., CVPR 2016), then linear: (N, V, 64) -> (N, 3, 16)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.assign = nn.Linear(ssr.CHANNELS, CAPSULES)
        self.centres = nn.Parameter(torch.randn(CAPSULES, ssr.CHANNELS) / ssr.CHANNELS**0.5)
        self.hidden = nn.Linear(CAPSULES * ssr.CHANNELS, CAPSULES * CAPSULE, bias=False)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        share = torch.softmax(self.assign(u), -1).transpose(1, 2)  # N 3 V
        residual = share @ u - share.sum(-1, keepdim=True) * self.centres
        return self.hidden(F.normalize(F.normalize(residual, dim=-1).flatten(1), dim=-1)).unflatten(
            1, (CAPSULES, CAPSULE)
        )


class Metric(nn.Module):
    """Linear on each vector, then across vectors: (N, V, 64) -> (N, 3, 16)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.each, self.across = nn.Linear(ssr.CHANNELS, CAPSULE, bias=False), nn.Linear(count, CAPSULES, bias=False)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return self.across(self.each(u).transpose(1, 2)).transpose(1, 2)


AGGREGATIONS = {"capsule": Capsules, "netvlad": NetVlad, "metric": Metric}


class StageHead(nn.Module):
    """One stage of a 16-vector (N, 16) -> p (N, 9), delta (N, 3), eta (N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.delta, self.eta, self.p = nn.Linear(4, 3), nn.Linear(4, 3), ssr.bins_layer(8)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        delta, eta, p = x.split([4, 4, 8], -1)
        return torch.relu(self.p(p)), torch.tanh(self.delta(delta)), torch.tanh(self.eta(eta))


class Variant(nn.Module):
    """One published network after its trunk: pairs of maps -> yaw, pitch, roll (N, 3) in degrees."""

    def __init__(self, score: str, aggregation: str) -> None:
        super().__init__()
        self.gates = ssr.Gates()
        self.structure = Structure(score) if score != "w/o" else None
        self.aggregation = AGGREGATIONS[aggregation](VECTORS if self.structure is None else 3 * ROWS)
        self.heads = nn.ModuleList(StageHead() for _ in range(ssr.STAGES))

    def forward(self, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        products = [s * x for s, x in self.gates(pairs)]
        maps = [F.avg_pool2d(x, x.shape[-1] // CELLS) if x.shape[-1] > CELLS else x for x in products]
        u = vectors(maps) if self.structure is None else self.structure(maps)
        stages = self.aggregation(u).unbind(1)
        found = [head(stage) for head, stage in zip(self.heads, stages, strict=True)]
        p, delta, eta = (torch.stack(part, 1).float() for part in zip(*found, strict=True))
        return ssr.angles(p.unflatten(-1, (3, ssr.BINS)), delta, eta)


class FsaNet(nn.Module):
    """All variants side by side."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        own = config.trunk == "own"
        self.trunk = nn.ModuleList(ssr.TwoStreams() for _ in config.scores) if own else ssr.OneStream()
        self.variants = nn.ModuleList(Variant(score, config.aggregation) for score in config.scores)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(N, side, side, 3) uint8 -> yaw, pitch, roll of every variant (N, V, 3) in degrees."""
        if isinstance(self.trunk, nn.ModuleList):
            pairs = [trunk(crops) for trunk in self.trunk]
        else:
            pairs = [self.trunk(crops)] * len(self.variants)
        return torch.stack([variant(maps) for variant, maps in zip(self.variants, pairs, strict=True)], 1)


def loss_terms(output: torch.Tensor, labels: dict[str, torch.Tensor], config: Config) -> dict[str, torch.Tensor]:
    """Mean absolute error of the angles of each variant by itself, then the mean of all."""
    errors = [ssr.mean_absolute_deg(angles, labels) for angles in output.unbind(1)]
    return {"angles": torch.stack(errors).mean()}


class Deployed(DeployedRotation):
    """As exported: the mean of the variants' angles as a rotation."""

    def sixd(self, output: torch.Tensor) -> torch.Tensor:
        return _euler.sixd(output.mean(1))


def build(config: Config | None = None) -> FsaNet:
    """A fresh network with random weights."""
    return FsaNet(config or Config())
