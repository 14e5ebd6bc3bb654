"""Errors of one method on labelled images: from Answers to the numbers of its row, every face accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hpe_core.evaluation.errors import frame_offset, summaries
from hpe_core.evaluation.errors.frame_offset import FrameOffset
from hpe_core.evaluation.errors.metrics import GEODESIC, columns_with_new
from hpe_core.evaluation.errors.pairs import Heads, PosePairs
from hpe_core.evaluation.errors.scores import Scores, scores_of
from hpe_core.evaluation.images.answers import Answer
from hpe_core.evaluation.images.facing import facing_summary
from hpe_core.evaluation.images.sample import Sample

COLUMNS = columns_with_new(
    (
        *("image", "status", "reason", "yaw_deg", "pitch_deg", "roll_deg", "distance_m", "face_size_px"),
        *("geodesic_deg", "yaw_error_deg", "pitch_error_deg", "roll_error_deg", "maev_deg", "translation_error_mm"),
        *("depth_error_mm", "lateral_error_mm", "rotation_std_deg", "aligned_geodesic_deg"),
    )
)
Rows = dict[str, np.ndarray]  # column of frames.csv -> values, all of one length


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageResult:
    """One method on one set of images: summary (its part of results.json), rows (one entry per labelled face in the
    order of the set; NaN where there is nothing), scores: of the found faces."""

    summary: dict[str, Any]
    rows: Rows
    scores: Scores


def score(answers: Sequence[Answer], offset: FrameOffset | None = None) -> ImageResult:
    """ImageResult of Answers; offset: of the method's head frame in the labels', found on other images."""
    found, missed = found_and_missed(answers)
    pairs, lost = pairs_of(found), heads_of([a.sample for a in missed])
    scores = scores_of(pairs=pairs, missed=lost)
    if answers and all(a.sample.facing is not None for a in answers):
        part, rows = facing_summary(answers, _is_found(answers))
        summary = {"status": "measured", "detection": detection(answers) | _false(answers), **part}
        return ImageResult(summary=summary, rows=rows, scores=scores)
    summary = {
        "status": "measured",
        "detection": detection(answers) | _false(answers),
        **summaries.errors(scores, summaries.IMAGES),
        "uncertainty": summaries.uncertainty(pairs),
        "by": summaries.by_bin(scores, block=1) | {"abs_yaw_deg": summaries.by_abs_yaw(scores, block=1)},
        "aligned": None,
    }
    aligned_deg = np.full(len(found), np.nan)
    if offset is not None:
        aligned = scores_of(pairs=replace(pairs, R=pairs.R @ offset.R.T), missed=lost)
        aligned_deg = aligned.errors[GEODESIC.name]
        summary["aligned"] = {
            "fitted_on": offset.poses,
            "frame_offset_deg": offset.angle_deg,
            "rotation": summaries.rotation(aligned, summaries.IMAGES),
            "by": {"abs_yaw_deg": summaries.by_abs_yaw(aligned, block=1)},
        }
    known = scores.columns | {"aligned_geodesic_deg": aligned_deg, "rotation_std_deg": _rotation_std_deg(pairs)}
    return ImageResult(summary=summary, rows=rows_of(answers, known, COLUMNS), scores=scores)


def fitted_offset(answers: Sequence[Answer]) -> FrameOffset | None:
    """FrameOffset of a method on the images of these Answers; None when too few faces were found."""
    pairs = pairs_of(found_and_missed(answers)[0])
    nowhere = np.zeros((len(pairs), 3))
    return frame_offset.fit(pairs.R, nowhere, pairs.true.R, nowhere)


def found_and_missed(answers: Sequence[Answer]) -> tuple[list[Answer], list[Answer]]:
    """The Answers with a pose and those without, each in the order of the set."""
    return [a for a in answers if a.R is not None], [a for a in answers if a.R is None]


def pairs_of(found: Sequence[Answer]) -> PosePairs:
    """PosePairs of Answers that have a pose."""
    return PosePairs(
        R=_stacked([a.R for a in found], (3, 3)),
        t_m=_stacked([a.t_m for a in found], (3,)),
        true=heads_of([a.sample for a in found]),
        covariance=_stacked([a.covariance for a in found], (6, 6)),
    )


def heads_of(samples: Sequence[Sample]) -> Heads:
    """Labelled heads; their time is their place in the order."""
    return Heads(
        R=_stacked([s.R for s in samples], (3, 3)),
        t_m=_stacked([s.t_m for s in samples], (3,)),
        size_px=_stacked([s.size_px for s in samples], ()),
        time_s=np.arange(len(samples), dtype=float),
    )


def _is_found(answers: Sequence[Answer]) -> np.ndarray:
    """(F,) bool: which Answers have a pose."""
    return np.array([a.R is not None for a in answers], bool)


def _stacked(values: Sequence[np.ndarray | float | None], shape: tuple[int, ...]) -> np.ndarray:
    """Array (N, *shape) of the values; NaN where one is None."""
    known = [np.full(shape, np.nan) if value is None else value for value in values]
    return np.array(known, float).reshape(-1, *shape)


def detection(answers: Sequence[Answer]) -> dict[str, Any]:
    """dict of counts of images and labelled faces, found and missed."""
    found, missed = found_and_missed(answers)
    return {
        "images": len({a.sample.image_id or a.sample.name for a in answers}),
        "ground_truth_heads": len(answers),
        "matched": len(found),
        "missed": len(missed),
        "missed_by_reason": dict(Counter(a.reason for a in missed)),
        "recall": len(found) / len(answers) if answers else None,
    }


def _false(answers: Sequence[Answer]) -> dict[str, Any]:
    """False positives, where the labels know all faces."""
    false = [a.false for a in answers if a.false is not None]
    if not false:
        return {"false_positives": None, "false_positives_per_image": None}
    return {
        "false_positives": int(np.sum(false)),
        "false_positives_per_image": float(np.sum(false) / detection(answers)["images"]),
    }


def rows_of(answers: Sequence[Answer], known: dict[str, np.ndarray], columns: Sequence[str]) -> Rows:
    """A row for each of F Answers. known: column -> values of the found ones, in their order."""
    samples = [a.sample for a in answers]
    heads, found = heads_of(samples), _is_found(answers)
    rows = {
        "image": np.array([s.name for s in samples], str),
        "status": np.where(found, "matched", "missed"),
        "reason": np.array([a.reason for a in answers], str),
        **dict(zip(("yaw_deg", "pitch_deg", "roll_deg"), heads.angles_deg.T, strict=True)),
        "distance_m": heads.range_m,
        "face_size_px": heads.size_px,
    }
    for name, values in known.items():
        rows[name] = np.full(len(answers), np.nan)
        rows[name][found] = values
    return {name: rows[name] for name in columns}


def _rotation_std_deg(pairs: PosePairs) -> np.ndarray:
    """Published standard deviation (P,) per axis in degrees, NaN where unknown."""
    if pairs.covariance is None:
        return np.full(len(pairs), np.nan)
    return np.degrees(np.sqrt(np.trace(pairs.covariance[:, 3:, 3:], axis1=1, axis2=2) / 3.0))
