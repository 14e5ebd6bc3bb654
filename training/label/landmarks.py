"""68 landmarks with depth and visibility for labelled photographs, from MediaPipe's face mesh.

    python -m training.label.landmarks --photos DIR --out DIR     (its own environment: mediapipe==0.10.21, numpy<2)

Copies a folder of shards; landmarks_px, landmarks_z_m and landmarks_visible of every labelled face are filled in.
Image positions are the mesh's own. Its depth is not: half of it comes from the mean mesh in the labelled pose, and a
plane is added so that the rigid fit of the mean mesh to the result is R_local in yaw and pitch (roll follows from the
image positions alone). Mouth and chin hardly count in that fit, because they move. A mesh that contradicts the label's
rotation, place or size is not used: its landmarks stay NaN.

The mean mesh (mean_mesh.json) was triangulated with `--fit-mean` from the image positions of the mesh in all photos and
their labels R_local, centre_px and size_px; MediaPipe's depth had no part in it. hpe_core.geometry.landmarks68 holds
its 68 landmarks.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track
from scipy.spatial import Delaunay

from hpe_core.errors import HpeError
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from hpe_core.geometry.rigid import rotation_between_points
from hpe_core.io import shards as files
from training.data import shards
from training.data.labels import FaceLabel, FaceLandmarks

MEAN_MESH_FILE = Path(__file__).with_name("mean_mesh.json")
# Vertices of the face mesh whose mean is each of the 68 landmarks
MESH_OF_68 = (
    *((127,), (234,), (93,), (132, 58), (58, 172), (136, 150), (150, 149), (176, 148), (152,)),
    *((400, 377), (379, 378), (365, 379), (397, 288), (361, 288), (323,), (454,), (356,)),
    *((70,), (63,), (105,), (66,), (107,), (336,), (296,), (334,), (293,), (300,)),
    *((168, 6), (197,), (5,), (4,), (75,), (97,), (2,), (326,), (305,)),
    *((33,), (160,), (158,), (133,), (153,), (144,), (362,), (385,), (387,), (263,), (373,), (380,)),
    *((61,), (39,), (37,), (0,), (267,), (269,), (291,), (321,), (314,), (17,), (84,), (91,)),
    *((78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,)),
)
MEAN_OF_VERTICES = np.zeros((68, 468))
for _landmark, _vertices in enumerate(MESH_OF_68):
    MEAN_OF_VERTICES[_landmark, list(_vertices)] = 1 / len(_vertices)
SELLION = 168
# What fixes the head's orientation: ears to cheeks, brows, nose and eyes; the jaw and the mouth move
FIT_WEIGHT = np.where(np.isin(np.arange(68), [*range(5), *range(12, 48)]), 1.0, 0.2)
MESH_DEPTH_SHARE = 0.5
MAX_ROTATION_DEG, MAX_OFFSET, SCALE_RANGE = 15, 0.1, (0.75, 1.3)  # offset of the sellion in size_px
HIDDEN_M, EDGE_M = 0.005, 0.003  # tolerance of self-occlusion in depth and across
JAW_SIDE = np.array([-1] * 7 + [0] * 3 + [1] * 7 + [0] * 51)  # the sign of x
FAR_SIDE_SINE = np.sin(np.radians(50))
SKULL_AXIS_Z_M = 0.09
BACK_M = np.array([0.0, 0.02, 0.13])  # head frame: the mesh is closed to a cone, so that a profile hides its far side


def landmarks68(mesh: np.ndarray) -> np.ndarray:
    """Mesh (..., 468, d) -> landmarks (..., 68, d)."""
    return MEAN_OF_VERTICES @ mesh


@dataclass(frozen=True, eq=False)
class MeanMesh:
    """The mean face mesh (468, 3) in the head frame, metres."""

    points_m: np.ndarray

    @classmethod
    def load(cls) -> MeanMesh:
        return cls(np.array(json.loads(MEAN_MESH_FILE.read_text())["points_mm"]) / 1e3)

    @cached_property
    def triangles(self) -> np.ndarray:
        """(T, 3): neighbours after unrolling the face from a cylinder round the skull; vertex 468 is BACK_M."""
        x, y, z = self.points_m.T
        flat = Delaunay(np.column_stack([np.arctan2(x, SKULL_AXIS_Z_M - z), y / 0.1]))
        back = [[*edge, len(x)] for edge in flat.convex_hull]
        return np.concatenate([flat.simplices, back])

    def local_points(self, mesh: np.ndarray, label: FaceLabel) -> tuple[np.ndarray | None, str]:
        """MediaPipe mesh (468, 3) in pixels -> points (468, 3) in the virtual camera relative to C, metres (size_px =
        0.2 m), and ""; or None and the reason why the mesh cannot belong to the label."""
        metre_per_px = REFERENCE_LENGTH_M / label.size_px
        points = metre_per_px * (mesh - [*label.centre_px, 0])
        model = (self.points_m - FACE_CENTRE_M) @ label.R_local.T
        if np.linalg.norm((points - model)[SELLION, :2]) > MAX_OFFSET * REFERENCE_LENGTH_M:
            return None, "face mesh at another place than the label"
        scale = points[:, :2].std() / model[:, :2].std()
        if not SCALE_RANGE[0] < scale < SCALE_RANGE[1]:
            return None, "face mesh of another size than the label"
        R = rotation_between_points(landmarks68(self.points_m), landmarks68(points), FIT_WEIGHT)[0]
        if np.trace(R @ label.R_local.T) < 1 + 2 * np.cos(np.radians(MAX_ROTATION_DEG)):
            return None, f"face mesh turned by more than {MAX_ROTATION_DEG} deg from the label"
        return with_consistent_depth(points, model), ""

    def visible(self, points: np.ndarray, R_local: np.ndarray) -> np.ndarray:
        """Which landmarks (68,) of mesh points (468, 3), metres relative to C in the virtual camera, the head with
        rotation R_local (3, 3) does not cover. Covered: HIDDEN_M behind it, no closer than EDGE_M to its outline; and
        the far jaw of a profile, whose outline is that of the near jaw."""
        p = landmarks68(points)
        closed = np.concatenate([points, [R_local @ (BACK_M - FACE_CENTRE_M)]])
        a, b, c = np.moveaxis(closed[self.triangles], 1, 0)
        e, f = b - a, c - a  # point = a + s e + t f, with s, t and depth linear in x, y, 1
        area = e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0]
        area = np.where(np.abs(area) < 1e-9, np.nan, area)  # seen edge on: covers nothing
        s = np.stack([f[:, 1], -f[:, 0], a[:, 1] * f[:, 0] - a[:, 0] * f[:, 1]]) / area  # (3, T)
        t = np.stack([-e[:, 1], e[:, 0], a[:, 0] * e[:, 1] - a[:, 1] * e[:, 0]]) / area
        depth = s * e[:, 2] + t * f[:, 2] + np.outer([0, 0, 1], a[:, 2])
        hidden = np.ones(68, bool)
        for shift in EDGE_M * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]):
            xy1 = np.column_stack([p[hidden, :2] + shift, np.ones(hidden.sum())])
            u, v = xy1 @ s, xy1 @ t
            covers = (u >= 0) & (v >= 0) & (u + v <= 1) & (xy1 @ depth < p[hidden, 2:] - HIDDEN_M)
            hidden[hidden] = covers.any(1)
        facing_away = JAW_SIDE * R_local[2, 0] > FAR_SIDE_SINE
        return ~(hidden | facing_away)


def with_consistent_depth(points: np.ndarray, model: np.ndarray) -> np.ndarray:
    """points (468, 3) and the mean mesh in the label's pose `model` (468, 3), both in the virtual camera -> points with
    a depth to which `model` fits best without turning about x or y, and without moving in depth.

    The fit does not turn when the weighted cross-covariance M = sum w p m' is symmetric (Kabsch).
    z <- z + a m_x + b m_y + c solves M_yz = M_zy and M_xz = M_zx for a, b.
    """
    out = points.copy()
    z = points[:, 2] - points[:, 2].mean() + model[:, 2].mean()
    out[:, 2] = MESH_DEPTH_SHARE * z + (1 - MESH_DEPTH_SHARE) * model[:, 2]
    weight = FIT_WEIGHT / FIT_WEIGHT.sum()
    p, m = landmarks68(out), landmarks68(model)
    p0, m0 = weight @ p, weight @ m
    M = (weight[:, None] * (p - p0)).T @ (m - m0)
    cov = (weight[:, None] * (m - m0)).T @ (m - m0)
    slope = np.linalg.solve(cov[:2, :2], M[:2, 2] - M[2, :2])
    out[:, 2] += (model - m0)[:, :2] @ slope + m0[2] - p0[2]
    return out


def triangulate(R_local: np.ndarray, points: np.ndarray, max_residual_m: float = 0.008) -> np.ndarray:
    """Mean mesh (468, 3) in the head frame, metres, from the image positions of N faces: R_local (N, 3, 3), points
    (N, 468, 2) in metres relative to the projected C. Faces that fit badly are dropped."""
    keep = np.ones(len(points), bool)
    for _ in range(5):
        A = R_local[keep, :2].reshape(-1, 3)
        X = np.linalg.lstsq(A, points[keep].transpose(0, 2, 1).reshape(-1, points.shape[1]), rcond=None)[0].T
        keep = np.linalg.norm(X @ np.swapaxes(R_local[:, :2], 1, 2) - points, axis=2).mean(1) < max_residual_m
    print(f"mean mesh from {keep.sum()} of {len(keep)} faces")
    X += FACE_CENTRE_M
    other = np.linalg.norm(X[:, None] * [-1, 1, 1] - X, axis=2).argmin(1)  # the vertex on the other side
    if not (other[other] == np.arange(len(X))).all():
        raise HpeError("the triangulated mesh is not symmetric: too few photos?")
    return (X + X[other] * [-1, 1, 1]) / 2


class FaceMesh:
    """MediaPipe's 468 points for one face, in pixels of the image; depth in the same unit, smaller = nearer."""

    def __init__(self):
        os.environ.setdefault("GLOG_minloglevel", "3")
        import mediapipe

        self._net = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=True, max_num_faces=1, min_detection_confidence=0.3
        )

    def __call__(self, image: np.ndarray, label: FaceLabel) -> np.ndarray | None:
        side = round(2.2 * label.size_px)
        corner = label.centre_px - side / 2
        A = np.array([[1, 0, corner[0]], [0, 1, corner[1]]])
        crop = cv2.warpAffine(
            image, A, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
        found = self._net.process(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)).multi_face_landmarks
        if not found:
            return None
        points = np.array([[p.x, p.y, p.z] for p in found[0].landmark])
        return points * side + [*(corner - 0.5), 0]


