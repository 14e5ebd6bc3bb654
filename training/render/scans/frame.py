"""The head frame of a scan: by its 68 landmarks, or by a rigid fit of the mean face to its surface.

Both give a similarity: v_head_m = scale * R_head_scan @ v_scan + t_head_m. As with the project's own heads, the face is
scaled onto the mean face, and the sellion lies where that face has it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from hpe_core.errors import HpeError
from hpe_core.geometry.landmarks68 import REFERENCE_LANDMARKS_M
from hpe_core.geometry.rigid import rotation_between_points

UNITS_M = {"mm": 1e-3, "cm": 1e-2, "dm": 0.1, "m": 1.0}
EXTENT_M = (0.12, 1.4)  # largest side of a scan, from a face to a body as far as the hips
SIZE = (0.78, 1.28)  # of a head, relative to the mean
SAMPLES, COARSE_SAMPLES = 30_000, 6_000  # points of the surface
PLACES, SPINS, TILTS_DEG, KEPT = 80, 24, (-25.0, 0.0, 25.0), 16  # starts: noses, turns of each; what is refined
NOSE_M, APART_M = 0.03, 0.012  # around a tip that may be a nose; between two of them
MEAN_FACE = Path(__file__).with_name("mean_face.json")  # by training.render.scans.mean_face
INNER = 160  # points of it, between brows and upper lip, come first
NOSE_TIP_M = np.array([0.0, 0.048, -0.024])
FAR_M = 0.02  # what lies farther off counts as this far
TRIMMED = 0.8  # share of the points that a fit goes by
MAX_MISFIT = 0.27  # of a good fit: see `_misfit`; heads gave 0.06 to 0.23, other places 0.31 and more
MAX_LANDMARK_RESIDUAL_MM = 8.0
FIXED = np.r_[0:4, 13:17, 27:48]  # ends of the jaw, nose, eyes: they move least with the face


@dataclass(frozen=True, eq=False)
class HeadFrame:
    """v_head_m = scale * R_head_scan @ v_scan + t_head_m; outward: whether the mesh's normals point out of it."""

    R_head_scan: np.ndarray  # (3, 3)
    scale: float  # metres per unit of the scan
    t_head_m: np.ndarray  # (3,)
    misfit: float  # by landmarks: rms in mm; by the surface: see `_misfit`
    outward: bool

    def head_from_scan(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) of the scan in the head frame, metres."""
        return self.scale * points @ self.R_head_scan.T + self.t_head_m


def by_landmarks(landmarks: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> HeadFrame:
    """HeadFrame of 68 landmarks (68, 3) in the scan's own coordinates, by eyes, nose and ends of the jaw.

    Raises HpeError when they do not look like those of a face in that order.
    """
    source, target = landmarks[FIXED], REFERENCE_LANDMARKS_M[FIXED]
    spread = source - source.mean(0)
    R, singular = rotation_between_points(source, target)
    scale = float(singular.sum() / np.mean(np.sum(spread**2, 1))) if np.any(spread) else 0.0
    if not scale > 0:
        raise HpeError("its 68 landmarks lie in one point")
    t = target.mean(0) - scale * R @ source.mean(0)
    rms = 1e3 * float(np.sqrt(np.mean(np.sum((scale * source @ R.T + t - target) ** 2, 1))))
    if not rms <= MAX_LANDMARK_RESIDUAL_MM:
        raise HpeError(
            f"its 68 landmarks fit the mean face to {rms:.1f} mm, allowed {MAX_LANDMARK_RESIDUAL_MM:g}: "
            "is it iBUG's order, in the scan's coordinates?"
        )
    return HeadFrame(R, scale, t, rms, _outward(vertices, triangles))


def by_surface(vertices: np.ndarray, triangles: np.ndarray) -> HeadFrame:
    """HeadFrame of a mesh (V, 3), (T, 3) in any axes and any of UNITS_M, with or without hair, neck and shoulders.

    The mean face is laid onto the surface from many starts, coarse to fine. Raises HpeError when no place is like it.
    """
    rng = np.random.default_rng(0)
    outward = _outward(vertices, triangles)
    points, normals = sampled(vertices, triangles if outward else triangles[:, ::-1], SAMPLES, rng)
    extent = float(np.ptp(points, 0).max())
    units = [metres for metres in UNITS_M.values() if EXTENT_M[0] <= metres * extent <= EXTENT_M[1]]
    if not units:
        raise HpeError(
            f"it is {extent:.4g} units wide, which is no head in mm, cm, dm or m ({EXTENT_M[0]:g} to {EXTENT_M[1]:g} m)"
        )
    fits = [_fit(points * metres, normals, rng) for metres in units]
    best = int(np.argmin([fit[-1] for fit in fits]))
    R, scale, t, misfit = fits[best]  # mean face -> scan in metres
    if misfit > MAX_MISFIT:
        raise HpeError(
            f"no face was found on it: the misfit of the mean face is {misfit:.2f}, allowed {MAX_MISFIT:g}; "
            "add its 68 landmarks"
        )
    return HeadFrame(R.T, units[best] / scale, -R.T @ t / scale, misfit, outward)


@cache
def mean_face() -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) m of the mean face and its unit normals (N, 3), head frame; the first INNER lie in its middle."""
    rows = np.array(json.loads(MEAN_FACE.read_text("utf-8"))["points_mm_normals"])
    return rows[:, :3] / 1e3, rows[:, 3:] / np.linalg.norm(rows[:, 3:], axis=1, keepdims=True)


