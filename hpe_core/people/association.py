"""Which heads of a camera are which people, and who fits whom."""

from collections.abc import Sequence

import numpy as np

from hpe_core.people.poses import FixedPose, distance2
from hpe_core.tracking.tracker import UNPAIRED_COST, sure_pairs

# squared Mahalanobis distances of six dimensions: 1 in 1000 of the heads of one person are further apart than the
# first; the second is further out, so that who has joined does not leave again at once
JOIN_DISTANCE2, LEAVE_DISTANCE2 = 22.5, 45.0


def costs(heads: Sequence[FixedPose], people: Sequence[FixedPose]) -> np.ndarray:
    """How unlikely it is that heads (N) are people (M): (N, M) -2 ln of the density, infinite beyond the gate."""
    cost = np.full((len(heads), len(people)), np.inf)
    for row, head in enumerate(heads):
        for column, person in enumerate(people):
            d2, log_determinant = distance2(head, person)
            if d2 < JOIN_DISTANCE2:
                cost[row, column] = d2 + log_determinant
    return cost


def joined(cost: np.ndarray) -> tuple[dict[int, int], set[int]]:
    """(row -> column of the heads that surely are people, rows that fit somebody but may as well be somebody else)."""
    pairs = sure_pairs(cost) if cost.size else {}
    fitting = set(np.flatnonzero((cost < UNPAIRED_COST).any(1)).tolist()) if cost.size else set()
    return pairs, fitting - pairs.keys()
