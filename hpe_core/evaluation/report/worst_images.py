"""The images that each method errs on most, for the report, with the estimated and the labelled axes drawn in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.errors.metrics import geodesic_deg
from hpe_core.evaluation.images.answers import Answer
from hpe_core.evaluation.images.sample import Sample
from hpe_core.evaluation.report.thumbnails import AXES_HEAD, AXIS_M, ESTIMATE_BGR, TRUE_BGR, around, data_url
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, box_from_pose
from hpe_core.geometry.lookat import local_from_global

WORST = 12


def worst_images(answers: Mapping[str, Sequence[Answer]], hfov_deg: float) -> list[dict[str, Any]]:
    """dict image (data URL or None), time (None), text of the worst images of every method: two thirds with the largest
    rotation errors, one third missed ones. hfov_deg: assumed where images have no calibration."""
    count = max(3, WORST // max(1, len(answers)))
    few = max(1, count // 3)
    shown = []
    for name, given in answers.items():
        with_error = [(_error_deg(answer), answer) for answer in given if answer.R is not None]
        with_error.sort(key=lambda pair: -pair[0])
        missed = [(np.nan, answer) for answer in given if answer.R is None]
        for error_deg, answer in [*with_error[: count - few], *missed[:few]]:
            what = f"missed: {answer.reason}" if answer.R is None else f"{error_deg:.1f} deg"
            text = f"{name}: {what}, yaw {float(answer.sample.angles.yaw):.0f}, {answer.sample.name}"
            shown.append({"image": _picture(answer, hfov_deg), "time": None, "text": text})
    return shown


def _error_deg(answer: Answer) -> float:
    assert answer.R is not None
    return float(geodesic_deg(answer.R[None], answer.sample.R[None])[0])


def _picture(answer: Answer, hfov_deg: float) -> str | None:
    """Data URL of the part of the image around the labelled face; None when there is no such place."""
    sample = answer.sample
    try:
        canvas = sample.image()
    except HpeError:
        return None
    camera = sample.camera or CameraModel.from_hfov(canvas.shape[1], canvas.shape[0], hfov_deg)
    box = _box(sample, camera)
    if box is None or not np.all(np.isfinite(box)):
        return data_url(canvas)
    side = float(max(box[2:] - box[:2]))
    origin = 0.5 * (box[:2] + box[2:]) if sample.sellion_px is None else sample.sellion_px
    scale = (sample.size_px or side) / REFERENCE_LENGTH_M
    thick = max(1, round(side / 80.0))
    for R, colours, width in ((sample.R, TRUE_BGR, thick), (answer.R, ESTIMATE_BGR, thick + 1)):
        if R is not None:
            _draw_axes(canvas, _local(R, sample), origin, scale, colours, width)
    return data_url(around(canvas, box[None]))


def _box(sample: Sample, camera: CameraModel) -> np.ndarray | None:
    """Box (4,) of the labelled face, None when the label does not say."""
    if sample.box_px is not None:
        return sample.box_px
    return None if sample.t_m is None else box_from_pose(camera, sample.R, sample.t_m)


def _local(R: np.ndarray, sample: Sample) -> np.ndarray:
    """The rotation (3, 3) seen along the line of sight."""
    if sample.local or sample.t_m is None:
        return R
    return local_from_global(R, sample.t_m + sample.R @ FACE_CENTRE_M)[0]


def _draw_axes(
    canvas: np.ndarray,
    R: np.ndarray,
    origin_px: np.ndarray,
    px_per_m: float,
    colours: Sequence[tuple[int, int, int]],
    thick: int,
) -> None:
    """The axes of a head (3, 3) in parallel projection."""
    start = np.round(origin_px).astype(int).tolist()
    for axis, colour in zip(AXES_HEAD, colours, strict=True):
        end = np.clip(np.round(origin_px + AXIS_M * px_per_m * (R @ axis)[:2]), -1e4, 1e4).astype(int).tolist()
        cv2.arrowedLine(canvas, start, end, colour, thick, cv2.LINE_AA, tipLength=0.15)
