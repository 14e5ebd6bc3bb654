"""NLML where the pipeline wants a rotation of landmarks: a callable for hpe_core.estimators.crop6dof.Refiner."""

import numpy as np

from hpe_core.nlml.infer import infer
from hpe_core.nlml.landmarks import LEAST_SEEN
from hpe_core.nlml.model import load, shipped

LEAST_VISIBLE = 0.1  # a hidden landmark of a network is a guess, but not nothing
UNKNOWN_STD_RAD = np.radians(30.0)


class LandmarkRotation:
    """(landmarks (N, 68, 3) m, visible (N, 68)) -> R_local (N, 3, 3) and covariance (N, 3, 3) rad^2, all finite.

    Where the manifold has no answer (counted in `rigid`) it is the rigid alignment with the mean face, with a standard
    deviation of 30 degrees per axis; `out_of_range` counts the faces beyond the training grid, `faces` all.
    """

    def __init__(self, model=None):
        self.model = load(shipped()) if model is None else model
        self.faces = self.rigid = self.out_of_range = 0

    def __call__(self, points_m, visible):
        least = max(LEAST_VISIBLE, 1.01 * LEAST_SEEN / self.model.landmarks)
        found = infer(self.model, points_m, np.maximum(visible, least))
        lost = ~found.converged
        covariance = np.where(lost[:, None, None], UNKNOWN_STD_RAD**2 * np.eye(3), found.covariance_rad2)
        self.faces += len(found)
        self.rigid += int(lost.sum())
        self.out_of_range += int((~found.in_range).sum())
        return found.R_local, covariance