def projected(mean: MeanMesh, points: np.ndarray, label: FaceLabel, image_shape) -> FaceLandmarks:
    """Landmarks of mesh points (468, 3), metres relative to C in the virtual camera. What lies outside the image is of
    unknown visibility."""
    p = landmarks68(points)
    px = label.centre_px + p[:, :2] * label.size_px / REFERENCE_LENGTH_M
    h, w = image_shape[:2]
    inside = ((px >= -0.5) & (px < [w - 0.5, h - 0.5])).all(1)
    return FaceLandmarks(px, p[:, 2], np.where(inside, mean.visible(points, label.R_local), files.UNKNOWN))


def labelled_meshes(shard: dict, mesh_of: FaceMesh):
    """(face index, image, FaceLabel, mesh or None) of every face of a shard with weight."""
    for j in np.flatnonzero(shard["weight"] > 0):
        image, label = shards.decoded(shard, shard["face_image"][j]), shards.labels_of(shard, j)
        yield j, image, label, mesh_of(image, label)


def add_landmarks(shard: dict, mesh_of: FaceMesh, mean: MeanMesh, counts: Counter) -> dict:
    """A copy of the shard with landmarks; `counts` learns what became of each face."""
    known = FaceLandmarks.unknown(len(shard["weight"]))
    for j, image, label, mesh in labelled_meshes(shard, mesh_of):
        points, reason = (None, "no face mesh") if mesh is None else mean.local_points(mesh, label)
        counts[f"NaN: {reason}" if points is None else "landmarks"] += 1
        if points is not None:
            found = projected(mean, points, label, image.shape)
            known.px[j], known.z_m[j], known.visible[j] = found.px, found.z_m, found.visible
    return shard | shards.stored(known.columns())