def sampled(vertices: np.ndarray, triangles: np.ndarray, count: int, rng: np.random.Generator):
    """`count` points (N, 3) spread over a surface by area, and its unit normals (N, 3) there."""
    a, b, c = np.moveaxis(vertices[triangles], 1, 0)
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=1)
    if not area.sum() > 0:
        raise HpeError("its triangles have no area")
    chosen = rng.choice(len(area), count, p=area / area.sum())
    u, v = rng.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    points = a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen]
    return points, cross[chosen] / area[chosen, None]


def _outward(vertices, triangles):
    """Whether the normals of a mesh point away from its middle."""
    a, b, c = np.moveaxis(vertices[triangles], 1, 0)
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=1, keepdims=True)
    centres = (a + b + c) / 3
    middle = (centres * area).sum(0) / max(area.sum(), 1e-30)
    return bool(np.sum(cross * (centres - middle)) >= 0)


def _fit(points, normals, rng):
    """(R, scale, t, misfit) of the best similarity from the mean face to a surface in metres."""
    coarse = rng.choice(len(points), COARSE_SAMPLES, replace=False)
    tree, tree_normals = KDTree(points[coarse]), normals[coarse]
    face, face_normals = mean_face()
    tips, directions = _tips(points[coarse], tree_normals, tree)
    turns = np.array([_turns(direction) for direction in directions])  # P S 3 3
    pattern, pattern_normals = face[:INNER:3] - NOSE_TIP_M, face_normals[:INNER:3]
    scores = np.empty(turns.shape[:2])
    for i, tip in enumerate(tips):
        distance, nearest = tree.query(pattern @ np.swapaxes(turns[i], 1, 2) + tip, distance_upper_bound=FAR_M)
        found = np.isfinite(distance)
        agree = np.sum(tree_normals[np.where(found, nearest, 0)] * (pattern_normals @ np.swapaxes(turns[i], 1, 2)), -1)
        scores[i] = np.where(found, distance / FAR_M + 1.0 - agree, 2.0).mean(1)
    order = np.argsort(scores, axis=None)[:KEPT]
    fits = []
    for i, j in zip(*np.unravel_index(order, scores.shape), strict=True):
        start = (turns[i, j], 1.0, tips[i] - turns[i, j] @ NOSE_TIP_M)
        fits.append(_refined(tree, points[coarse], tree_normals, *start, count=INNER, rounds=25))
    fits.sort(key=lambda fit: fit[-1])
    fine = KDTree(points)
    return min(
        (_refined(fine, points, normals, *fit[:3], count=len(face), rounds=40) for fit in fits[:3]),
        key=lambda fit: fit[-1],
    )


