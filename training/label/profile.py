"""Face profiling: turn photographed heads to larger yaw and pitch, as 300W-LP did, with exactly known rotation.

    python -m training.label.profile --photos DIR --out DIR      (its own environment: mediapipe==0.10.21, numpy<2)

The face is MediaPipe's mesh with a depth that agrees with the label (landmarks.py); rings around it give depth to the
sides of the head, whose hidden back is stretched out of the visible rim; far from the head the picture stays where it
is. The whole is one mesh without holes, turned about the middle of the head by R_delta and painted back to front.
R_new = R_delta R_label, and the landmarks are the turned points of the mesh.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track
from scipy.spatial import Delaunay
from scipy.spatial.transform import Rotation

from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from training.data.labels import FaceLabel
from training.data.shards import ShardWriter, encode, read_shards
from training.label.landmarks import SELLION, FaceMesh, MeanMesh, projected
from training.label.sources import pad_blurred

OUTPUT_PX = 256
MAX_SOURCE_YAW_DEG, MAX_TURN_DEG, MAX_NOD_DEG = 35, 76, 40
FACE_OVAL = [
    10,
    338,
    297,
    332,
    284,
    251,
    389,
    356,
    454,
    323,
    361,
    288,
    397,
    365,
    379,
    378,
    400,
    377,
    152,
    148,
    176,
    149,
    150,
    136,
    172,
    58,
    132,
    93,
    234,
    127,
    162,
    21,
    54,
    103,
    67,
    109,
]
# The skull, in the head frame (metres from the sellion; x left, y down, z backwards): centre and radii of an ellipsoid
SKULL_CENTRE_M, SKULL_RADII_M = np.array([0.0, -0.005, 0.09]), np.array([0.080, 0.125, 0.100])
PIVOT_M = np.array([0.0, 0.02, 0.085])
BACK_OF_HEAD_M, BACKGROUND_M = 0.075, 0.35  # depth behind the skull centre


@dataclass(frozen=True)
class Lifted:
    """A photo as a mesh. Source points in pixels; the same points in 3D (pixels, camera axes) and how far each follows
    the head's rotation (1: rigidly, 0: stays)."""

    source: np.ndarray  # (V, 2)
    point: np.ndarray  # (V, 3)
    follow: np.ndarray  # (V,)
    triangles: np.ndarray  # (T, 3)


