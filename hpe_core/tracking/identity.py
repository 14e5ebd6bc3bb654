"""The identity of each tracked face, averaged over its images: the shape of a person's head does not change.

Expressions and gaze stay those of the image: a blink takes three to five images, and any filter that steadies them
would hide it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpe_core.types import Face, FaceShape

# images that count at most: from here on, 10 s at 30 Hz, older ones fade, so that one wrong id does no lasting harm
MOST_IMAGES = 300.0


@dataclass(frozen=True, eq=False)
class _Mean:
    identity: np.ndarray
    log_size: float
    weight: float


class Identities:
    """One row per tracked face, as in PoseFilters."""

    def __init__(self) -> None:
        self._means: list[_Mean | None] = []

    def add(self) -> None:
        """A new last row: a face that was not seen yet."""
        self._means.append(None)

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all rows but these."""
        self._means = [self._means[row] for row in rows]

    def averaged(self, row: int, face: Face) -> Face:
        """The Face with the mean identity of its row, into which its own has been taken, weighted by the share of its
        landmarks that are visible; as it is when it has no shape."""
        shape, before = face.shape, self._means[row]
        if shape is None:
            return face
        weight = 1.0 if face.landmarks is None else float(np.mean(face.landmarks.visible))
        mean = _Mean(shape.identity, shape.log_size, weight)
        if before is not None:
            share = weight / max(before.weight + weight, 1e-9)
            mean = _Mean(
                before.identity + share * (shape.identity - before.identity),
                before.log_size + share * (shape.log_size - before.log_size),
                min(before.weight + weight, MOST_IMAGES),
            )
        self._means[row] = mean
        return replace(face, shape=FaceShape(mean.identity, shape.expression, shape.gaze_rad, mean.log_size))
