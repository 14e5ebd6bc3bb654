"""head6dof at inference: rows of the network -> faces with metric 6DoF poses and covariance. NumPy only."""

import time

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.head import (
    FACE_CENTRE_M,
    REFERENCE_LENGTH_M,
    box_from_pose,
    pixels_per_metre,
    range_from_size,
)
from hpe_core.geometry.lookat import global_from_local, lookat_rotation
from hpe_core.pixels.canvas import SourceImage, canvas_to_image, check_image, letterbox_call
from hpe_core.types import Face, HeadPose, Landmarks

LOOKS_AT_NEW = 2  # at the crop of a face that is not followed: the first one puts it right


class Estimator:
    """Faces of one image. `config` has score_threshold and max_faces (hpe_core.config.EstimatorConfig).

    refiner: None, or what looks at each candidate again (hpe_core.networks.crop.crop6dof.Refiner).
    """

    def __init__(self, backend, config, refiner=None):
        self._backend, self._config, self._refiner = backend, config, refiner
        self._columns = {name: slice(*span) for name, span in backend.card.columns.items()}
        _, self._height, self._width, _ = backend.input_shape
        self._calibration = backend.card.calibration
        self.beyond_lens = 0  # faces of the latest image without a pose, since their pixel has no ray

    def reconfigure(self, config):
        """Go on with other thresholds."""
        self._config = config

    def estimate(self, image_bgr, camera, expected=(), scan=True):
        """List of Face and seconds per stage (dict). Covariances are without the head-size prior.

        image_bgr: (H, W, 3) uint8, as the camera delivers it (distorted); camera: its CameraModel.
        expected: list of Face where the faces of a moment ago should be now; the refiner looks for them there first.
        Without `scan` the whole image is looked at only when one of them is lost. They come before new faces, which
        come best score first, those that their crops confirm before the others. `beyond_lens` then tells how many faces
        have no pose, since the lens has no ray there.
        Raises HpeError when the image is not uint8 BGR or its size is not the camera's.
        """
        check_image(image_bgr, camera)
        start, stage_s, source, self.beyond_lens = time.perf_counter(), {}, SourceImage(image_bgr), 0
        most = self._config.max_faces
        expected = expected[:most]
        found = self._followed(expected, source, camera, stage_s) if len(expected) else None
        if scan or found is None or len(found["score"]) < len(expected):
            candidates = self._scanned(source, camera, stage_s, most + len(expected))
            if found is not None:
                found, candidates = confirmed(found, candidates)
                most -= len(found["score"])
            candidates = {name: values[:most] for name, values in candidates.items()}
            if self._refiner is None:
                found = candidates
            else:  # looks at two candidates can lead to one face
                refined = self._refined(candidates, source, camera, stage_s, LOOKS_AT_NEW)
                found = each_once(surest_first(together(found, refined)))
        faces = faces_from_candidates(found, camera)
        stage_s["postprocess"] = time.perf_counter() - start - sum(stage_s.values())
        return faces, stage_s

    def _scanned(self, source, camera, stage_s, most):
        """Candidates of the whole image, one per face, best first: so many at most."""
        start = time.perf_counter()
        infer, scales = letterbox_call(self._backend, source, self._width, self._height)
        resized = time.perf_counter()
        rows = infer()[0]
        stage_s |= {"preprocess": resized - start, "inference": time.perf_counter() - resized}
        found = merge(self._candidates(rows, scales, self._config.score_threshold), most)
        return calibrated(self._with_rays(on_image(found, camera), camera), self._calibration)

    def _followed(self, faces, source, camera, stage_s):
        """Candidates of the faces that their crops show again, each once: as the crop shows it that strayed least."""
        centres = np.array([face.pose.t_camera_head_m + face.pose.R_camera_head @ FACE_CENTRE_M for face in faces])
        ahead = camera.in_range(centres)
        expected = {
            "score": np.array([face.score for face in faces])[ahead],
            "centre_px": camera.project(centres[ahead]),
            "size_px": REFERENCE_LENGTH_M * pixels_per_metre(camera, centres[ahead]),
        }
        expected["expected_px"] = expected["centre_px"]
        found = self._refined(on_image(expected, camera), source, camera, stage_s)
        sure = np.flatnonzero(found.get("sure", np.zeros(0, bool)))
        strayed_px = np.linalg.norm(found["centre_px"] - found.pop("expected_px"), axis=-1)[sure]
        nearest = sure[np.argsort(strayed_px / found["size_px"][sure], kind="stable")]
        return each_once({name: values[nearest] for name, values in found.items()})

    def _refined(self, found, source, camera, stage_s, looks=1):
        """The candidates after a closer look at each, or several."""
        start = time.perf_counter()
        found = self._refiner.refine(found, source, camera, looks)
        found = on_image(self._with_rays(found, camera), camera)
        stage_s["refinement"] = stage_s.get("refinement", 0.0) + time.perf_counter() - start
        return found

    def _with_rays(self, found, camera):
        """The entries whose centre has a ray; the others are counted."""
        has = np.isfinite(camera.rays(found["centre_px"])).all(-1)
        self.beyond_lens += int(np.sum(~has))
        return {name: values[has] for name, values in found.items()}

    def _candidates(self, rows, scales, threshold):
        """Rows above the threshold as a dict of float64 arrays in image pixels, best first."""
        if not np.all(np.isfinite(rows)):
            raise HpeError("the network's output is not finite: its weights or its precision are broken")
        score = rows[:, self._columns["score"]][:, 0]
        keep = np.flatnonzero(score > threshold)
        keep = keep[np.argsort(-score[keep], kind="stable")]
        kept = rows[keep].astype(float)
        named = {name: kept[:, span] for name, span in self._columns.items()}
        named = {name: value[:, 0] if value.shape[1] == 1 else value for name, value in named.items()}
        named["centre_px"] = canvas_to_image(named["centre_px"], scales)
        named["size_px"] = named["size_px"] / np.sqrt(scales[0] * scales[1])
        named["R_local"] = so3.matrix_from_sixd(named.pop("sixd")) if len(keep) else np.zeros((0, 3, 3))
        return named


