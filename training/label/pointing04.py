"""Labels of Pointing'04 without teachers: poses by a crop network of one's own, put in order by the set's directions.

    python -m training.label.pointing04 --crop crop6dof.onnx --out DIR --persons 1 2 3 4 5 6 7 8

The network, trained on renders, refines each face from the set's own box. The nominal directions are right in their
order, not in their size: scaled by one slope per axis and shifted by an offset per series (`scaled`), they follow the
network's, and a label lies half way between both. Where they differ by more than MOST_APART_DEG it has weight 0.
Without --crop all have: a face in the set's own box, for the consistency loss of the network's training.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from hpe_core import backends
from hpe_core.evaluation.datasets.pointing04 import samples
from hpe_core.evaluation.images.sample import Sample
from hpe_core.geometry import euler, so3
from hpe_core.geometry.head import REFERENCE_LENGTH_M
from hpe_core.inference import Backend
from training.data.labels import FaceLabel
from training.data.scenes import similarity
from training.data.shards import ShardWriter
from training.render import assets

LOOKS = 4  # at each face, each about what the one before found
FITTED_DEG, MOST_APART_DEG, LEAST_STD_DEG = 60, 25.0, 4.0
STEEPEST_DEG = 75  # nominal tilts beyond it are left out: what people did there varies most


def place(box_px: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (2,) px and size_px of a box (x0, y0, x1, y1), as large as this set draws them."""
    return (box_px[:2] + box_px[2:]) / 2, float(np.sqrt(np.prod(box_px[2:] - box_px[:2])))


def estimate(crop: Backend, image: np.ndarray, box_px: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """R_local (3, 3), centre (2,) px and size_px of the face in a box (x0, y0, x1, y1) of an image (H, W, 3)."""
    centre, size_px = place(box_px)
    side, columns, crop_m = int(crop.input_shape[1]), crop.card.columns, crop.card.shown_m
    R = np.eye(3)
    for _ in range(LOOKS):
        crop_px = crop_m * size_px / REFERENCE_LENGTH_M
        M = similarity(side / crop_px, 0.0, centre, 2 * [(side - 1) / 2])
        shown = cv2.blur(image, 2 * [int(crop_px / side) | 1]) if side / crop_px < 0.6 else image
        view = cv2.warpAffine(shown, M, (side, side), borderMode=cv2.BORDER_REPLICATE)
        row = crop.run(np.stack([view, np.ascontiguousarray(view[:, ::-1])])).astype(float)
        values = {name: row[:, first:last] for name, (first, last) in columns.items()}
        own, mirror = so3.matrix_from_sixd(values["sixd"])
        R = so3.project_to_rotation(own + mirror * np.outer([-1, 1, 1], [-1, 1, 1]))
        offset_m = (values["centre_m"][0] + values["centre_m"][1] * [-1, 1]) / 2
        centre = centre + offset_m * crop_px / crop_m
        size_px *= float(np.exp(values["log_size"].mean()))
    return R, centre, size_px


def scaled(nominal: np.ndarray, seen: np.ndarray, series: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Nominal pan and tilt (N, 2) on the scale of those that were seen (N, 2), degrees, and the slopes (2,)."""
    out, slopes = np.empty_like(seen), np.empty(2)
    groups = [np.flatnonzero(np.equal(series, name)) for name in sorted(set(series))]
    fitted: np.ndarray = np.all(np.abs(nominal) <= FITTED_DEG, axis=1)
    for axis in range(2):
        kept = fitted
        for _ in range(4):
            x, y = nominal[:, axis].astype(float), seen[:, axis].copy()
            shifts = []
            for group in groups:
                used = group[kept[group]]
                shifts.append((x[used].mean(), y[used].mean()))
                x[group] -= shifts[-1][0]
                y[group] -= shifts[-1][1]
            slopes[axis] = (x * y)[kept].sum() / (x * x)[kept].sum()
            kept = fitted & (np.abs(y - slopes[axis] * x) < MOST_APART_DEG)
        for group, (_, shift) in zip(groups, shifts, strict=True):
            out[group, axis] = slopes[axis] * x[group] + shift
    return out, slopes


def direction(pan_tilt_deg: np.ndarray) -> np.ndarray:
    """Unit vectors (N, 3) in the camera of faces that look there, pan and tilt (N, 2) in degrees."""
    pan, tilt = pan_tilt_deg.T
    return -euler.pan_tilt.to_matrix(euler.EulerDeg(yaw=pan, pitch=tilt, roll=0 * pan))[..., 2]


def labels_of(faces: Sequence[Sample], crop: Backend) -> list[FaceLabel]:
    """One label for each image."""
    found = [estimate(crop, face.image(), np.asarray(face.box_px, float)) for face in tqdm(faces, unit="image")]
    R, series = np.array([one[0] for one in found]), [face.sequence for face in faces]
    nominal = np.array([[face.facing.pan_deg, face.facing.tilt_deg] for face in faces if face.facing])
    angles = euler.pan_tilt.from_matrix(R)
    seen = np.stack([angles.yaw, angles.pitch], -1)
    goal, slopes = scaled(nominal, seen, series)
    print(f"slopes of pan and tilt: {slopes.round(3)}")
    ahead, wanted = -R[..., 2], direction(goal)
    apart_deg = np.degrees(np.arccos(np.clip((ahead * wanted).sum(-1), -1, 1)))
    middle = ahead + wanted
    middle /= np.linalg.norm(middle, axis=-1, keepdims=True)
    good = (apart_deg < MOST_APART_DEG) & (np.abs(nominal[:, 1]) <= STEEPEST_DEG)
    log_size = np.log([one[2] for one in found])
    own_series = {name: np.median(log_size[np.equal(series, name)]) for name in set(series)}
    return [
        FaceLabel(
            R_local=so3.rotation_between(ahead[i], middle[i]) @ R[i],
            centre_px=found[i][1],
            size_px=float(np.exp((log_size[i] + own_series[series[i]]) / 2)),
            rot_std_deg=float(max(LEAST_STD_DEG, apart_deg[i] / 2)),
            weight=float(good[i]),
        )
        for i in range(len(faces))
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crop", help="crop network, trained on renders; without it faces have no pose")
    parser.add_argument("--photos", type=Path, default=assets.DEFAULT_DATA / "pointing04")
    parser.add_argument("--persons", type=int, nargs="+", default=list(range(1, 9)))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    faces = [face for face in samples(args.photos) if face.facing and int(face.facing.person) in args.persons]
    if args.crop:
        labels = labels_of(faces, backends.create("onnxruntime", args.crop, 1))
    else:
        labels = [FaceLabel.unknown(*place(np.asarray(face.box_px, float))) for face in faces]
    writer = ShardWriter(args.out, 500)
    for face, label in zip(faces, labels, strict=True):
        writer.add(face.path.read_bytes(), f"p04-{face.sequence[:3]}", f"pointing04/{face.name}", [label])
    writer.flush()
    print(f"{sum(label.weight > 0 for label in labels)} of {len(labels)} photographs with a pose")


if __name__ == "__main__":
    main()
