"""Face profiling: turn photographed heads to larger yaw and pitch, as 300W-LP did, with exactly known rotation.

    python -m training.photos.profile --photos DIR --out DIR      (its own environment: mediapipe==0.10.21, numpy<2)

MediaPipe's face mesh gives depth for the face; rings around it give depth to the sides of the head, whose hidden back
is stretched out of the visible rim; far from the head the picture stays where it is. The whole is one mesh without
holes, turned about the middle of the head by R_delta and painted back to front. R_new = R_delta R_label.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track
from scipy.spatial import Delaunay
from scipy.spatial.transform import Rotation

from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from training.photos.bfm_frame import BfmFrame
from training.photos.shards import FaceLabel, ShardWriter, encode, read_shards
from training.photos.sources import pad_blurred

OUTPUT_PX = 256
MAX_SOURCE_YAW_DEG, MAX_TURN_DEG, MAX_NOD_DEG = 35, 76, 32
# FaceMesh vertices that correspond to some of the 68 landmarks: lid corners, nose, mouth corners, chin, jaw ends
MESH_OF_68 = {36: 33, 39: 133, 42: 362, 45: 263, 27: 168, 30: 4, 33: 2, 48: 61, 54: 291, 8: 152, 0: 127, 16: 356}
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


def face_depth(mesh: np.ndarray, label: FaceLabel, mean_head_m: np.ndarray, gain: float) -> np.ndarray:
    """MediaPipe mesh (468, 3) in pixels -> depth (468,) in pixels with the sellion of the label's head at its true
    depth 0 + offset; the offset makes the mean head and the mesh agree on average."""
    of68, of_mesh = np.array(list(MESH_OF_68)), np.array(list(MESH_OF_68.values()))
    predicted = label.size_px / REFERENCE_LENGTH_M * (mean_head_m[of68] @ label.R_local.T)[:, 2]
    depth = gain * mesh[:, 2]
    return depth + np.median(predicted - depth[of_mesh])


def depth_gain(mesh: np.ndarray, label: FaceLabel, mean_head_m: np.ndarray) -> float:
    """How much MediaPipe's depth must be stretched to fit the mean head in the label's pose (least squares)."""
    of68, of_mesh = np.array(list(MESH_OF_68)), np.array(list(MESH_OF_68.values()))
    want = label.size_px / REFERENCE_LENGTH_M * (mean_head_m[of68] @ label.R_local.T)[:, 2]
    have = mesh[of_mesh, 2]
    return float(np.polyfit(have, want, 1)[0])


def skull_rim(label: FaceLabel, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outline of the skull ellipsoid around its projected centre along unit `direction` (N, 2).
    -> distance in metres (N,) and depth of the rim relative to the skull centre in metres (N,)."""
    A = label.R_local @ np.diag(SKULL_RADII_M**2) @ label.R_local.T  # covariance-like: x' A^-1 x = 1
    # silhouette of an ellipsoid under orthographic projection: the ellipse of A's upper left block
    distance = 1 / np.sqrt(np.einsum("ni,ij,nj->n", direction, np.linalg.inv(A[:2, :2]), direction))
    depth = (distance[:, None] * direction) @ np.linalg.inv(A[:2, :2]) @ A[:2, 2]  # tangent points: regression line
    return distance, depth


def lift(image_shape, mesh: np.ndarray, label: FaceLabel, mean_head_m: np.ndarray, gain: float) -> Lifted:
    """Mesh of face, head rim, stretched back of the head and still background."""
    px = label.size_px / REFERENCE_LENGTH_M
    sellion = np.append(label.centre_px, 0) - px * label.R_local @ FACE_CENTRE_M
    sellion[2] = 0
    skull = sellion + px * label.R_local @ SKULL_CENTRE_M
    depth = face_depth(mesh, label, mean_head_m, gain)
    face = np.column_stack([mesh[:, :2], depth])

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


def profile_photo(image, mesh, label, others, mean_head_m, gain, rng, yaw_deg):
    """-> image (256, 256, 3), labels: the turned face first, every other face of the photo as weight 0."""
    R_delta = choose_turn(yaw_deg, rng)
    margin = (round(0.5 * image.shape[1]), round(0.5 * image.shape[0]))
    padded = pad_blurred(image, 0.5)
    mesh = mesh + [*margin, 0]
    label = FaceLabel(label.R_local, label.centre_px + margin, label.size_px, label.rot_std_deg, label.weight)
    lifted = lift(padded.shape, mesh, label, mean_head_m, gain)

    px = label.size_px / REFERENCE_LENGTH_M
    sellion = np.append(label.centre_px - px * (label.R_local @ FACE_CENTRE_M)[:2], 0)
    pivot = sellion + px * label.R_local @ PIVOT_M
    centre = turned((sellion + px * label.R_local @ FACE_CENTRE_M)[None], np.ones(1), pivot, R_delta)[0]

    size = rng.uniform(90, 140)
    zoom = size / label.size_px
    shift = OUTPUT_PX / 2 + rng.uniform(-20, 20, 2) - zoom * centre[:2]
    target = turned(lifted.point, lifted.follow, pivot, R_delta) * zoom
    target[:, :2] += shift
    smooth = cv2.GaussianBlur(padded, (0, 0), 0.4 / zoom) if zoom < 0.8 else padded
    out = paint(smooth, lifted.source, target, lifted.triangles, OUTPUT_PX)

    angle = np.degrees(Rotation.from_matrix(R_delta).magnitude())
    std = float(np.hypot(label.rot_std_deg, 0.05 * angle))  # depth errors of the mesh turn into angle errors
    labels = [FaceLabel(R_delta @ label.R_local, zoom * centre[:2] + shift, float(size), std, 1.0)]
    for f in others:
        at = zoom * (f.centre_px + margin) + shift
        if (at > 0).all() and (at < OUTPUT_PX).all():
            labels.append(FaceLabel(np.eye(3), at, 1.3 * zoom * f.size_px, 180.0, 0.0))
    return out, labels


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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="shards of make_shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=15000)
    parser.add_argument(
        "--depth-gain",
        type=float,
        default=1.0,
        help="MediaPipe depth -> pixels; 1.0 agrees with mb05 to about 1 deg of yaw, 0.91 to 2 deg",
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    rng, mesh_of, writer, counts = np.random.default_rng(args.seed), FaceMesh(), ShardWriter(args.out), Counter()
    mean_head_m, gains = BfmFrame.load().landmarks68_m, []
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
        if np.linalg.norm(mesh[168, :2] - sellion) > 0.1 * label.size_px:
            counts["skipped: face mesh disagrees with the label's position"] += 1
            continue
        gains.append(depth_gain(mesh, label, mean_head_m))
        out, labels = profile_photo(
            image, mesh, label, [f for f in faces if f is not label], mean_head_m, args.depth_gain, rng, yaw
        )
        writer.add(encode(out), person, f"profiled/{source}", labels)
        counts["written"] += 1
    writer.flush()
    print(*(f"{n:6d} {what}" for what, n in sorted(counts.items())), sep="\n")
    print("depth gain that fits the mean head best (quartiles):", np.percentile(gains, [25, 50, 75]).round(2))


if __name__ == "__main__":
    main()
