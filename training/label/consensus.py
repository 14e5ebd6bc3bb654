"""From four teachers to one label: what each errs removed, robust mean on SO(3), spread, position and size."""

from __future__ import annotations

from functools import cache

import numpy as np

from hpe_core.geometry.head import REFERENCE_LENGTH_M
from hpe_core.geometry.so3 import matrix_from_rotvec, rotvec_from_matrix
from training.label.bfm_frame import TEACHERS, BfmFrame
from training.label.curves import Curve
from training.label.curves import load as load_curves
from training.label.teachers import (
    Camera,
    Teachers,
    box_to_first_crop,
    geodesic_deg,
    mean_camera,
    robust_rotation_mean,
    rotation_mean,
)

SPREAD_FLOOR_DEG = 1.0  # agreeing teachers still share training data
CURVE_SHARE = 0.5  # the curves come from renders; how much of them holds for photographs is not known


def outline_box(camera: Camera, frame: BfmFrame) -> np.ndarray:
    """Bounds of the projected 68 landmarks of the mean head: (N, 4) x, y, w, h."""
    p = camera.project(frame.landmarks68)
    return np.concatenate([p.min(1), p.max(1) - p.min(1)], 1)


def estimate(
    teachers: Teachers, frame: BfmFrame, images: list[np.ndarray], boxes: np.ndarray
) -> tuple[np.ndarray, Camera]:
    """Detector box (N, 4) of one face per image -> rotations (N, 4 teachers, 3, 3) and mb05's camera.

    The first mb05 pass finds the landmarks' outline, from which all others are cropped (mb05 tracks like this).
    Each teacher sees the crop and its mirror image."""
    first = teachers.mb05(images, *box_to_first_crop(boxes))
    box = outline_box(first, frame)
    centre, side = box[:, :2] + box[:, 2:] / 2, box[:, 2:].max(1)
    views = (False, True)
    camera = mean_camera([teachers.mb05(images, centre, k * side, mirror) for k in (1.15, 1.35) for mirror in views])
    two = np.ones((len(images), 2))
    b66 = rotation_mean(np.stack([teachers.b66(images, centre, 1.4 * side, mirror) for mirror in views], 1), two)
    fsanet = rotation_mean(np.stack([teachers.fsanet(images, centre, 1.9 * side, mirror) for mirror in views], 1), two)
    return np.stack([camera.R, b66, fsanet, teachers.opnet(images, boxes).R], 1), camera


def teacher_weights(R: np.ndarray) -> np.ndarray:
    """Estimates of the teachers (N, 4, 3, 3) -> (N, 4), each by its scatter at that pose; the mean over them is 1."""
    std = np.stack([curve.std_deg(R[:, k]) for k, curve in enumerate(_curves())], 1)
    weight = std**-2.0
    return weight / weight.mean(1, keepdims=True)


def without_curves(R: np.ndarray) -> np.ndarray:
    """Estimates (N, 4, 3, 3) less CURVE_SHARE of what the teachers err at these poses."""
    return np.stack([curve.corrected(R[:, k], CURVE_SHARE) for k, curve in enumerate(_curves())], 1)


@cache
def _curves() -> list[Curve]:
    found = load_curves()
    return [found[name] for name in TEACHERS]


def estimate_bias(R: np.ndarray, rounds: int = 5) -> np.ndarray:
    """Constant offset of every teacher from the consensus, R (N, 4, 3, 3) -> (4, 3) rotation vectors, degrees.
    Mirrored views were averaged, so only the rotation about x can be biased: y and z are set to zero.
    The offsets add up to zero: nothing here tells which teacher is right."""
    bias = np.zeros((R.shape[1], 3))
    for _ in range(rounds):
        mean = robust_rotation_mean(remove_bias(R, bias), teacher_weights(R))
        offset = mean[:, None].swapaxes(-1, -2) @ R
        vectors = np.degrees(rotvec_from_matrix(offset))
        bias[:, 0] = np.median(vectors[..., 0], 0)
        bias -= bias.mean(0)
    return bias


def remove_bias(R: np.ndarray, bias_deg: np.ndarray) -> np.ndarray:
    """R (N, K, 3, 3), bias (K, 3) -> (N, K, 3, 3)."""
    return R @ matrix_from_rotvec(-np.radians(bias_deg))


def consensus(R: np.ndarray, bias_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Teachers' rotations (N, 4, 3, 3) -> (N, 3, 3) and the spread (N,), the weighted rms distance in degrees."""
    weight = teacher_weights(R)
    R = without_curves(remove_bias(R, bias_deg))
    mean = robust_rotation_mean(R, weight)
    distance = geodesic_deg(R, mean[:, None])
    return mean, np.sqrt((weight * distance**2).sum(1) / weight.sum(1))


def position_and_size(camera: Camera, frame: BfmFrame) -> tuple[np.ndarray, np.ndarray]:
    """-> centre_px (N, 2), size_px (N,)."""
    return camera.project(frame.C[None])[:, 0], REFERENCE_LENGTH_M * frame.units_per_metre * camera.scale
