"""Known weaknesses of the methods, shown on purpose: rows of the third table.

The linear mean over bins of a full circle; Euler angles towards 90 degrees of yaw; regression of angles beside that of
six numbers at the edges. Published decodes are models whose config says decode "published".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np

from hpe_core.evaluation.errors.bootstrap import group_interval
from hpe_core.evaluation.errors.metrics import geodesic_deg
from hpe_core.evaluation.errors.pairs import aflw2000_angles_deg, facing_angles_deg
from training.measure.methods.scores import EULER, FEWEST, GEODESIC, Answers, Score, mean_score, within_limits

BACKS, POLE, EDGES = "backs", "towards 90 of yaw", "beside sixd"
BACK_DEG, FRONT_DEG = 150.0, 60.0
FRONTAL_ANSWERS, LARGER = "answered as a face, %", "larger error than sixd"
YAW_EDGES_DEG = (0, 60, 80, 90.001)
PAN_EDGES_DEG = (0, 60, 99, 180.001)


def backs(answers: Answers) -> Iterator[Score]:
    """Heads turned away by 150 degrees or more: the error, how often the answer is within 60 degrees of the front."""
    away = answers.part(np.abs(facing_angles_deg(answers.R_true)[:, 0]) >= BACK_DEG)
    if len(away.R) < FEWEST:
        return
    yield mean_score(BACKS, f"pan beyond {BACK_DEG:.0f}", GEODESIC, away)
    front = 100.0 * ((np.abs(facing_angles_deg(away.R)[:, 0]) < FRONT_DEG) & ~away.refused)
    low, high = group_interval(front, away.person) or (None, None)
    yield Score(BACKS, f"pan beyond {BACK_DEG:.0f}", FRONTAL_ANSWERS, float(front.mean()), low, high, len(front))


def pole(answers: Answers) -> Iterator[Score]:
    """Euler MAE beside the geodesic error by the yaw of the label, on the same heads; none beyond 99 degrees."""
    answers = answers.part(within_limits(answers.R_true))
    yaw = np.abs(aflw2000_angles_deg(answers.R_true)[:, 0])
    for low, high in pairwise(YAW_EDGES_DEG):
        inside = answers.part((yaw >= low) & (yaw < high))
        if len(inside.R) >= FEWEST:
            for metric in (EULER, GEODESIC):
                yield mean_score(POLE, f"yaw {low} to {int(high)}", metric, inside)


def edges(answers: Mapping[str, Answers], reference: str = "sixd") -> Iterator[tuple[str, Score]]:
    """Pairs (method, how much larger its geodesic error is than that of `reference` on the same heads), by pan; paired,
    so the interval is that of the difference. Nothing where the reference is not among the answers."""
    if reference not in answers:
        return
    theirs = geodesic_deg(answers[reference].R, answers[reference].R_true)
    for method, found in answers.items():
        if method == reference or len(found.R) != len(theirs):  # a large network saw fewer faces
            continue
        difference = geodesic_deg(found.R, found.R_true) - theirs
        pan = np.abs(facing_angles_deg(found.R_true)[:, 0])
        for low, high in pairwise(PAN_EDGES_DEG):
            inside = (pan >= low) & (pan < high)
            if inside.sum() >= FEWEST:
                ends = group_interval(difference[inside], found.person[inside]) or (None, None)
                part = f"pan {low} to {int(high)}"
                yield method, Score(EDGES, part, LARGER, float(difference[inside].mean()), *ends, int(inside.sum()))
