"""What a method says of the labelled faces of one image, and which of its faces belongs to which label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from hpe_core.evaluation.images.sample import Sample
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.geometry.lookat import local_from_global
from hpe_core.types import HeadPose

if TYPE_CHECKING:
    from hpe_core.pipeline import Pipeline

MIN_OVERLAP = 0.3  # intersection over union with the labelled face's box
NOT_FALSE = 0.1  # a face that overlaps anything labelled by this is not a false one
NO_FACE, OTHER_FACES = "no face found", "only other faces found"
NO_LANDMARKS = "the labels have no landmarks"  # of a method that is given them


@dataclass(frozen=True, eq=False)
class Answer:
    """What the method said of one Sample: R (3, 3) comparable with its label, t_m (3,) or None, covariance (6, 6) in
    the axes of R or None; R None, and a reason, when the face was missed. false: false positives, given with
    the first Sample of an image; None when the labels cannot say so."""

    sample: Sample
    R: np.ndarray | None = None
    t_m: np.ndarray | None = None
    reason: str = ""
    covariance: np.ndarray | None = None
    false: int | None = None


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (...,) of boxes (..., 4) x0, y0, x1, y1."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    shared = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0.0).prod(-1)
    return shared / ((a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared)


def assigned(
    boxes_px: np.ndarray | Sequence[np.ndarray], samples: Sequence[Sample], camera: CameraModel
) -> list[int | None]:
    """For each Sample of one image the index of the box (B, 4) that is its face, or None.

    Labelled boxes around landmarks: most overlap in all, at least MIN_OVERLAP; a label that is only a position, or a
    box of another kind, takes the nearest box around its middle.
    """
    boxes_px = np.asarray(boxes_px, float).reshape(-1, 4)
    found: list[int | None] = [None] * len(samples)
    if len(boxes_px) == 0:
        return found
    with_box = [i for i, sample in enumerate(samples) if sample.box_px is not None and sample.of_landmarks]
    if with_box:
        shares = overlap(np.array([samples[i].box_px for i in with_box])[:, None], boxes_px[None])
        for row, column in zip(*linear_sum_assignment(-shares), strict=True):
            if shares[row, column] >= MIN_OVERLAP:
                found[with_box[row]] = int(column)
    for i, sample in enumerate(samples):
        if i not in with_box and (point := _middle_px(sample, camera)) is not None:
            around = np.all((boxes_px[:, :2] <= point) & (point <= boxes_px[:, 2:]), -1)
            distance = np.linalg.norm(0.5 * (boxes_px[:, :2] + boxes_px[:, 2:]) - point, axis=-1)
            found[i] = int(np.argmin(np.where(around, distance, np.inf))) if around.any() else None
    return found


def _middle_px(sample: Sample, camera: CameraModel) -> np.ndarray | None:
    """Middle (2,) of the labelled face in the image, None when the label does not say."""
    if sample.box_px is not None:
        return 0.5 * (sample.box_px[:2] + sample.box_px[2:])
    return None if sample.t_m is None else camera.project(sample.t_m)


def false_boxes(boxes_px: np.ndarray | Sequence[np.ndarray], sample: Sample) -> int | None:
    """How many boxes (B, 4) lie on nothing that the image's labels know; None when they do not know all faces."""
    if sample.others_px is None or sample.box_px is None:
        return None
    known = np.concatenate([sample.box_px[None], sample.others_px])
    boxes_px = np.asarray(boxes_px, float).reshape(-1, 4)
    return int(np.sum(~np.any(overlap(boxes_px[:, None], known[None]) >= NOT_FALSE, axis=1)))


def pipeline_answers(
    pipeline: Pipeline, image: np.ndarray, camera: CameraModel, samples: Sequence[Sample]
) -> list[Answer]:
    """List of Answer of a Pipeline for the Samples of one image (H, W, 3), of `camera`, as if it were the first."""
    pipeline.reset()
    faces = pipeline.process(image, camera, 0).faces
    boxes = [face.box_px for face in faces]
    answers = []
    for i, (sample, index) in enumerate(zip(samples, assigned(boxes, samples, camera), strict=True)):
        false = false_boxes(boxes, sample) if i == 0 else 0 if sample.others_px is not None else None
        if index is None:
            answers.append(Answer(sample, reason=OTHER_FACES if faces else NO_FACE, false=false))
        else:
            answers.append(Answer(sample, **_in_label_axes(faces[index].pose, sample), false=false))
    return answers


def _in_label_axes(pose: HeadPose, sample: Sample) -> dict[str, Any]:
    """R, t_m, covariance of a HeadPose as an Answer to this Sample has them."""
    R, t_m, covariance = pose.R_camera_head, pose.t_camera_head_m, pose.covariance
    if sample.local:
        R_camera_head = R
        R = local_from_global(R, R @ FACE_CENTRE_M + t_m)[0]
        if covariance is not None:
            turn = np.kron(np.eye(2), R @ R_camera_head.T)  # to the axes of the face-centred virtual camera
            covariance = turn @ covariance @ turn.T
    return {"R": R, "t_m": None if sample.t_m is None else t_m, "covariance": covariance}
