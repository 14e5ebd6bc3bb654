"""Looking at a target or not: agreement with the ground truth, and flicker."""

import numpy as np


def agreement(looks: np.ndarray, truly_looks: np.ndarray, missed_looks: int = 0) -> dict[str, float | None]:
    """dict precision, recall, f1 of decisions (N,) bool; `missed_looks`: true looks of heads that were not found."""
    hits = int(np.sum(looks & truly_looks))
    false = int(np.sum(looks & ~truly_looks))
    missed = int(np.sum(~looks & truly_looks)) + int(missed_looks)
    return {
        "true_looks": hits + missed,
        "precision": hits / (hits + false) if hits + false else None,
        "recall": hits / (hits + missed) if hits + missed else None,
        "f1": 2 * hits / (2 * hits + false + missed) if hits + false + missed else None,
    }


def changes_per_minute(looks: np.ndarray, stamp_ns: np.ndarray, max_gap_ns: int) -> float | None:
    """How often per minute the decision (N,) at stamps (N,) of one head changes; None without time between them."""
    step = np.diff(stamp_ns)
    near = (step > 0) & (step <= max_gap_ns)
    minutes = np.sum(step[near]) / 60e9
    return float(np.sum(np.diff(looks.astype(int))[near] != 0) / minutes) if minutes > 0 else None