def skull_rim(label: FaceLabel, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outline of the skull ellipsoid around its projected centre along unit `direction` (N, 2).
    -> distance in metres (N,) and depth of the rim relative to the skull centre in metres (N,)."""
    A = label.R_local @ np.diag(SKULL_RADII_M**2) @ label.R_local.T  # covariance-like: x' A^-1 x = 1
    # silhouette of an ellipsoid under orthographic projection: the ellipse of A's upper left block
    distance = 1 / np.sqrt(np.einsum("ni,ij,nj->n", direction, np.linalg.inv(A[:2, :2]), direction))
    depth = (distance[:, None] * direction) @ np.linalg.inv(A[:2, :2]) @ A[:2, 2]  # tangent points: regression line
    return distance, depth


def lift(image_shape, face_local_m: np.ndarray, label: FaceLabel) -> Lifted:
    """Mesh of face (468, 3) (metres relative to C), head rim, stretched back of the head and still background."""
    px = label.size_px / REFERENCE_LENGTH_M
    centre = np.append(label.centre_px, 0)
    skull = centre + px * label.R_local @ (SKULL_CENTRE_M - FACE_CENTRE_M)
    face = centre + px * face_local_m

    oval = face[FACE_OVAL]
    ray = oval[:, :2] - skull[:2]
    oval_distance = np.linalg.norm(ray, axis=1)
    direction = ray / oval_distance[:, None]
    rim_m, rim_depth_m = skull_rim(label, direction)
    rim_distance = np.maximum(px * rim_m, 1.06 * oval_distance)
    rim = np.column_stack([skull[:2] + rim_distance[:, None] * direction, skull[2] + px * rim_depth_m])

    def ring(distance_ratio, depth_m, follow):
        """Outside the rim; `depth_m` behind the rim's depth."""
        xy = skull[:2] + (rim_distance * distance_ratio)[:, None] * direction
        return np.column_stack([xy, rim[:, 2] + px * depth_m]), np.full(len(xy), follow)

    below = np.clip(direction[:, 1], 0, 1) ** 2  # towards the neck the head is not round
    beside = np.exp(-(((direction[:, 1] - 0.1) / 0.35) ** 2))  # ears must not be drawn out
    back = BACK_OF_HEAD_M * (1 - 0.6 * below) * (1 - 0.5 * beside)
    between = [(1 - t) * oval + t * rim for t in (0.33, 0.67)]  # the cheek curves round: depth lags behind
    for t, points in zip((0.33, 0.67), between, strict=True):
        points[:, 2] = oval[:, 2] + (1 - np.sqrt(1 - t**2)) * (rim[:, 2] - oval[:, 2])
    rings = [(b, np.ones(len(b))) for b in between] + [
        (rim, np.ones(len(rim))),
        ring(1.08, 0.35 * back, 1.0),
        ring(1.17, back, 1.0),
        ring(1.40, BACKGROUND_M * 0.5, 0.45),
        ring(1.75, BACKGROUND_M, 0.12),
        ring(2.2, BACKGROUND_M, 0.0),
    ]

    h, w = image_shape[:2]
    gx, gy = np.meshgrid(np.linspace(0, w - 1, 7), np.linspace(0, h - 1, 7))
    grid = np.column_stack([gx.ravel(), gy.ravel(), np.full(49, skull[2] + px * BACKGROUND_M)])
    outside = np.linalg.norm(grid[:, :2] - skull[:2], axis=1) > 2.4 * rim_distance.max()
    border = np.isin(gx.ravel(), [0, w - 1]) | np.isin(gy.ravel(), [0, h - 1])
    grid = grid[outside | border]

    points = np.concatenate([face] + [r[0] for r in rings] + [grid])
    follow = np.concatenate([np.ones(len(face))] + [r[1] for r in rings] + [np.zeros(len(grid))])
    inside = (points[:, :2] >= -0.5).all(1) & (points[:, :2] <= [w - 0.5, h - 0.5]).all(1)
    points, follow = points[inside], follow[inside]
    return Lifted(points[:, :2], points, follow, Delaunay(points[:, :2]).simplices)


def turned(point: np.ndarray, follow: np.ndarray, pivot: np.ndarray, R_delta: np.ndarray) -> np.ndarray:
    """Rotate points (V, 3) about pivot (3,), each as far as it follows."""
    rotated = (point - pivot) @ R_delta.T + pivot
    return follow[:, None] * rotated + (1 - follow[:, None]) * point


def paint(image: np.ndarray, source: np.ndarray, target: np.ndarray, triangles: np.ndarray, size: int) -> np.ndarray:
    """Warp `image` so that mesh points source (V, 2) land on target (V, 3) (pixels, depth), near over far."""
    order = np.argsort(-target[triangles, 2].mean(1))
    triangles = triangles[order]
    owner = np.full((size, size), -1, np.int32)
    corners = np.round(target[triangles][:, :, :2] * 16).astype(np.int32)
    for i, corner in enumerate(corners):
        cv2.fillConvexPoly(owner, corner, i, cv2.LINE_8, 4)

    a, b, c = (target[triangles[:, k], :2] for k in range(3))
    e, f = b - a, c - a  # point = a + s e + t f
    area = e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0]
    area[np.abs(area) < 1e-6] = np.inf
    y, x = np.nonzero(owner >= 0)
    t = owner[y, x]
    dx, dy = x - a[t, 0], y - a[t, 1]
    st = np.stack([dx * f[t, 1] - dy * f[t, 0], dy * e[t, 0] - dx * e[t, 1]], 1) / area[t, None]
    st = np.clip(st, 0, 1)
    st /= np.maximum(1, st.sum(1, keepdims=True))
    sa, sb, sc = (source[triangles[:, k]] for k in range(3))
    xy = sa[t] + st[:, :1] * (sb - sa)[t] + st[:, 1:] * (sc - sa)[t]
    maps = np.full((2, size, size), -1, np.float32)
    maps[0, y, x], maps[1, y, x] = xy.T
    return cv2.remap(image, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def choose_turn(yaw_deg: float, rng: np.random.Generator) -> np.ndarray:
    """R_delta (3, 3): towards the side that is already turned, to a yaw uniform in 15 to 95 degrees as far as
    MAX_TURN_DEG reaches (the photos themselves fill the small angles), and a nod."""
    side, yaw = np.sign(yaw_deg) or 1.0, abs(yaw_deg)
    turn = side * (rng.uniform(max(yaw, 15), min(95, yaw + MAX_TURN_DEG)) - yaw)
    nod = rng.uniform(-MAX_NOD_DEG, MAX_NOD_DEG)
    return Rotation.from_euler("XY", [nod, turn], degrees=True).as_matrix()


@dataclass(frozen=True)
class View:
    """How a photo is to be seen."""

    R_delta: np.ndarray  # (3, 3)
    size_px: float
    offset_px: np.ndarray  # (2,) of the face centre from the middle of the output

    @classmethod
    def random(cls, yaw_deg: float, rng: np.random.Generator) -> View:
        return cls(choose_turn(yaw_deg, rng), rng.uniform(90, 140), rng.uniform(-20, 20, 2))


def profile_photo(image, face_local_m, label, others, view: View, mean: MeanMesh):
    """-> image (256, 256, 3), labels: the turned face first, every other face of the photo as weight 0."""
    R_delta = view.R_delta
    margin = (round(0.5 * image.shape[1]), round(0.5 * image.shape[0]))
    padded = pad_blurred(image, 0.5)
    label = replace(label, centre_px=label.centre_px + margin)
    lifted = lift(padded.shape, face_local_m, label)

    px = label.size_px / REFERENCE_LENGTH_M
    C = np.append(label.centre_px, 0)
    pivot = C + px * label.R_local @ (PIVOT_M - FACE_CENTRE_M)
    centre = turned(C[None], np.ones(1), pivot, R_delta)[0]

    zoom = view.size_px / label.size_px
    shift = OUTPUT_PX / 2 + view.offset_px - zoom * centre[:2]
    target = turned(lifted.point, lifted.follow, pivot, R_delta) * zoom
    target[:, :2] += shift
    smooth = cv2.GaussianBlur(padded, (0, 0), 0.4 / zoom) if zoom < 0.8 else padded
    out = paint(smooth, lifted.source, target, lifted.triangles, OUTPUT_PX)

    angle = np.degrees(Rotation.from_matrix(R_delta).magnitude())
    std = float(np.hypot(label.rot_std_deg, 0.05 * angle))  # depth errors of the mesh turn into angle errors
    label = FaceLabel(
        R_local=R_delta @ label.R_local,
        centre_px=zoom * centre[:2] + shift,
        size_px=view.size_px,
        rot_std_deg=std,
        weight=1.0,
    )
    labels = [replace(label, landmarks=projected(mean, face_local_m @ R_delta.T, label, out.shape))]
    for f in others:
        at = zoom * (f.centre_px + margin) + shift
        if (at > 0).all() and (at < OUTPUT_PX).all():
            labels.append(FaceLabel.unknown(at, 1.3 * zoom * f.size_px))
    return out, labels


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="shards of make_shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=15000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng, mesh_of, mean = np.random.default_rng(args.seed), FaceMesh(), MeanMesh.load()
    writer, counts = ShardWriter(args.out), Counter()
    for image, person, source, faces in track(read_shards(args.photos), "profiling"):
        if counts["written"] >= args.limit:
            break
        counts["photos"] += 1
        if not source.startswith("lfw/"):
            counts["skipped: tight crop without hair and background"] += 1
            continue
        label = max(faces, key=lambda f: f.weight * f.size_px)
        minus_pitch, yaw, _ = Rotation.from_matrix(label.R_local).as_euler("XYZ", degrees=True)
        if not label.weight or label.size_px < 80 or abs(yaw) > MAX_SOURCE_YAW_DEG or abs(minus_pitch) > 35:
            counts["skipped: no large face within the yaw limit"] += 1
            continue
        mesh = mesh_of(image, label)
        if mesh is None:
            counts["skipped: no face mesh"] += 1
            continue
        sellion = label.centre_px - label.size_px / REFERENCE_LENGTH_M * (label.R_local @ FACE_CENTRE_M)[:2]
        if np.linalg.norm(mesh[SELLION, :2] - sellion) > 0.1 * label.size_px:
            counts["skipped: face mesh disagrees with the label's position"] += 1
            continue
        view = View.random(yaw, rng)
        face_local_m, reason = mean.local_points(mesh, label)
        if face_local_m is None:
            counts[f"skipped: {reason}"] += 1
            continue
        others = [f for f in faces if f is not label]
        out, labels = profile_photo(image, face_local_m, label, others, view, mean)
        writer.add(encode(out), person, f"profiled/{source}", labels)
        counts["written"] += 1
    writer.flush()
    print(*(f"{n:6d} {what}" for what, n in sorted(counts.items())), sep="\n")


if __name__ == "__main__":
    main()
