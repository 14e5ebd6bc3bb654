"""NLML where the pipeline wants a rotation of landmarks: a callable for hpe_core.networks.crop.crop6dof.Refiner."""

import numpy as np

from hpe_core.nlml.infer import infer
from hpe_core.nlml.landmarks import LEAST_SEEN
from hpe_core.nlml.model import load, shipped

LEAST_VISIBLE = 0.1  # a hidden landmark of a network is a guess, but not nothing
UNKNOWN_STD_RAD = np.radians(30.0)


class LandmarkRotation:
    """(landmarks (N, 68, 3) m, visible (N, 68)) -> R_local (N, 3, 3) and covariance (N, 3, 3) rad^2, all finite.

    Where the manifold has no answer it is the rigid alignment with the mean face, with a standard deviation of 30
    degrees per axis; `take_counts` tells how often that was.
    """

    def __init__(self, model=None):
        self.model = load(shipped()) if model is None else model
        self._candidates = self._rigid = self._out_of_range = 0

    def __call__(self, points_m, visible):
        least = max(LEAST_VISIBLE, 1.01 * LEAST_SEEN / self.model.landmarks)
        found = infer(self.model, points_m, np.maximum(visible, least))
        lost = ~found.converged
        covariance = np.where(lost[:, None, None], UNKNOWN_STD_RAD**2 * np.eye(3), found.covariance_rad2)
        self._candidates += len(found)
        self._rigid += int(lost.sum())
        self._out_of_range += int((~found.in_range).sum())
        return found.R_local, covariance

    def take_counts(self):
        """dict of `candidates` for a face since this was last asked, among them `rigid` without an answer of the
        manifold, and `out_of_range` turned beyond the training grid.
        """
        counts = {"candidates": self._candidates, "rigid": self._rigid, "out_of_range": self._out_of_range}
        self._candidates = self._rigid = self._out_of_range = 0
        return counts
