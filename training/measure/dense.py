"""How good is the dense network? One JSON of numbers, beside crop6dof where that says the same.

    python -m training.measure.dense --model dense.onnx --renders $SHARDS/dense_judge --photos $SHARDS/photos_test_lm \\
        --rotation $SHARDS/photos_test_v2 $SHARDS/test_judge --out dense_judge.json

--renders: shards of ICT-FaceKit heads (training.render.make_shards --photo-share 1 --facing --bare --split test);
--photos: shards with landmarks (training.label.landmarks); --rotation: any shards with labels. Each face is one crop,
as far off its middle and its size as in use, not mirrored; training.measure.evaluate measures the whole pipeline.

Vertices are compared in the head frame, at the reference size: what is left when the pose is taken out; and once more
after the best rotation, shift and scale of each face, as benchmarks of face shape do (NoW: Sanyal et al., CVPR 2019).
The truth has 100 identity numbers, the network 40.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.stats import rankdata

from hpe_core import backends, catalogue
from hpe_core.geometry import so3
from training.data import crops, head_basis
from training.data.scenes import similarity
from training.data.shards import ShardSet
from training.losses.dense import in_crop
from training.networks import dense
from training.networks.crop6dof import LANDMARKS
from training.render import assets
from training.render.heads.ict import FACE_VERTICES, IctModel

BATCH = 64
SHIFT_STD_M, LOG_SIZE_STD = 0.008, 0.06  # of a crop in use
YAW_BANDS = ((0, 45), (45, 60), (60, 90))
CLOSED, OPEN = 0.8, 0.4  # eyeBlink of a closed eye at least, of an open one at most
LIPS_OPEN_M, LIPS_CLOSED_M = 0.008, 0.002  # between the inner lips in the middle, landmarks 62 and 66
EYES = {"L": range(42, 48), "R": range(36, 42)}
OUTER_EYES = (36, 45)


def views(stored: dict[str, np.ndarray], side: int, crop_m: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Crops (N, side, side, 3) uint8 of `training.data.crops.store`, a little off; per crop (N, 3) how much: metres to
    the right and down, ln of the size."""
    rng = np.random.default_rng(seed)
    count, px, middle = len(stored["crops"]), side / crop_m, (side - 1) / 2
    off = np.column_stack([rng.normal(0, SHIFT_STD_M, (count, 2)), rng.normal(0, LOG_SIZE_STD, count)])
    out = []
    for crop, (x, y, log_size) in zip(stored["crops"], off, strict=True):
        scale = np.exp(log_size) * px * crops.STORE_M / crops.STORE_PX
        M = similarity(scale, 0.0, 2 * [(crops.STORE_PX - 1) / 2], middle + np.array([x, y]) * px)
        out.append(cv2.warpAffine(crop, M, (side, side), borderMode=cv2.BORDER_REPLICATE))
    return np.array(out), off


