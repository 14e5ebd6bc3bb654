"""Percentiles of a stream of numbers in bounded memory."""

import math
from collections import Counter

BIN_RATIO = 1.01
RELATIVE_ERROR = BIN_RATIO**0.5 - 1.0  # between a number and the middle of its bin: 0.5 %
SMALLEST = 1e-6
LARGEST = 1e6  # larger numbers count as this one, those below SMALLEST as 0
_ZERO_BIN = -1
_LOG_RATIO = math.log(BIN_RATIO)
MOST_BINS = math.ceil(math.log(LARGEST / SMALLEST) / _LOG_RATIO) + 2


class LogHistogram:
    """Counts of numbers from 0 on, in at most MOST_BINS bins that are 1 % wide, however many numbers there are."""

    def __init__(self):
        self._counts: Counter[int] = Counter()

    def add(self, value: float) -> None:
        """Take in one number."""
        self._counts[_bin_of(value)] += 1

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return self._counts.total()

    def percentile(self, q: float, zeros: int = 0) -> float:
        """As numpy.percentile, of the numbers and so many zeros beside them, to within RELATIVE_ERROR; q in [0, 100].

        There must be at least one number.
        """
        rank = (self.count + zeros - 1) * q / 100.0
        lower = self._ranked(math.floor(rank), zeros)
        upper = self._ranked(math.ceil(rank), zeros)
        return lower + (upper - lower) * (rank - math.floor(rank))

    def _ranked(self, rank: int, zeros: int) -> float:
        """The number of a rank (from 0) in ascending order, as the middle of its bin."""
        counted = zeros
        for bin_, count in sorted(self._counts.items()):
            counted += count
            if zeros <= rank < counted:
                return 0.0 if bin_ == _ZERO_BIN else SMALLEST * BIN_RATIO**bin_
        return 0.0  # one of the zeros


def _bin_of(value: float) -> int:
    return _ZERO_BIN if value < SMALLEST else round(math.log(min(value, LARGEST) / SMALLEST) / _LOG_RATIO)
