"""Rotations made of the landmarks that a crop network sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from hpe_core.candidates import Candidates
from hpe_core.errors import HpeError
from hpe_core.geometry.lookat import HALF_TURN


class LandmarkSolver(Protocol):
    """(landmarks (N, 68, 3) m, visible (N, 68)) -> R_local (N, 3, 3) and its covariance (N, 3, 3) rad^2."""

    def __call__(self, points_m: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...

    def take_counts(self) -> dict[str, int]:
        """As in RotationSource."""
        ...


class LandmarkRotation:
    """A RotationSource: made of landmarks, where the crop does not deny a face."""

    def __init__(self, solve: LandmarkSolver):
        self._solve = solve

    def rotated(self, seen: Candidates, upside_down: np.ndarray, found: Candidates | None) -> Candidates:
        if seen.landmarks_m is None or seen.visible is None:
            raise HpeError("a rotation of landmarks needs a crop network with landmarks")
        # landmarks of what is no face mean nothing, and take longest
        confirmed = np.ones(len(seen), bool) if seen.confirmed is None else seen.confirmed
        if not confirmed.any():
            return seen
        turn = np.where(upside_down[confirmed, None], HALF_TURN, 1.0)
        R_solved, covariance_solved = self._solve(seen.landmarks_m[confirmed] * turn[:, None], seen.visible[confirmed])
        R, covariance = seen.R_local.copy(), seen.rotation_covariance.copy()
        R[confirmed] = turn[:, :, None] * R_solved
        # the network's own covariance measures how hard the image is, the landmarks' how well they fix a pose
        covariance[confirmed] += turn[:, :, None] * covariance_solved * turn[:, None]
        return replace(seen, R_local=R, rotation_covariance=covariance)

    def take_counts(self) -> dict[str, int]:
        return self._solve.take_counts()