def fit_mean(paths: list[Path], mesh_of: FaceMesh):
    """Write mean_mesh.json."""
    R, points = [], []
    for path in track(paths, "meshes"):
        for _, _, label, mesh in labelled_meshes(shards.read(path), mesh_of):
            if mesh is not None:
                R.append(label.R_local)
                points.append((mesh[:, :2] - label.centre_px) * REFERENCE_LENGTH_M / label.size_px)
    X = triangulate(np.array(R), np.array(points))
    how = "training/label/landmarks.py --fit-mean; head frame: x to the subject's left, y down, z backwards"
    MEAN_MESH_FILE.write_text(json.dumps({"how": how, "points_mm": (1e3 * X).round(1).tolist()}) + "\n")
    print("REFERENCE_LANDMARKS_M:", landmarks68(X).round(4).tolist())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="shards of make_shards")
    parser.add_argument("--out", type=Path, help="folder of the shards with landmarks")
    parser.add_argument("--fit-mean", action="store_true", help="find the mean mesh instead")
    args = parser.parse_args()

    paths = shards.shard_paths(args.photos)
    mesh_of = FaceMesh()
    if args.fit_mean:
        return fit_mean(paths, mesh_of)
    if args.out is None or args.out.resolve() == args.photos.resolve():
        raise HpeError("--out: name a folder other than --photos")
    args.out.mkdir(parents=True, exist_ok=True)
    mean, counts = MeanMesh.load(), Counter()
    for path in track(paths, "landmarks"):
        shards.save(args.out / path.name, add_landmarks(shards.read(path), mesh_of, mean, counts))
    print(*(f"{n:6d} {what}" for what, n in sorted(counts.items())), sep="\n")


if __name__ == "__main__":
    main()
