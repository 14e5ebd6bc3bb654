"""How large are the errors that the networks call one sigma? Scales for the model cards, from held-out people.

    python -m training.deploy.calibrate_covariance --head head6dof.onnx --crop crop6dof.onnx \\
        --shards DIR [DIR ...] --out DIR

Each scale makes 95 % of the held-out errors lie inside the published 95 % region on the shard set that needs the most.
Faces that their crop does not confirm are left out, and of a crop network that confirms none those that are published
with a spread for it (hpe_core.pipeline.poses). Crops are not looked at mirrored here, as in images with many faces, so
that the scale holds for those, too. A network without an uncertainty of its rotation gets a constant one of the same
coverage, rotation_std_deg; photos whose labels err as much do not tell it, renders do. own_centre_std is what another
crop network than crop6dof says of the centres of the faces of the first shard set, against what crop6dof says there
(--crop6dof-centre-std-mm where those are not LFW's test people). The card's own_centre_std decides which faces are
confirmed: of a network that is much less certain than crop6dof, export with what the first call gives and call again.
Writes DIR/NAME.json of both networks for `training.deploy.export --calibration`.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import chi2
from tqdm import tqdm

from hpe_core import backends
from hpe_core.config import EstimatorConfig
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, pixels_per_metre
from hpe_core.geometry.lookat import lookat_rotation
from hpe_core.network_card import CROP, Calibration, NetworkCard
from hpe_core.networks.network import crop_network, whole_image_network
from hpe_core.pipeline.estimator import Estimator
from hpe_core.pipeline.poses import ambiguity_std_rad
from hpe_core.pipeline.refine import Refiner
from hpe_core.rotations.source import CropRotation
from training.data.shards import ShardSet

HFOV_DEG = 60.0
COVERAGE = 0.95
CROP6DOF_CENTRE_STD_M = 0.0021  # in the median what crop6dof itself says of LFW's test people
PHOTO_LABEL_STD_DEG = 3.0  # what teachers that agree still share of error, beside their spread


class Whitened:
    """Errors of one estimator on one shard set: rotations (N, 3) in standard deviations, places and sizes likewise."""

    def __init__(self):
        self.rotation, self.centre, self.size = [], [], []
        self.angle_rad, self.label_std_rad = [], []  # of the rotations, and of their labels
        self.own_centre_std_m = []

    def add(self, face, camera, labels, i, label_std_rad):
        """One face against label i: R_local, centre_px and size_px of the camera turned to the label's centre."""
        ray = camera.rays(labels.centre_px[i])
        R = lookat_rotation(ray).T @ labels.R_local[i]
        P = face.pose.covariance[3:, 3:] + label_std_rad**2 * np.eye(3)
        error = so3.rotvec_from_matrix(R @ face.pose.R_camera_head.T)
        self.rotation.append(np.linalg.solve(np.linalg.cholesky(P), error))
        self.angle_rad.append(np.linalg.norm(error))
        self.label_std_rad.append(label_std_rad)
        arm = face.pose.R_camera_head @ FACE_CENTRE_M
        centre = face.pose.t_camera_head_m + arm
        J = so3.skew(arm)
        spread = face.pose.covariance[:3, :3] - J @ face.pose.covariance[3:, 3:] @ J.T
        own = lookat_rotation(centre / np.linalg.norm(centre))
        std = np.sqrt(np.diag(own @ spread @ own.T))
        px_per_m = pixels_per_metre(camera, centre)
        offset = (camera.project(centre) - labels.centre_px[i]) / px_per_m
        self.centre.append(offset / std[:2])
        self.own_centre_std_m.append(std[:2].mean())
        size = REFERENCE_LENGTH_M * px_per_m
        self.size.append(np.log(size / labels.size_px[i]) / (std[2] / np.linalg.norm(centre)))

    def scales(self):
        """dict: by how much the standard deviations must grow for COVERAGE."""
        return {
            "rotation_std": _scale(self.rotation),
            "centre_std": _scale(self.centre),
            "size_std": _scale(np.reshape(self.size, (-1, 1))),
        }


def _scale(whitened):
    """sqrt of the ratio of the errors' squared-length quantile to that of a unit Gaussian."""
    whitened = np.asarray(whitened)
    lengths = (whitened**2).sum(-1)
    return float(np.sqrt(np.quantile(lengths, COVERAGE) / chi2.ppf(COVERAGE, whitened.shape[1])))


def constant_std_deg(angle_rad: Sequence[float], label_std_rad: Sequence[float]) -> float:
    """The standard deviation per axis of rotations that puts COVERAGE of the errors (N,) inside its 95 % region; labels
    have standard deviations (N,) of their own. 0 where those explain the errors: then labels must be more exact.
    """
    variances = np.square(angle_rad) / chi2.ppf(COVERAGE, 3) - np.square(label_std_rad)
    return float(np.degrees(np.sqrt(max(np.quantile(variances, COVERAGE), 0.0))))


def uncalibrated(card: NetworkCard) -> Calibration:
    """What a network's own standard deviations are measured with; of rotations a constant, where it has none.

    Which faces its crops confirm stays as the card has it.
    """
    constant_deg = None if "precision_factor" in card.columns else 1.0
    return Calibration(rotation_std_deg=constant_deg, own_centre_std=card.calibration.own_centre_std)


