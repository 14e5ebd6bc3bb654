"""What a method's rotations are worth on a set of faces, as rows of a table: numbers with 95 % intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hpe_core.evaluation.errors.bootstrap import group_interval
from hpe_core.evaluation.errors.metrics import euler_error_deg, geodesic_deg, maev_deg
from hpe_core.evaluation.errors.pairs import aflw2000_angles_deg, facing_angles_deg
from hpe_core.geometry.so3 import mean_rotation

EULER, MAEV, GEODESIC, MEDIAN = "Euler MAE", "MAEV", "geodesic mean", "geodesic median"
REFUSED = "no answer, %"
WITHIN, ALL = "angles below 99", "all"
LIMIT_DEG = 99.0
PAN_EDGES_DEG = (0, 30, 60, 90, 120, 150, 180.001)
TILT_EDGES_DEG = (-60, -30, -10, 10, 30, 60)
FEWEST = 8  # faces of a bin that has a number


@dataclass(frozen=True)
class Score:
    """One number: of which faces (`part` of `set`), what (`metric`), how many faces; degrees. low, high: 95 %."""

    set: str
    part: str
    metric: str
    value: float
    low: float | None
    high: float | None
    faces: int


@dataclass(frozen=True, eq=False)
class Answers:
    """R (N, 3, 3) of a method beside R_true (N, 3, 3), and person (N,). refused (N,): no answer was given, and R is the
    mean of the set's true rotations, so that refusing costs something."""

    R: np.ndarray
    R_true: np.ndarray
    person: np.ndarray
    refused: np.ndarray

    @classmethod
    def of(cls, R: np.ndarray, R_true: np.ndarray, person: np.ndarray) -> Answers:
        """Answers of rotations (N, 3, 3) that are NaN where there is none."""
        refused = np.isnan(R).any((1, 2))
        return cls(np.where(refused[:, None, None], mean_rotation(R_true), R), R_true, person, refused)

    def part(self, chosen: np.ndarray) -> Answers:
        """Those that a mask (N,) or indices choose."""
        return Answers(self.R[chosen], self.R_true[chosen], self.person[chosen], self.refused[chosen])


def scores(name: str, answers: Answers) -> Iterator[Score]:
    """All numbers of a set of faces."""
    within = answers.part(within_limits(answers.R_true))
    yield from _four(name, WITHIN, within)
    yield from _four(name, ALL, answers)
    yield Score(name, ALL, REFUSED, 100.0 * float(answers.refused.mean()), None, None, len(answers.R))
    facing = facing_angles_deg(answers.R_true)
    for axis, values, edges in (("pan", np.abs(facing[:, 0]), PAN_EDGES_DEG), ("tilt", facing[:, 1], TILT_EDGES_DEG)):
        for low, high in pairwise(edges):
            inside = answers.part((values >= low) & (values < high))
            if len(inside.R) >= FEWEST:
                yield mean_score(name, f"{axis} {low} to {int(high)}", GEODESIC, inside)


def within_limits(R_true: np.ndarray) -> np.ndarray:
    """(N,) bool: whether all three AFLW2000 angles of rotations (N, 3, 3) are below 99 degrees."""
    return np.all(np.abs(aflw2000_angles_deg(R_true)) < LIMIT_DEG, axis=-1)


def _four(name: str, part: str, answers: Answers) -> Iterator[Score]:
    if len(answers.R) < FEWEST:
        return
    for metric in (EULER, MAEV, GEODESIC):
        yield mean_score(name, part, metric, answers)
    median = float(np.median(geodesic_deg(answers.R, answers.R_true)))
    yield Score(name, part, MEDIAN, median, None, None, len(answers.R))


def mean_score(name: str, part: str, metric: str, answers: Answers) -> Score:
    """The mean of a metric with its interval over people."""
    values = ERRORS[metric](answers.R, answers.R_true)
    low, high = group_interval(values, answers.person) or (None, None)
    return Score(name, part, metric, float(values.mean()), low, high, len(values))


def _euler_mae_deg(R: np.ndarray, R_true: np.ndarray) -> np.ndarray:
    return np.abs(euler_error_deg(R, R_true)).mean(-1)


ERRORS = {EULER: _euler_mae_deg, MAEV: maev_deg, GEODESIC: geodesic_deg}
