"""Confidence intervals: of means over time series, whose frames depend on each other, and over unrelated images."""

from collections.abc import Callable, Sequence

import numpy as np

RESAMPLES = 1000
MAX_BLOCKS = 200
BLOCK = 30  # frames: a second of video


def mean_interval(
    values: np.ndarray | Sequence[float], level: float = 0.95, seed: int = 0, block: int = BLOCK
) -> list[float] | None:
    """[low, high] of the mean of `values` (N,) in time order, or None for fewer than two blocks.

    Block bootstrap (Kuensch 1989): whole runs of `block` neighbours are drawn, at most MAX_BLOCKS of them (longer
    runs then), since drawing single frames of a video would make the interval too narrow.
    """
    values = np.asarray(values, float)
    block = max(1, min(block, len(values) // 8), -(-len(values) // MAX_BLOCKS))
    count = len(values) // block
    if count < 2:
        return None
    edges = np.round(np.linspace(0, len(values), count + 1)).astype(int)[:-1]
    sums, sizes = np.add.reduceat(values, edges), np.add.reduceat(np.ones(len(values)), edges)
    drawn = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    tail = 50.0 * (1.0 - level)
    return [float(v) for v in np.percentile(means, [tail, 100.0 - tail])]


def interval(
    statistic: Callable[..., np.ndarray], *samples: np.ndarray, level: float = 0.95, seed: int = 0
) -> list[float] | None:
    """[low, high] of statistic(*samples, axis=-1) over images that were drawn independently of each other.

    samples: arrays (N,) over the same images, drawn together (paired). None for fewer than two images.
    """
    arrays = [np.asarray(sample, float) for sample in samples]
    count = len(arrays[0])
    if count < 2:
        return None
    drawn = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    values = statistic(*(sample[drawn] for sample in arrays), axis=-1)
    tail = 50.0 * (1.0 - level)
    return [float(v) for v in np.percentile(values, [tail, 100.0 - tail])]