def measure(folder, estimators, limit):
    """One Whitened per estimator over the labelled faces that all of them find, and how many faces there were.

    The last estimator is the one with the crop network.
    """
    shards, results, total = ShardSet([folder]), [Whitened() for _ in estimators], 0
    order = np.random.default_rng(0).permutation(len(shards))[:limit]
    for index in tqdm(order, unit="image"):
        image, labels, alpha = shards.read(index)
        camera = CameraModel.from_hfov(image.shape[1], image.shape[0], HFOV_DEG)
        answers = [estimator.estimate(image, camera).faces for estimator in estimators]
        for i in np.flatnonzero(labels.weight > 0):
            total += 1
            matches = [_match(faces, camera, labels, i) for faces in answers]
            if any(face is None or face.confirmed is False for face in matches):  # not told to anybody
                continue
            if _is_ambiguous(matches[-1]):  # told with a spread that no network predicts
                continue
            std_rad = 0.0 if alpha is not None else np.radians(np.hypot(labels.rot_std_deg[i], PHOTO_LABEL_STD_DEG))
            for result, face in zip(results, matches, strict=True):
                result.add(face, camera, labels, i, std_rad)
    return results, total


def _is_ambiguous(face):
    """Whether a crop network left open which way a face looks, and the whole-image network cannot tell."""
    R, t = face.pose.R_camera_head[None], face.pose.t_camera_head_m[None]
    return face.confirmed is None and bool((ambiguity_std_rad(np.array([face.score]), R, t) > 0).any())


def _match(faces, camera, labels, i):
    """The face nearest to label i within half its size, or None."""
    centres = [camera.project(f.pose.t_camera_head_m + f.pose.R_camera_head @ FACE_CENTRE_M) for f in faces]
    distances = [np.linalg.norm(c - labels.centre_px[i]) for c in centres]
    best = int(np.argmin(distances)) if distances else -1
    return faces[best] if faces and distances[best] < 0.5 * labels.size_px[i] else None


def correlation(a, b):
    """Mean correlation of two estimators' whitened rotation errors (N, 3), without the faces that either got wrong."""
    a, b = np.asarray(a), np.asarray(b)
    limit = chi2.ppf(0.99, 3)
    scale_a, scale_b = _scale(a), _scale(b)
    good = ((a / scale_a) ** 2).sum(-1) < limit
    good &= ((b / scale_b) ** 2).sum(-1) < limit
    a, b = a[good], b[good]
    return float(np.clip((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()), 0.0, 0.99))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--head", required=True)
    p.add_argument("--crop", required=True)
    p.add_argument("--shards", nargs="+", required=True, help="of people who are in no training shard")
    p.add_argument("--limit", type=int, default=1000, help="images per shard set")
    p.add_argument("--crop6dof-centre-std-mm", type=float, default=1e3 * CROP6DOF_CENTRE_STD_M)
    p.add_argument("--out", required=True)
    args = p.parse_args()
    head, crop = (backends.create("onnxruntime", path, 1) for path in (args.head, args.crop))
    for backend in (head, crop):
        backend.card = replace(backend.card, calibration=uncalibrated(backend.card))
    config = EstimatorConfig()
    estimators = (
        Estimator(whole_image_network(head), config),
        Estimator(whole_image_network(head), config, Refiner(crop_network(crop), CropRotation(), mirrored_up_to=0)),
    )
    found, constant_deg, own_centre_std_m = {}, [], CROP6DOF_CENTRE_STD_M
    for number, folder in enumerate(args.shards):
        results, total = measure(folder, estimators, args.limit)
        found[Path(folder).name] = [r.scales() for r in results] + [
            correlation(results[0].rotation, results[1].rotation)
        ]
        if number == 0:
            own_centre_std_m = float(np.median(results[1].own_centre_std_m))
        constant_deg.append(constant_std_deg(results[1].angle_rad, results[1].label_std_rad))
        print(f"{folder}: {len(results[0].size)} of {total} faces, scales {found[Path(folder).name]}")
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    names = ("rotation_std", "centre_std", "size_std")
    for k, card in enumerate((head.card, crop.card)):
        scales = {key: round(float(max(value[k][key] for value in found.values())), 3) for key in names}
        if card.kind == CROP:
            scales["correlation"] = round(float(max(value[2] for value in found.values())), 3)
            if card.name != "crop6dof" and "log_centre_std_m" in card.columns:
                scales["own_centre_std"] = round(1e3 * own_centre_std_m / args.crop6dof_centre_std_mm, 2)
            if "precision_factor" not in card.columns:
                del scales["rotation_std"]
                scales["rotation_std_deg"] = round(max(constant_deg), 2)
                if not scales["rotation_std_deg"]:
                    raise SystemExit("the labels' own errors explain those of the rotations: add shards of renders")
        (out / f"{card.name}.json").write_text(json.dumps(scales, indent=1) + "\n")
        print(card.name, scales)


if __name__ == "__main__":
    main()
