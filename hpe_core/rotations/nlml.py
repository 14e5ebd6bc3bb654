"""NLML (hpe_core.nlml) as what makes a rotation of landmarks."""

from __future__ import annotations

import numpy as np

from hpe_core.nlml.infer import infer
from hpe_core.nlml.landmarks import LEAST_SEEN
from hpe_core.nlml.model import Model, load, shipped

LEAST_VISIBLE = 0.1  # a hidden landmark of a network is a guess, but not nothing
UNKNOWN_STD_RAD = np.radians(30.0)


class NlmlSolver:
    """A hpe_core.rotations.landmarks.LandmarkSolver; what it gives is finite.

    Where the manifold has no answer it is the rigid alignment with the mean face, with a standard deviation of 30
    degrees per axis; `take_counts` tells how often that was.
    """

    def __init__(self, model: Model | None = None):
        self.model = load(shipped()) if model is None else model
        self._clear()

    def __call__(self, points_m: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        least = max(LEAST_VISIBLE, 1.01 * LEAST_SEEN / self.model.landmarks)
        found = infer(self.model, points_m, np.maximum(visible, least))
        lost = ~found.converged
        covariance = np.where(lost[:, None, None], UNKNOWN_STD_RAD**2 * np.eye(3), found.covariance_rad2)
        self._candidates += len(found)
        self._rigid += int(lost.sum())
        self._out_of_range += int((~found.in_range).sum())
        return found.R_local, covariance

    def take_counts(self) -> dict[str, int]:
        """Candidates for a face since this was last asked, among them those aligned rigidly for want of an answer of
        the manifold, and those turned beyond the training grid.
        """
        counts = {
            "nlml.candidates": self._candidates,
            "nlml.rigid": self._rigid,
            "nlml.out_of_range": self._out_of_range,
        }
        self._clear()
        return counts

    def _clear(self):
        self._candidates = self._rigid = self._out_of_range = 0
