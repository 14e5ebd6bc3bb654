"""A method against labels that are directions only (`Facing`): residual after a fit that removes scale and offsets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from hpe_core.evaluation.errors import nominal
from hpe_core.evaluation.errors.bootstrap import mean_interval
from hpe_core.evaluation.errors.pairs import facing_angles_deg
from hpe_core.evaluation.images.answers import Answer
from hpe_core.evaluation.images.sample import Facing

COLUMNS = (
    *("image", "status", "reason", "person", "series", "pan_deg", "tilt_deg", "estimated_pan_deg"),
    *("estimated_tilt_deg", "pan_residual_deg", "tilt_residual_deg"),
)
AXES = ("pan", "tilt")
NO_PAN_DEG = 90.0  # straight up or down is no pan
EDGES_DEG = (-97.5, -67.5, -37.5, -7.5, 7.5, 37.5, 67.5, 97.5)


def facing_summary(answers: Sequence[Answer], found: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The summary's part `facing` and `by` of Answers, all with a Facing, and the columns of their rows.

    found (F,) bool: which have a pose. A missed face counts in `mean_failures_as_mean_pose` as if the middle of its
    series had been estimated.
    """
    facings = [_facing(answer) for answer in answers]
    series = np.array([answer.sample.sequence for answer in answers])
    label = np.array([[f.pan_deg, f.tilt_deg] for f in facings], float).reshape(-1, 2)
    estimated = np.full(label.shape, np.nan)
    if found.any():
        R = np.array([a.R for a in answers if a.R is not None])
        estimated[found] = facing_angles_deg(R)[:, :2]
    residual, missed = np.full(label.shape, np.nan), np.full(label.shape, np.nan)
    fits: list[nominal.NominalFit | None] = []
    for axis in range(2):
        counts = np.ones(len(label), bool) if axis else np.abs(label[:, 1]) < NO_PAN_DEG
        use = counts & found
        fits.append(nominal.fit(estimated[use, axis], label[use, axis], series[use]))
        if fits[-1] is not None:
            residual[use, axis] = fits[-1].residual_deg
        middle = nominal.less_series_mean(label[counts, axis], series[counts])
        missed[counts, axis] = np.where(found[counts], np.nan, middle)
    summary = {
        "facing": {
            "residual_deg": _residuals(residual, missed),
            **{
                name: {axis: None if one is None else getattr(one, name) for axis, one in zip(AXES, fits, strict=True)}
                for name in ("slope", "scale", "rank_correlation")
            },
            "series": len(set(series.tolist())),
            "persons": sorted({f.person for f in facings}, key=lambda person: (len(person), person)),
        },
        "by": {f"nominal_{axis}_deg": _bins(residual, label[:, number], found) for number, axis in enumerate(AXES)},
    }
    columns = {
        "image": np.array([a.sample.name for a in answers], str),
        "status": np.where(found, "matched", "missed"),
        "reason": np.array([a.reason for a in answers], str),
        "person": np.array([f.person for f in facings], str),
        "series": series,
        **{f"{axis}_deg": label[:, i] for i, axis in enumerate(AXES)},
        **{f"estimated_{axis}_deg": estimated[:, i] for i, axis in enumerate(AXES)},
        **{f"{axis}_residual_deg": residual[:, i] for i, axis in enumerate(AXES)},
    }
    return summary, {name: columns[name] for name in COLUMNS}


def _facing(answer: Answer) -> Facing:
    assert answer.sample.facing is not None
    return answer.sample.facing


def _residuals(residual: np.ndarray, missed: np.ndarray) -> dict[str, Any]:
    """dict pan, tilt, mean of the absolute residuals (F, 2), NaN where there is none, the interval of the mean, and the
    mean with what `missed` (F, 2) says of the faces that were not found."""
    size = np.abs(residual)
    per_image = _row_means(size)
    with_missed = _row_means(np.abs(np.where(np.isnan(residual), missed, residual)))
    return {
        **{axis: _mean(size[:, i]) for i, axis in enumerate(AXES)},
        "mean": _mean(per_image),
        "ci95": mean_interval(per_image[np.isfinite(per_image)], block=1),
        "mean_failures_as_mean_pose": _mean(with_missed),
    }


def _bins(residual: np.ndarray, label_deg: np.ndarray, found: np.ndarray) -> list[dict[str, Any]]:
    """Bins of one nominal angle (F,) that hold any label: recall and mean residual of both axes."""
    size, out = _row_means(np.abs(residual)), []
    for low, high in pairwise(EDGES_DEG):
        inside = (label_deg >= low) & (label_deg < high)
        if not inside.any():
            continue
        values = size[inside & np.isfinite(size)]
        out.append(
            {
                "from": low,
                "to": high,
                "ground_truth_heads": int(inside.sum()),
                "recall": float(found[inside].mean()),
                "residual_deg": {"mean": _mean(values), "ci95": mean_interval(values, block=1)},
            }
        )
    return out


def _row_means(values: np.ndarray) -> np.ndarray:
    """Means (F,) of the known ones of values (F, 2), NaN where none is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(1) / known.sum(1)


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