def same_face(centre, size, centres, sizes):
    """Mask (N,): centres (N, 2) of sizes (N,) that describe the same face as one centre (2,), size ()."""
    distance = np.linalg.norm(centres - centre, axis=-1)
    return distance < np.maximum(0.5 * np.minimum(sizes, size), 0.35 * np.maximum(sizes, size))


def confirmed(followed, candidates):
    """The followed faces that candidates of the same image show too, with their scores; and the other candidates."""
    same = np.array(
        [
            same_face(centre, size, candidates["centre_px"], candidates["size_px"])
            for centre, size in zip(followed["centre_px"], followed["size_px"], strict=True)
        ]
    ).reshape(len(followed["score"]), len(candidates["score"]))
    keep = same.any(1)
    followed = {name: values[keep] for name, values in followed.items()}
    if keep.any():
        followed["score"] = np.where(same[keep], candidates["score"], 0.0).max(1)
    return followed, {name: values[~same.any(0)] for name, values in candidates.items()}


def together(found, more):
    """Both dicts of candidates in one, those of `found` (or None) first."""
    if found is None or len(found["score"]) == 0:
        return more
    if len(more["score"]) == 0:
        return found
    return {name: np.concatenate([values, more[name]]) for name, values in found.items()}


def surest_first(found):
    """The entries whose crops surely show a face before the others, else in their order."""
    if "sure" not in found or found["sure"].all():
        return found
    order = np.argsort(~found["sure"], kind="stable")
    return {name: values[order] for name, values in found.items()}


def each_once(found):
    """The entries without those that describe the same face as one before them."""
    centre, size = found["centre_px"], found["size_px"]
    keep = np.ones(len(size), bool)
    for i in range(1, len(keep)):
        keep[i] = not (same_face(centre[i], size[i], centre[:i], size[:i]) & keep[:i]).any()
    return found if keep.all() else {name: values[keep] for name, values in found.items()}


