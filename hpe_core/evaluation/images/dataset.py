"""A model on the single images of a dataset, by a published protocol; scored + missed + skipped = its images."""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np

import hpe_core
from hpe_core.config import PipelineConfig
from hpe_core.errors import HpeError
from hpe_core.evaluation.convert.convert import samples_of
from hpe_core.evaluation.errors import frame_offset, metrics, summaries
from hpe_core.evaluation.images.answers import Answer, pipeline_answers
from hpe_core.evaluation.report.results import SCHEMA_VERSION
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG

FIT_SHARE = 0.2
COLUMNS = (
    *("image", "status", "reason", "yaw_deg", "pitch_deg", "roll_deg", "yaw_error_deg", "pitch_error_deg"),
    *("roll_error_deg", "geodesic_deg", "maev_deg", "translation_error_mm", "aligned_geodesic_deg"),
)


def evaluate_dataset(protocol, folder, config=None, hfov_deg=DEFAULT_HFOV_DEG, limit=None, jobs=1, progress=None):
    """Summary (dict) and rows (dict column -> list) of a Protocol on the dataset in `folder`."""
    chosen, rows = [], {name: [] for name in COLUMNS}
    for number, sample in enumerate(samples_of(protocol.dataset, folder)):
        if limit is not None and number == limit:
            break
        reason = protocol.reason_to_skip(sample)
        if reason is None:
            chosen.append(sample)
        else:
            _add_row(rows, sample, "skipped", reason)
    if not chosen:
        raise HpeError(f"protocol {protocol.name} has no image in {folder} ({len(rows['image'])} are outside of it)")
    config = config or PipelineConfig()
    config = replace(config, estimator=replace(config.estimator, threads=1))
    answers = _answers(chosen, config, hfov_deg, jobs, progress)
    return _summary(protocol, answers, rows), rows


def _answers(samples, config, hfov_deg, jobs, progress):
    if jobs <= 1:
        return _answer_all((samples, config, hfov_deg), progress)
    parts = [(samples[i::jobs], config, hfov_deg) for i in range(jobs)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(_answer_all, parts))
    return [found[i % jobs][i // jobs] for i in range(len(samples))]


def _answer_all(task, progress=None):
    from hpe_core.pipeline import Pipeline

    samples, config, hfov_deg = task
    pipeline = Pipeline(config)
    answers = []
    for done, sample in enumerate(samples, 1):
        answers.append(_answer(pipeline, sample, hfov_deg))
        if progress:
            progress(done, len(samples))
    return answers


def _answer(pipeline, sample, hfov_deg):
    try:
        image = sample.image()
    except HpeError as error:
        return Answer(sample, reason=str(error))
    camera = sample.camera or CameraModel.from_hfov(image.shape[1], image.shape[0], hfov_deg)
    return pipeline_answers(pipeline, image, camera, [sample])[0]


def _fit_part(samples):
    """Mask (N,) of the images that the alignment is fitted on: the first fifth of the sequences, or every fifth of
    unrelated images."""
    sequences = sorted({sample.sequence for sample in samples})
    if len(sequences) > 1:
        first = set(sequences[: max(1, round(FIT_SHARE * len(sequences)))])
        return np.array([sample.sequence in first for sample in samples])
    if sequences[0]:  # one sequence: its beginning
        return np.arange(len(samples)) < FIT_SHARE * len(samples)
    return np.arange(len(samples)) % round(1 / FIT_SHARE) == 0


def _summary(protocol, answers, rows):
    found = [a for a in answers if a.R is not None]
    missed = [a for a in answers if a.R is None]
    R = np.array([a.R for a in found]).reshape(-1, 3, 3)
    R_true = np.array([a.sample.R for a in found]).reshape(-1, 3, 3)
    euler_deg, geodesic = metrics.euler_error_deg(R, R_true), metrics.geodesic_deg(R, R_true)
    maev = metrics.maev_deg(R, R_true)
    aligned, fit, offset = _aligned(found, R, R_true)
    shift = np.array([np.nan if a.t_m is None else 1e3 * np.linalg.norm(a.t_m - a.sample.t_m) for a in found])
    for i, answer in enumerate(found):
        numbers = (*euler_deg[i], geodesic[i], maev[i], shift[i], np.nan if aligned is None else aligned[i])
        _add_row(rows, answer.sample, "scored", "", numbers)
    for answer in missed:
        _add_row(rows, answer.sample, "missed", answer.reason)
    R_missed = np.array([a.sample.R for a in missed]).reshape(-1, 3, 3)
    R_mean = so3.mean_rotation(np.concatenate([R_true, R_missed]))
    as_mean_geodesic = metrics.geodesic_deg(R_missed, R_mean)
    as_mean_euler = metrics.euler_error_deg(R_missed, np.broadcast_to(R_mean, R_missed.shape))
    skipped = len(rows["image"]) - len(answers)
    return {
        "schema": "hpe-dataset-evaluation",
        "schema_version": SCHEMA_VERSION,
        "hpe_version": hpe_core.__version__,
        "protocol": {"name": protocol.name, "dataset": protocol.dataset, "note": protocol.note},
        "detection": {
            "images": len(rows["image"]),
            "skipped": skipped,
            "true_heads": len(answers),
            "matched": len(found),
            "missed": len(missed),
            "missed_by_reason": dict(Counter(a.reason for a in missed)),
            "recall": len(found) / len(answers),
        },
        "rotation": {
            "euler_mae_deg": summaries.euler_mae(euler_deg)
            | {"mean_failures_as_mean_pose": float(np.mean(np.abs(np.concatenate([euler_deg, as_mean_euler]))))},
            "geodesic_deg": summaries.with_interval(geodesic)
            | {"mean_failures_as_mean_pose": float(np.mean(np.concatenate([geodesic, as_mean_geodesic])))},
            "maev_deg": summaries.with_interval(maev),
        },
        "translation": {"error_mm": summaries.with_interval(shift)}
        if len(shift) and np.all(np.isfinite(shift))
        else None,
        "aligned": None
        if aligned is None
        else {
            "fitted_on": int(fit.sum()),
            "held_out": int((~fit).sum()),
            "frame_offset_deg": offset.angle_deg,
            "raw_geodesic_deg": summaries.with_interval(geodesic[~fit]),
            "aligned_geodesic_deg": summaries.with_interval(aligned[~fit]),
            "raw_euler_mae_deg": summaries.euler_mae(euler_deg[~fit]),
            "aligned_euler_mae_deg": summaries.euler_mae(metrics.euler_error_deg(R, R_true @ offset.R)[~fit]),
        },
    }


def _aligned(found, R, R_true):
    """Geodesic errors (N,) after one constant rotation, the mask that it was fitted on, and its FrameOffset."""
    if not found:
        return None, None, None
    fit, nowhere = _fit_part([a.sample for a in found]), np.zeros((len(found), 3))
    offset = frame_offset.fit(R[fit], nowhere[fit], R_true[fit], nowhere[fit])
    if offset is None or fit.all():
        return None, None, None
    return metrics.geodesic_deg(R, R_true @ offset.R), fit, offset


def _add_row(rows, sample, status, reason, numbers=(np.nan,) * 7):
    angles = sample.angles
    values = (sample.name, status, reason, float(angles.yaw), float(angles.pitch), float(angles.roll), *numbers)
    for name, value in zip(COLUMNS, values, strict=True):
        rows[name].append(value)