def rows_of(model: str | Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """Columns by name of the rows (N, C) that a crop network gives."""
    backend = backends.create("onnxruntime", model, threads=1)
    rows = np.concatenate([backend.run(images[i : i + BATCH]) for i in range(0, len(images), BATCH)])
    return {name: rows[:, a:b] for name, (a, b) in backend.card.columns.items()}


def faces_of(folder: str | Path) -> dict[str, np.ndarray]:
    """Stored crops and labels of the labelled faces of shards, before their own backgrounds."""
    shards = ShardSet([folder])
    stored = crops.store(shards)
    keep = stored["weight"] > 0
    return {key: value[keep] for key, value in stored.items()}


def yaw_deg(R: np.ndarray) -> np.ndarray:
    """|yaw| (N,) over the full circle of rotations (N, 3, 3)."""
    return np.abs(np.degrees(np.arctan2(R[:, 0, 2], R[:, 2, 2])))


def rotation_numbers(R: np.ndarray, R_true: np.ndarray) -> dict[str, float]:
    """Angles between rotations (N, 3, 3), degrees: mean and median of all and median by |yaw|."""
    error, yaw = np.degrees(so3.geodesic_angle(R, R_true)), yaw_deg(R_true)
    out = {"faces": len(R), "mean": _round(error.mean()), "median": _round(np.median(error))}
    for low, high in YAW_BANDS:
        band = (yaw >= low) & (yaw < high)
        out[f"median_yaw_{low}_{high}"] = _round(np.median(error[band])) if band.any() else None
    return out


def shape_numbers(out: dict[str, np.ndarray], faces: dict[str, np.ndarray], ict: IctModel) -> dict[str, float]:
    """Vertices, landmarks, expressions and gaze of renders against the truth."""
    names, basis = ict.expression_names, head_basis.skin()
    error, fitted, marks, gaps, gaps_true = [], [], [], [], []
    for i in range(len(faces["weight"])):
        truth = ict.face(faces["identity"][i], faces["expression"][i])[:FACE_VERTICES]
        v = basis.face(torch.from_numpy(out["identity"][i][None]), torch.from_numpy(out["expression"][i][None]))[0]
        v = v.numpy()
        distance = np.linalg.norm(v - truth, axis=1)
        error.append(distance.mean())
        fitted.append(np.linalg.norm(aligned(v, truth) - truth, axis=1).mean())
        marks.append(distance[basis.landmarks].mean())
        for own, w in ((gaps, v), (gaps_true, truth)):
            own.append(np.linalg.norm(w[basis.landmarks[66]] - w[basis.landmarks[62]]))
    still = ict.face(np.zeros(1), np.zeros(len(names)))[:FACE_VERTICES]
    some = [
        ict.face(i, e)[:FACE_VERTICES] for i, e in zip(faces["identity"][::4], faces["expression"][::4], strict=True)
    ]
    mean_face = [np.linalg.norm(face - still, axis=1).mean() for face in some]
    mean_fitted = [np.linalg.norm(aligned(still, face) - face, axis=1).mean() for face in some]
    yaw, e, true = yaw_deg(faces["R_local"]), out["expression"], faces["expression"]
    front, error, marks = yaw < 60, 1e3 * np.array(error), 1e3 * np.array(marks)
    numbers = {
        "faces": len(error),
        "vertices_mm_median": _round(np.median(error)),
        "vertices_mm_p95": _round(np.percentile(error, 95)),
        "vertices_mm_median_yaw_0_60": _round(np.median(error[front])),
        "landmarks_mm_median": _round(np.median(marks)),
        "mean_face_instead_mm_median": _round(1e3 * np.median(mean_face)),
        "aligned_mm_median": _round(1e3 * np.median(fitted)),
        "aligned_mean_face_instead_mm_median": _round(1e3 * np.median(mean_fitted)),
    }
    blinks, blinks_true = [], []
    for side, marks_of_eye in EYES.items():
        seen = (faces["landmarks_visible"][:, list(marks_of_eye)] == 1).mean(1) >= 0.5
        j = names.index(f"eyeBlink_{side}")
        blinks.append(e[seen, j])
        blinks_true.append(true[seen, j])
    blinks, blinks_true = np.concatenate(blinks), np.concatenate(blinks_true)
    certain = (blinks_true >= CLOSED) | (blinks_true <= OPEN)
    gaps, gaps_true, jaw = np.array(gaps), np.array(gaps_true), names.index("jawOpen")
    mouths = (gaps_true >= LIPS_OPEN_M) | (gaps_true <= LIPS_CLOSED_M)
    angle = np.degrees(np.abs(out["gaze"] - faces["gaze_rad"]))
    looking = front & (true[:, [names.index("eyeBlink_L"), names.index("eyeBlink_R")]] < OPEN).all(1)
    return numbers | {
        "blink_auc": _round(auc(blinks[certain], blinks_true[certain] >= CLOSED)),
        "blink_correlation": _round(np.corrcoef(blinks, blinks_true)[0, 1]),
        "mouth_auc": _round(auc(gaps[mouths], gaps_true[mouths] >= LIPS_OPEN_M)),
        "jaw_open_correlation": _round(np.corrcoef(e[:, jaw], true[:, jaw])[0, 1]),
        "jaw_open_correlation_yaw_0_60": _round(np.corrcoef(e[front, jaw], true[front, jaw])[0, 1]),
        "expression_mean_abs_error": _round(np.abs(e - true).mean()),
        "expression_correlation_median": _round(_correlations(e[front], true[front])),
        "identity_correlation_first_5": [
            _round(_correlation(out["identity"][:, k], faces["identity"][:, k])) for k in range(5)
        ],
        "gaze_deg_mean_yaw": _round(angle[looking][:, [0, 2]].mean()),
        "gaze_deg_mean_pitch": _round(angle[looking][:, [1, 3]].mean()),
    }


def aligned(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points (K, 3) turned, shifted and scaled so that they fit the target (K, 3) best (Umeyama, PAMI 1991)."""
    a, b = points - points.mean(0), target - target.mean(0)
    U, S, Vt = np.linalg.svd(a.T @ b)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))])
    return (S * sign).sum() / (a**2).sum() * a @ (U * sign) @ Vt + target.mean(0)


def landmark_numbers(out: dict[str, np.ndarray], faces: dict[str, np.ndarray], off: np.ndarray) -> dict[str, float]:
    """Distance in the image of the 68 landmarks from labelled ones, in per cent of the labelled distance in space of
    the outer eye corners; off: as `views` gives it."""
    tensors = {key: torch.from_numpy(np.asarray(value, np.float32)) for key, value in out.items()}
    face = head_basis.load().face(tensors["identity"], tensors["expression"])[:, :LANDMARKS]
    R = torch.from_numpy(so3.matrix_from_sixd(out["sixd"]).astype(np.float32))
    per_range = torch.from_numpy(np.asarray(faces.get("per_range", np.zeros(len(off))), np.float32))
    found = in_crop(face, R, torch.exp(tensors["log_size"]), tensors["centre_m"], per_range).numpy()
    return nme(found, faces, off)


def nme(found_m: np.ndarray, faces: dict[str, np.ndarray], off: np.ndarray) -> dict[str, float]:
    """Of landmarks (N, 68, 3) in a crop, as crop6dof gives them."""
    size = np.exp(off[:, 2])[:, None, None]
    marks = faces["landmarks_m"]
    true = size * marks[..., :2] + off[:, None, :2]
    apart = np.linalg.norm(marks[:, OUTER_EYES[0]] - marks[:, OUTER_EYES[1]], axis=1) * size[:, 0, 0]
    error = np.linalg.norm(found_m[..., :2] - true, axis=-1) / apart[:, None]
    use = np.isfinite(marks).all((1, 2)) & (yaw_deg(faces["R_local"]) < 45)
    part = {"all": slice(0, 68), "jaw": slice(0, 17), "brows": slice(17, 27), "nose": slice(27, 36)}
    part |= {"eyes": slice(36, 48), "mouth": slice(48, 68)}
    numbers = {f"nme_percent_{name}": _round(100 * error[use][:, span].mean()) for name, span in part.items()}
    return {"faces": int(use.sum())} | numbers


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive scores higher than a negative."""
    rank, count = rankdata(score), int(positive.sum())
    return float((rank[positive].sum() - count * (count + 1) / 2) / (count * (len(score) - count)))


def _correlation(a, b):
    return float(np.corrcoef(a, b)[0, 1])


def _correlations(found, true):
    """Median over the expressions."""
    return float(np.median([_correlation(found[:, k], true[:, k]) for k in range(true.shape[1])]))


def _round(value):
    return round(float(value), 3)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True, help="exported dense network")
    p.add_argument("--reference", default="crop6dof", help="network to compare rotations and landmarks with")
    p.add_argument("--renders", help="shards of heads with known shape")
    p.add_argument("--photos", help="shards with landmarks")
    p.add_argument("--rotation", nargs="*", default=[], help="more shards to compare rotations on")
    p.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    p.add_argument("--out", type=Path)
    args = p.parse_args()
    torch.set_num_threads(1)
    report: dict = {"model": Path(args.model).name}
    models = {"dense": args.model, "reference": catalogue.path_of(args.reference)}
    config = dense.Config()
    for folder in dict.fromkeys(f for f in (args.renders, args.photos, *args.rotation) if f):
        faces = faces_of(folder)
        images, off = views(faces, config.side, config.crop_m)
        rows = {name: rows_of(model, images) for name, model in models.items()}
        own = report[Path(folder).name] = {}
        own["rotation_deg"] = {
            name: rotation_numbers(so3.matrix_from_sixd(out["sixd"]), faces["R_local"]) for name, out in rows.items()
        }
        if folder == args.renders:
            own["shape"] = shape_numbers(rows["dense"], faces, IctModel(args.data))
        if folder in (args.renders, args.photos):
            marks = rows["reference"]["landmarks_m"].reshape(-1, LANDMARKS, 3)
            own["landmarks"] = {
                "dense": landmark_numbers(rows["dense"], faces, off),
                "reference": nme(marks, faces, off),
            }
    text = json.dumps(report, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