def merge(found, max_faces):
    """Non-maximum suppression that averages: one entry per face, from all rows of like size that describe it.

    found: dict of arrays sorted by score, best first; rotations by chordal mean, the rest by weighted mean (score^2).
    """
    open_rows = np.arange(len(found["score"]))
    merged = {name: [] for name in found}
    while len(open_rows) and len(merged["score"]) < max_faces:
        best = open_rows[0]
        centre, size = found["centre_px"][best], found["size_px"][best]
        same = same_face(centre, size, found["centre_px"][open_rows], found["size_px"][open_rows])
        same[0] = True
        group = open_rows[same]
        alike = np.abs(np.log(found["size_px"][group] / size)) < 0.4
        group = group[alike & (found["score"][group] > 0.5 * found["score"][best])]
        weights = found["score"][group] ** 2
        weights /= weights.sum()
        for name, values in found.items():
            merged[name].append(weights @ values[group].reshape(len(group), -1))
        merged["score"][-1] = found["score"][best]
        merged["R_local"][-1] = so3.mean_rotation(found["R_local"][group], weights)
        open_rows = open_rows[~same]
    return {name: np.array(values).reshape((len(values),) + found[name].shape[1:]) for name, values in merged.items()}


def on_image(found, camera):
    """The entries whose centre lies on the image, and not in the letterbox's padding."""
    centre = found["centre_px"]
    inside = np.all((centre > -0.5) & (centre < [camera.width - 0.5, camera.height - 0.5]), -1)
    return {name: values[inside] for name, values in found.items()}


def calibrated(found, calibration):
    """The entries with rotation_covariance (N, 3, 3) rad^2 about the look-at camera's axes, the same on each.

    calibration: hpe_core.network_card.Calibration.
    """
    variance = (calibration.rotation_std * found["rotation_std_rad"]) ** 2
    rest = {name: values for name, values in found.items() if name != "rotation_std_rad"}
    return rest | {
        "rotation_covariance": variance[:, None, None] * np.eye(3),
        "centre_rel_std": calibration.centre_std * found["centre_rel_std"],
        "size_rel_std": calibration.size_std * found["size_rel_std"],
    }


def faces_from_candidates(found, camera):
    """List of Face of merged candidates: look-at poses and image scales -> poses, covariances, boxes in the camera."""
    if len(found["score"]) == 0:
        return []
    rays = camera.rays(found["centre_px"])
    range_m = range_from_size(camera, rays, found["size_px"])
    R, centres_m = global_from_local(found["R_local"], rays, range_m)
    arms = R @ FACE_CENTRE_M
    t = centres_m - arms
    lateral_std = found["centre_rel_std"] * REFERENCE_LENGTH_M
    range_std = range_m * found["size_rel_std"]
    covariances = pose_covariance(rays, arms, lateral_std, range_std, found["rotation_covariance"])
    boxes = box_from_pose(camera, R, t)
    landmarks = len(t) * [None]
    if "landmarks_m" in found:
        landmarks = [Landmarks(*one) for one in zip(found["landmarks_m"], found["visible"], strict=True)]
    scores = found["score"].tolist()
    sure = found["sure"].tolist() if "sure" in found else len(t) * [None]
    return [
        Face(HeadPose(R[i], t[i], covariances[i]), scores[i], boxes[i], landmarks=landmarks[i], confirmed=sure[i])
        for i in range(len(t))
    ]


def pose_covariance(rays, arms_m, lateral_std_m, range_std_m, rotation_covariance):
    """Covariances (..., 6, 6) of the sellion's position and the rotation, in the camera frame.

    t = p - R c with p the face centre (uncertain along and across the unit rays (..., 3), standard deviations (...,))
    and R c = arms_m (..., 3); to first order a rotation error e moves t by [arm]x e. rotation_covariance: (..., 3, 3)
    rad^2 about the axes of the look-at camera.
    """
    R_lookat_camera = lookat_rotation(rays)
    R_camera_lookat = np.swapaxes(R_lookat_camera, -1, -2)
    spread = np.stack([lateral_std_m, lateral_std_m, range_std_m], -1) ** 2
    rotation = R_camera_lookat @ np.asarray(rotation_covariance, float) @ R_lookat_camera
    J = so3.skew(arms_m)
    covariance = np.zeros(J.shape[:-2] + (6, 6))
    covariance[..., :3, :3] = (R_camera_lookat * spread[..., None, :]) @ R_lookat_camera
    covariance[..., :3, :3] += J @ rotation @ np.swapaxes(J, -1, -2)
    covariance[..., :3, 3:], covariance[..., 3:, :3] = J @ rotation, rotation @ np.swapaxes(J, -1, -2)
    covariance[..., 3:, 3:] = rotation
    return covariance
