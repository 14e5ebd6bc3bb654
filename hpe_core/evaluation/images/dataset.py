"""A model on the single images of a dataset, by a published protocol; scored + missed + skipped = its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpe_core.config import PipelineConfig
from hpe_core.errors import HpeError
from hpe_core.evaluation.errors import summaries
from hpe_core.evaluation.errors.metrics import EULER, GEODESIC, columns_with_new
from hpe_core.evaluation.errors.scores import Alignment, Scores, aligned_by_part, scores_of
from hpe_core.evaluation.images.answers import Answer, pipeline_answers
from hpe_core.evaluation.images.dataset_kind import Protocol
from hpe_core.evaluation.images.protocols import samples_of
from hpe_core.evaluation.images.sample import Sample
from hpe_core.evaluation.images.scores import Rows, detection, found_and_missed, heads_of, pairs_of, rows_of
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG

if TYPE_CHECKING:
    from hpe_core.pipeline import Pipeline

FIT_SHARE = 0.2
ALIGNMENT = "all"  # one frame offset for all images
COLUMNS = columns_with_new(
    (
        *("image", "status", "reason", "yaw_deg", "pitch_deg", "roll_deg", "yaw_error_deg", "pitch_error_deg"),
        *("roll_error_deg", "geodesic_deg", "maev_deg", "translation_error_mm", "aligned_geodesic_deg"),
    )
)
Progress = Callable[[int, int], None]  # called with the number of images done and in all


def evaluate_dataset(
    protocol: Protocol,
    folder: str | Path,
    *,
    config: PipelineConfig | None = None,
    hfov_deg: float = DEFAULT_HFOV_DEG,
    limit: int | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Rows]:
    """Summary and rows of frames.csv of a Protocol on the dataset in `folder`.

    Raises HpeError when the folder is no such dataset or holds no image of the protocol.
    """
    chosen: list[Sample] = []
    skipped: list[Answer] = []
    for number, sample in enumerate(samples_of(protocol.dataset, folder)):
        if limit is not None and number == limit:
            break
        reason = protocol.reason_to_skip(sample)
        if reason is None:
            chosen.append(sample)
        else:
            skipped.append(Answer(sample, reason=reason))
    if not chosen:
        raise HpeError(f"protocol {protocol.name} has no image in {folder} ({len(skipped)} are outside of it)")
    config = config or PipelineConfig()
    config = replace(config, estimator=replace(config.estimator, threads=1))
    return _scored(protocol, _answers(chosen, config, hfov_deg, jobs, progress), skipped)


def _answers(
    samples: list[Sample], config: PipelineConfig, hfov_deg: float, jobs: int, progress: Progress | None
) -> list[Answer]:
    if jobs <= 1:
        return _answer_all((samples, config, hfov_deg), progress)
    parts = [(samples[i::jobs], config, hfov_deg) for i in range(jobs)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(_answer_all, parts))
    return [found[i % jobs][i // jobs] for i in range(len(samples))]


def _answer_all(task: tuple[list[Sample], PipelineConfig, float], progress: Progress | None = None) -> list[Answer]:
    from hpe_core.pipeline import Pipeline

    samples, config, hfov_deg = task
    pipeline = Pipeline(config)
    answers = []
    for done, sample in enumerate(samples, 1):
        answers.append(_answer(pipeline, sample, hfov_deg))
        if progress:
            progress(done, len(samples))
    return answers


def _answer(pipeline: Pipeline, sample: Sample, hfov_deg: float) -> Answer:
    try:
        image = sample.image()
    except HpeError as error:
        return Answer(sample, reason=str(error))
    camera = sample.camera or CameraModel.from_hfov(image.shape[1], image.shape[0], hfov_deg)
    return pipeline_answers(pipeline, image, camera, [sample])[0]


def _fit_part(samples: Sequence[Sample]) -> np.ndarray:
    """Mask (N,) of the images that the alignment is fitted on: the first fifth of the sequences, or every fifth of
    unrelated images."""
    sequences = sorted({sample.sequence for sample in samples})
    if len(sequences) > 1:
        first = set(sequences[: max(1, round(FIT_SHARE * len(sequences)))])
        return np.array([sample.sequence in first for sample in samples])
    if sequences and sequences[0]:  # one sequence: its beginning
        return np.arange(len(samples)) < FIT_SHARE * len(samples)
    return np.arange(len(samples)) % round(1 / FIT_SHARE) == 0


def _scored(protocol: Protocol, answers: Sequence[Answer], skipped: Sequence[Answer]) -> tuple[dict[str, Any], Rows]:
    found, missed = found_and_missed(answers)
    pairs, fit = pairs_of(found), _fit_part([a.sample for a in found])
    alignment = aligned_by_part(pairs, {ALIGNMENT: (np.flatnonzero(fit), np.flatnonzero(~fit))})
    scores = scores_of(pairs=pairs, missed=heads_of([a.sample for a in missed]), alignment=alignment)
    summary = {
        "protocol": {"name": protocol.name, "dataset": protocol.dataset, "note": protocol.note},
        "detection": detection(answers) | {"images": len(answers) + len(skipped), "skipped": len(skipped)},
        **summaries.errors(scores, summaries.DATASETS),
        "aligned": _aligned(scores, alignment),
    }
    known = scores.columns | {"aligned_geodesic_deg": scores.aligned[GEODESIC.name]}
    rows = rows_of([*skipped, *found, *missed], known, COLUMNS)
    rows["status"] = np.repeat(["skipped", "scored", "missed"], [len(skipped), len(found), len(missed)])
    return summary, rows


def _aligned(scores: Scores, alignment: Alignment) -> dict[str, Any] | None:
    """Errors of the held-out images before and after frame alignment; None without one."""
    if not alignment.offsets:
        return None
    sides = summaries.compared(scores)
    return {
        "fitted_on": summaries.fitted_on(scores),
        "held_out": int(scores.held_out.sum()),
        "frame_offset_deg": alignment.offsets[ALIGNMENT].angle_deg,
        **{f"before_{metric.name}": sides["before"][metric.name] for metric in (GEODESIC, EULER)},
        **{f"after_{metric.name}": sides["after"][metric.name] for metric in (GEODESIC, EULER)},
    }
