"""Confidence intervals: of means over time series, whose frames depend on each other, over unrelated images, and over
people of whom there are several images."""

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
    drawn = _drawn_sums(np.stack([values, np.ones(len(values))], -1), seed, block)
    return None if drawn is None else _ends(drawn[:, 0] / drawn[:, 1], level)


def slope_interval(
    x: np.ndarray, y: np.ndarray, level: float = 0.95, seed: int = 0, block: int = BLOCK
) -> list[float] | None:
    """[low, high] of the slope of y on x (N,) in time order, drawn as for mean_interval."""
    drawn = _drawn_sums(np.stack([np.ones(len(x)), x, y, x * x, x * y], -1), seed, block)
    if drawn is None:
        return None
    n, sx, sy, sxx, sxy = drawn.T
    return _ends((n * sxy - sx * sy) / (n * sxx - sx * sx), level)


def _drawn_sums(values: np.ndarray, seed: int, block: int) -> np.ndarray | None:
    """Sums (RESAMPLES, K) of values (N, K) over blocks that were drawn; None for fewer than two blocks."""
    block = max(1, min(block, len(values) // 8), -(-len(values) // MAX_BLOCKS))
    count = len(values) // block
    if count < 2:
        return None
    edges = np.round(np.linspace(0, len(values), count + 1)).astype(int)[:-1]
    sums = np.add.reduceat(values, edges)
    drawn = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    return sums[drawn].sum(1)


def _ends(values: np.ndarray, level: float) -> list[float]:
    tail = 50.0 * (1.0 - level)
    return [float(v) for v in np.percentile(values, [tail, 100.0 - tail])]


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
    return _ends(statistic(*(sample[drawn] for sample in arrays), axis=-1), level)


def group_interval(
    values: np.ndarray, groups: np.ndarray | Sequence[str], level: float = 0.95, seed: int = 0
) -> list[float] | None:
    """[low, high] of the mean of values (N,) when whole groups are drawn, such as all images of a person.

    groups (N,): what the values of a group share. None for fewer than two groups.
    """
    names, index = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return None
    sums = np.zeros((len(names), 2))
    np.add.at(sums, index, np.stack([np.asarray(values, float), np.ones(len(index))], -1))
    drawn = np.random.default_rng(seed).integers(0, len(names), (RESAMPLES, len(names)))
    total = sums[drawn].sum(1)
    return _ends(total[:, 0] / total[:, 1], level)
