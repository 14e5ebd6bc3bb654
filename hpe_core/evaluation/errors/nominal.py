"""Estimated angles against nominal labels, which are right in their order within a series but not in their size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MIN_POSES = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class NominalFit:
    """label ~ scale * estimate + offset of its series, by least squares over P poses.

    residual_deg (P,) in nominal degrees; scale: nominal per estimated degree; slope: estimated per nominal degree, 1
    where nothing shrinks; rank_correlation: Spearman's, mean over the series.
    """

    residual_deg: np.ndarray
    scale: float
    slope: float
    rank_correlation: float


def fit(estimated_deg: np.ndarray, label_deg: np.ndarray, series: np.ndarray) -> NominalFit | None:
    """NominalFit of one axis: estimates, labels (P,) in degrees and the series (P,) that each belongs to.

    None for fewer than MIN_POSES, and where labels or estimates do not differ within a series.
    """
    if len(estimated_deg) < MIN_POSES:
        return None
    estimated, label = (less_series_mean(values, series) for values in (estimated_deg, label_deg))
    together = float(estimated @ label)
    own, nominal = float(estimated @ estimated), float(label @ label)
    if min(own, nominal) < 1e-9:
        return None
    scale = together / own
    return NominalFit(
        residual_deg=label - scale * estimated,
        scale=scale,
        slope=together / nominal,
        rank_correlation=rank_correlation(estimated_deg, label_deg, series),
    )


def less_series_mean(values: np.ndarray, series: np.ndarray) -> np.ndarray:
    """Values (P,) less the mean of their series (P,)."""
    _, index = np.unique(series, return_inverse=True)
    return values - (np.bincount(index, values) / np.bincount(index))[index]


def rank_correlation(a: np.ndarray, b: np.ndarray, series: np.ndarray) -> float:
    """Spearman's rank correlation of a with b (P,) within each series, mean over the series in which both differ."""
    found = []
    for name in np.unique(series):
        mine = series == name
        x, y = (_ranks(values[mine]) for values in (a, b))
        x, y = x - x.mean(), y - y.mean()
        size = np.sqrt((x @ x) * (y @ y))
        if size > 0:
            found.append(float(x @ y / size))
    return float(np.mean(found)) if found else np.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (P,) of values; equal ones share their mean rank."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - 0.5 * (counts - 1))[index]
