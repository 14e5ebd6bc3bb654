"""Per-pose errors of one estimate: the one builder for bags, images and data sets; every summary is made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from hpe_core.evaluation.errors import frame_offset
from hpe_core.evaluation.errors.frame_offset import FrameOffset
from hpe_core.evaluation.errors.metrics import COMPARED, METRICS, Metric
from hpe_core.evaluation.errors.pairs import Heads, PosePairs


@dataclass(frozen=True, eq=False, kw_only=True)
class Alignment:
    """Constant frame offsets, each fitted on some pairs and applied to these and to the ones held out."""

    offsets: dict[str, FrameOffset] = field(default_factory=dict)
    held_out: np.ndarray  # (P,) bool: an offset was applied that this pair was not used for
    true: Heads  # the P true heads carried over to the estimate's head frame, NaN without an offset


@dataclass(frozen=True, eq=False, kw_only=True)
class Scores:
    """Errors of P matched poses in time order, and what the missed heads looked like."""

    errors: dict[str, np.ndarray]  # name of a metric -> (P,) or (P, K)
    aligned: dict[str, np.ndarray]  # the metrics of COMPARED after frame alignment, NaN without an offset
    t_error_m: np.ndarray  # (P, 3) metres, camera frame
    true: Heads  # of the P poses
    missed: Heads
    held_out: np.ndarray  # (P,) bool: see Alignment

    def __len__(self) -> int:
        return len(self.true)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Errors (P,) by the name that they have in frames.csv."""
        out: dict[str, np.ndarray] = {}
        for metric in METRICS:
            values = self.errors[metric.name]
            parts = [values] if values.ndim == 1 else list(values.T)
            out |= dict(zip(metric.columns, parts, strict=True)) if metric.columns else {}
        return out


def scores_of(*, pairs: PosePairs, missed: Heads, alignment: Alignment | None = None) -> Scores:
    """Scores of pairs of poses and of the heads that were missed."""
    if alignment is None:
        alignment = aligned_by_part(pairs, {})
    return Scores(
        errors=_errors(pairs, METRICS),
        aligned=_errors(replace(pairs, true=alignment.true), COMPARED),
        t_error_m=pairs.t_error_m,
        true=pairs.true,
        missed=missed,
        held_out=alignment.held_out,
    )


def _errors(pairs: PosePairs, metrics: Sequence[Metric]) -> dict[str, np.ndarray]:
    return {metric.name: metric.of(pairs) for metric in metrics}


def aligned_by_part(pairs: PosePairs, parts: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Alignment:
    """Alignment of pairs. parts: name -> indices that its offset is fitted on, and indices that are held out.

    A part of which nothing is held out, or of which too few poses are there to fit, has no offset.
    """
    offsets, held_out = {}, np.zeros(len(pairs), bool)
    R, t_m = np.full_like(pairs.true.R, np.nan), np.full_like(pairs.true.t_m, np.nan)
    for name, (first, rest) in parts.items():
        offset = frame_offset.fit(pairs.R[first], pairs.t_m[first], pairs.true.R[first], pairs.true.t_m[first])
        if offset is not None and len(rest):
            offsets[name] = offset
            held_out[rest] = True
            both = np.concatenate([first, rest])
            R[both], t_m[both] = offset.applied(pairs.true.R[both], pairs.true.t_m[both])
    return Alignment(offsets=offsets, held_out=held_out, true=replace(pairs.true, R=R, t_m=t_m))


def concatenated(many: Sequence[Scores]) -> Scores:
    """One Scores of several, in the given order."""
    return Scores(
        errors={name: np.concatenate([s.errors[name] for s in many]) for name in many[0].errors},
        aligned={name: np.concatenate([s.aligned[name] for s in many]) for name in many[0].aligned},
        t_error_m=np.concatenate([s.t_error_m for s in many]),
        true=_heads([s.true for s in many]),
        missed=_heads([s.missed for s in many]),
        held_out=np.concatenate([s.held_out for s in many]),
    )


def _heads(many: Sequence[Heads]) -> Heads:
    return Heads(**{f.name: np.concatenate([getattr(heads, f.name) for heads in many]) for f in fields(Heads)})
