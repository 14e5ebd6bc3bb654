"""Measure the teachers' errors on renders with exact poses (curves.py), and print them before and after.

python -m training.label.fit_curves --shards DIR [DIR ...] --data ../shared/data    writes teacher_curves.json
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path

import numpy as np

from hpe_core.geometry.euler import aflw2000
from hpe_core.geometry.so3 import rotvec_from_matrix
from training.data.shards import read_shards
from training.label.bfm_frame import TEACHERS, BfmFrame
from training.label.consensus import estimate
from training.label.curves import CURVES_FILE, Curve, terms, turn
from training.label.detect import Detector
from training.label.teachers import Teachers

RIDGE, KNEE_DEG, ROUNDS = 2.0, 4.0, 10  # of the robust fit; the knee is where an error counts less
MAX_YAW_DEG = 88


def fit(R: np.ndarray, R_true: np.ndarray, source: np.ndarray) -> Curve:
    """R, R_true (N, 3, 3); source (N,) 0, 1, ...: which kind of head; each has a constant about x of its own."""
    error = np.degrees(rotvec_from_matrix(R_true @ R.swapaxes(1, 2)))
    even, odd = terms(R_true)
    own = np.eye(source.max() + 1)[source]
    weight = np.ones(len(R))
    for _ in range(ROUNDS):
        x = _ridge(np.concatenate([even, own], 1), error[:, 0], weight, even.shape[1])
        y, z = (_ridge(odd, error[:, k], weight, odd.shape[1]) for k in (1, 2))
        fitted = np.stack([np.concatenate([even, own], 1) @ x, odd @ y, odd @ z], 1)
        rest = np.linalg.norm(error - fitted, axis=1)
        weight = KNEE_DEG / np.maximum(rest, KNEE_DEG)
    per_axis = np.log(np.maximum(rest, 0.5) / np.sqrt(3))
    A = np.stack([np.ones(len(R)), turn(R)], 1)
    log_std = np.linalg.lstsq(A, per_axis, rcond=None)[0] + [0.2, 0.0]  # ln of the rms over the mean of the ln
    return Curve(x[: even.shape[1]], y, z, log_std)


def _ridge(A, b, weight, penalised):
    normal = (A * weight[:, None]).T @ A
    normal[range(penalised), range(penalised)] += RIDGE
    return np.linalg.solve(normal, (A * weight[:, None]).T @ b)


def estimates(teachers: Teachers, frame: BfmFrame, detector: Detector, folder: Path, limit: int):
    """Estimates (N, 4, 3, 3) and true poses (N, 3, 3) of the rendered faces in a folder of shards that are detected."""
    images, boxes, truth = [], [], []
    for image, _, _, faces in islice(read_shards(folder), limit):
        found = detector.yunet(image)
        turned = abs(np.degrees(np.arctan2(faces[0].R_local[0, 2], faces[0].R_local[2, 2])))
        if not len(found) or turned > MAX_YAW_DEG:
            continue
        if np.abs(found[0, :2] + found[0, 2:4] / 2 - faces[0].centre_px).max() < 0.4 * faces[0].size_px:
            images.append(image)
            boxes.append(found[0, :4])
            truth.append(faces[0].R_local)
    return estimate(teachers, frame, images, np.array(boxes))[0], np.array(truth)


def print_errors(name: str, R: np.ndarray, R_true: np.ndarray) -> None:
    """Median pitch error by pitch, the constant removed, of faces within 50 degrees of yaw."""
    found, true = aflw2000.from_matrix(R), aflw2000.from_matrix(R_true)
    error, near = found.pitch - true.pitch, np.abs(true.yaw) < 50
    error = error - np.median(error[near & (np.abs(true.pitch) < 25)])
    rows = [f"{p:+d}: {np.median(error[near & (np.abs(true.pitch - p) < 10)]):+.1f}" for p in (-45, -30, 0, 30, 45)]
    print(f"{name:14s}", *rows, sep="   ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shards", nargs="+", type=Path, required=True, help="renders; one folder a kind of head")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--limit", type=int, default=1500, help="images per folder")
    args = parser.parse_args()
    weights = args.data / "weights"
    teachers, frame, detector = Teachers(weights), BfmFrame.load(), Detector(weights)
    found = [estimates(teachers, frame, detector, folder, args.limit) for folder in args.shards]
    R, R_true = (np.concatenate(parts) for parts in zip(*found, strict=True))
    source = np.repeat(np.arange(len(found)), [len(part[0]) for part in found])
    curves = {name: fit(R[:, k], R_true, source) for k, name in enumerate(TEACHERS)}
    for k, (name, curve) in enumerate(curves.items()):
        print_errors(name, R[:, k], R_true)
        print_errors("  corrected", curve.corrected(R[:, k]), R_true)
    rounded = {name: {key: v.round(3).tolist() for key, v in vars(curve).items()} for name, curve in curves.items()}
    how = "training/label/curves.py; degrees"
    CURVES_FILE.write_text(json.dumps({"how": how, "curves": rounded}, indent=1) + "\n")


if __name__ == "__main__":
    main()
