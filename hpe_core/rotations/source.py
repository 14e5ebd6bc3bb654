"""Where the rotation of a face that a crop shows comes from."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hpe_core.candidates import Candidates


class RotationSource(Protocol):
    """One way to a rotation. What it counts goes into FrameResult.counts, its names begin with its own and a dot."""

    def rotated(self, seen: Candidates, upside_down: np.ndarray, found: Candidates | None) -> Candidates:
        """`seen`, the N faces as their crops show them, with the rotations and covariances of this source.

        upside_down: (N,) which of them were read from a crop turned by 180 degrees; found: the same N faces as the
        whole image shows them, None where they were only expected there.
        """
        ...

    def take_counts(self) -> dict[str, int]:
        """What was counted since this was last asked."""
        ...


class CropRotation:
    """The crop network's own."""

    def rotated(self, seen: Candidates, upside_down: np.ndarray, found: Candidates | None) -> Candidates:
        return seen

    def take_counts(self) -> dict[str, int]:
        return {}
