"""The 68 Multi-PIE landmarks on the MakeHuman mesh: fixed points of its triangles, the same for every identity.

Given on the mean head (`head.mean_shape`, head frame) for the subject's left half and the mid-line; the right half is
the mirror image. Lids, mouth corners and inner lips are vertices, so that closed eyes and open mouths carry them along;
they were picked on the mesh. Nose and outer lips are MediaPipe's points on 60 renders, cast back onto the mesh (median;
scatter 1 to 2 mm). Brows follow the upper part of the 12 brow textures. Jaw points are those of ICT-FaceKit, moved by
the similarity that lays its eyes, nose and mouth on this head, then onto the nearest surface.
"""

from __future__ import annotations

import numpy as np

from training.render.assets import Surface

COUNT = 68
MIRROR = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36]
    + [41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
)  # landmark k of the mirror image is landmark MIRROR[k]
VERTICES = {
    **{27: 132, 28: 131, 29: 201, 30: 294, 33: 317, 51: 466, 57: 492, 62: 520, 66: 523},
    **{42: 6850, 43: 6838, 44: 6790, 45: 11471, 46: 6820, 47: 6831},  # lids
    **{54: 10404, 63: 7262, 64: 10401, 65: 7236},  # corner of the mouth, inner lips
}
FRONT_MM = {  # x, y on the mean head seen from the front
    **{22: (13.3, -8.0), 23: (24.2, -10.5), 24: (34.7, -12.7), 25: (46.0, -12.8), 26: (56.0, -8.8)},
    **{34: (7.1, 50.4), 35: (13.2, 47.9), 52: (7.2, 64.4), 53: (14.4, 66.6), 55: (14.4, 81.7), 56: (7.8, 83.6)},
}
NEAREST_MM = {  # x, y, z on the mean head
    8: (0.0, 114.7, -8.2),
    9: (15.3, 111.7, -6.5),
    10: (30.3, 109.1, 8.6),
    11: (42.8, 102.9, 23.1),
    12: (56.9, 86.4, 36.2),
    13: (65.2, 65.8, 46.8),
    14: (69.0, 47.3, 54.2),
    15: (72.4, 28.3, 61.3),
    16: (73.2, 6.7, 65.2),
}


def mesh_landmarks(surface: Surface, mean_head_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks as points of triangles: (68, 3) vertex indices and (68, 3) weights that sum to 1.

    surface: the body; mean_head_m (V, 3): its vertices on the mean head, head frame, metres.
    """
    triangles = surface.vertex[surface.triangles]
    corners = mean_head_m[triangles]  # (T, 3, 3)
    index, weight = np.zeros((COUNT, 3), int), np.zeros((COUNT, 3))
    weight[:, 0] = 1.0
    for k, vertex in VERTICES.items():
        index[k] = vertex
        index[MIRROR[k]] = nearest_vertex(triangles, mean_head_m, mean_head_m[vertex] * [-1, 1, 1])
    for side, half in ((1, np.arange(COUNT)), (-1, MIRROR)):
        for k, (x, y) in FRONT_MM.items():
            index[half[k]], weight[half[k]] = cast_from_front(triangles, corners, np.array([side * x, y]) * 1e-3)
        for k, point in NEAREST_MM.items():
            point = np.array(point) * 1e-3 * [side, 1, 1]
            index[half[k]], weight[half[k]] = nearest_on_triangles(triangles, corners, point)
    return index, weight


def at(index: np.ndarray, weight: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """vertices (V, 3) of any identity and expression -> landmarks (68, 3)."""
    return np.einsum("kc,kcd->kd", weight, vertices[index])


def nearest_vertex(triangles, vertices, point) -> int:
    used = np.unique(triangles)
    return int(used[np.argmin(np.linalg.norm(vertices[used] - point, axis=1))])


def cast_from_front(triangles, corners, xy):
    """The nearest (smallest z) point of the mesh at x, y -> vertex indices (3,), weights (3,)."""
    a, b, c = (corners[:, k, :2] for k in range(3))
    u, v, p = b - a, c - a, xy - a
    determinant = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    determinant = np.where(np.abs(determinant) < 1e-15, np.inf, determinant)
    s = (p[:, 0] * v[:, 1] - p[:, 1] * v[:, 0]) / determinant
    t = (u[:, 0] * p[:, 1] - u[:, 1] * p[:, 0]) / determinant
    weights = np.column_stack([1 - s - t, s, t])
    hit = np.flatnonzero((weights >= 0).all(1) & np.isfinite(determinant))
    first = hit[np.argmin(np.einsum("nk,nk->n", weights[hit], corners[hit, :, 2]))]
    return triangles[first], weights[first]


def nearest_on_triangles(triangles, corners, point):
    """A fine sampling of the triangles around the point is enough here -> vertex indices (3,), weights (3,)."""
    near = np.flatnonzero(np.linalg.norm(corners.mean(1) - point, axis=1) < 0.03)
    n = 20
    grid = np.array([(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]) / n
    distance = np.linalg.norm(np.einsum("gk,tkd->tgd", grid, corners[near]) - point, axis=2)
    t, g = np.unravel_index(np.argmin(distance), distance.shape)
    return triangles[near[t]], grid[g]
