"""The smaller surface of the head model that is drawn and sent: fewer vertices, close together where faces move.

    python -m training.deploy.drawn_surface --out hpe_core/weights/head_surface.npz

Vertices are taken so that none lies nearer to another one, along the surface, than the spacing wished there; every
vertex then belongs to the taken one that is nearest along the surface, and three of those that meet at a triangle are a
triangle of the smaller surface (Delaunay's, of the surface's Voronoi cells). All are vertices of the head model, so its
equation holds. Keys: triangles (T, 3) uint16, vertices of the head model, seen anticlockwise from outside.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree

from hpe_core.mesh.head_model import EYE_LEFT, EYE_RIGHT, MOUTH, TEETH, HeadModel, shipped

FINE_M, COARSE_M = 0.0032, 0.0085  # spacing at brows, eyes, nose and lips, and far from them
NEAR_M, FAR_M = 0.008, 0.045  # from the landmarks there
EYES_M, MOUTH_M = 0.0035, 0.0055  # spacing of eyes, and of teeth, gums and tongue
FIRST_MOVING = 17  # landmark; those before it are the jaw


def spacing_m(model: HeadModel) -> np.ndarray:
    """Wished distance (V,) to the next vertex, metres."""
    moving = model.mean_m[model.landmark_vertices[FIRST_MOVING:]]
    apart, _ = KDTree(moving).query(model.mean_m)
    wished = np.interp(apart, [NEAR_M, FAR_M], [FINE_M, COARSE_M])
    wished = np.where(np.isin(model.part, (EYE_LEFT, EYE_RIGHT)), EYES_M, wished)
    return np.where(np.isin(model.part, (MOUTH, TEETH)), MOUTH_M, wished)


def edges_of(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges (E, 2) of triangles, each once, and of how many triangles (E,) each is one."""
    pairs = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    return np.unique(pairs, axis=0, return_counts=True)


def smaller(model: HeadModel) -> np.ndarray:
    """Triangles (T, 3) of the smaller surface."""
    edges, shared = edges_of(model.triangles)
    first, second = edges.T
    length = np.linalg.norm(model.mean_m[first] - model.mean_m[second], axis=1)
    count = len(model.mean_m)
    graph = csr_matrix((length, (first, second)), (count, count))
    border = np.zeros(count, bool)
    border[edges[shared == 1]] = True
    wished, free = spacing_m(model), np.ones(count, bool)
    is_landmark = np.isin(np.arange(count), model.landmark_vertices)
    order = np.lexsort([np.arange(count), ~border, ~is_landmark])
    taken = []
    for vertex in order:
        if free[vertex] or is_landmark[vertex]:
            taken.append(vertex)
            near = dijkstra(graph, directed=False, indices=vertex, limit=wished[vertex])
            free[np.isfinite(near)] = False
    _, _, cell = dijkstra(graph, directed=False, indices=taken, min_only=True, return_predecessors=True)
    corners = cell[model.triangles]
    kept = corners[
        (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
    ]
    first_corner = kept.argmin(1)
    turned = np.take_along_axis(kept, (first_corner[:, None] + np.arange(3)) % 3, 1)
    return np.unique(turned, axis=0)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    args = p.parse_args()
    triangles = smaller(shipped())
    np.savez_compressed(args.out, triangles=triangles.astype(np.uint16))
    print(f"{args.out}: {len(triangles)} triangles, {len(np.unique(triangles))} vertices")


if __name__ == "__main__":
    main()