def _tips(points, normals, tree):
    """What sticks out of a surface as a nose does: tips (P, 3) and the mean normals (P, 3) around them."""
    around = tree.query_ball_point(points, NOSE_M)
    depth = [
        np.mean((points[near] - point) @ normal) for point, normal, near in zip(points, normals, around, strict=True)
    ]
    tips: list[int] = []
    for i in np.argsort(depth):
        if all(np.linalg.norm(points[i] - points[k]) > APART_M for k in tips):
            tips.append(int(i))
        if len(tips) == PLACES:
            break
    means = np.array([normals[around[k]].mean(0) for k in tips])
    return points[tips], means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)


def _turns(direction):
    """Rotations (S, 3, 3) from the head frame that turn a face towards a direction (3,), and a little up and down."""
    towards = Rotation.align_vectors([direction], [[0.0, 0.0, -1.0]])[0]
    spins = Rotation.from_rotvec(np.outer(np.arange(SPINS) * 2.0 * np.pi / SPINS, [0.0, 0.0, 1.0]))
    tilts = Rotation.from_rotvec(np.outer(np.radians(TILTS_DEG), [1.0, 0.0, 0.0]))
    return np.array([(towards * spin * tilt).as_matrix() for spin in spins for tilt in tilts])


def _refined(tree, points, normals, R, scale, t, count, rounds):
    """Trimmed point-to-plane ICP of the mean face's first `count` points, with its size in SIZE; see `_fit`."""
    face, face_normals = (one[:count] for one in mean_face())
    for _ in range(rounds):
        laid = scale * face @ R.T + t
        distance, nearest = tree.query(laid)
        n = normals[nearest]
        gap = np.sum((points[nearest] - laid) * n, 1)
        agree = np.sum(n * (face_normals @ R.T), 1)
        weight = ((distance <= np.quantile(distance, TRIMMED)) & (agree > 0.5)) + 1e-6
        middle = laid.mean(0)
        arm = laid - middle
        A = np.column_stack([np.cross(arm, n), n, np.sum(arm * n, 1)])
        weighted = (A * weight[:, None]).T
        x = np.linalg.solve(weighted @ A + np.diag([1e-6] * 3 + [1e-4] * 3 + [1e-6]), weighted @ gap)
        turn = Rotation.from_rotvec(np.clip(x[:3], -0.2, 0.2)).as_matrix()
        grown = float(np.clip(scale * (1.0 + np.clip(x[6], -0.1, 0.1)), *SIZE))
        t = middle + np.clip(x[3:6], -FAR_M, FAR_M) + (grown / scale) * turn @ (t - middle)
        R, scale = turn @ R, grown
        if np.abs(x).max() < 1e-6:
            break
    return R, scale, t, _misfit(tree, points, normals, R, scale, t)


def _misfit(tree, points, normals, R, scale, t):
    """How far the middle of the mean face is from lying on a surface, 0 to 3: the mean of distance / FAR_M, at most 1,
    and of 1 - the cosine between the normals."""
    face, face_normals = (one[:INNER] for one in mean_face())
    laid = scale * face @ R.T + t
    distance, nearest = tree.query(laid)
    n = normals[nearest]
    gap = np.where(distance < FAR_M / 2, np.abs(np.sum((points[nearest] - laid) * n, 1)), distance)
    agree = np.sum(n * (face_normals @ R.T), 1)
    return float(np.mean(np.minimum(gap / FAR_M, 1.0) + 1.0 - agree))
