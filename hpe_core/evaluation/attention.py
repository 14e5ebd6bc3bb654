"""Looking at a target or not: agreement with the truth, and flicker."""

import numpy as np

GAZE_HEAD = np.array([0.0, 0.0, -1.0])


def angle_to_target_deg(R, t_m, target_camera_m):
    """Angle (N,) in degrees between the face's direction and the target (3,) seen from heads (N, 3, 3), (N, 3)."""
    to_target = np.asarray(target_camera_m, float) - t_m
    length = np.linalg.norm(to_target, axis=-1)
    cosine = np.sum((R @ GAZE_HEAD) * to_target, -1) / np.where(length > 0, length, 1.0)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def agreement(looks, truly_looks, missed_looks=0):
    """dict precision, recall, f1 of decisions (N,) bool; `missed_looks`: true looks of heads that were not found."""
    hits = int(np.sum(looks & truly_looks))
    false, missed = int(np.sum(looks & ~truly_looks)), int(np.sum(~looks & truly_looks)) + int(missed_looks)
    return {
        "true_looks": hits + missed,
        "precision": hits / (hits + false) if hits + false else None,
        "recall": hits / (hits + missed) if hits + missed else None,
        "f1": 2 * hits / (2 * hits + false + missed) if hits + false + missed else None,
    }


def changes_per_minute(looks, stamp_ns, max_gap_ns):
    """How often per minute the decision (N,) at stamps (N,) of one head changes; None without time between them."""
    step = np.diff(stamp_ns)
    near = (step > 0) & (step <= max_gap_ns)
    minutes = np.sum(step[near]) / 60e9
    return float(np.sum(np.diff(looks.astype(int))[near] != 0) / minutes) if minutes > 0 else None
