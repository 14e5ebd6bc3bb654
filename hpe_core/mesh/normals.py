"""Normals of a mesh whose triangles stay the same while its vertices move."""

from __future__ import annotations

import numpy as np


class VertexNormals:
    """Unit normals of vertices by the triangles (T, 3) around them, which weigh by their areas."""

    def __init__(self, triangles: np.ndarray):
        corners = triangles.ravel()
        order = np.argsort(corners, kind="stable")
        self._triangles, self._around = triangles, order // 3  # triangles around one vertex after another
        self._used, self._starts = np.unique(corners[order], return_index=True)

    def __call__(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) of vertices (V, 3) in any unit, on the side from which the triangles are seen anticlockwise; float32,
        zero for a vertex without a triangle of any area.
        """
        first, second, third = (np.take(vertices, self._triangles[:, i], 0) for i in range(3))
        a, b = (second - first).T, (third - first).T
        across = np.empty((3, len(first)), np.float32)
        for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
            across[i] = a[j] * b[k] - a[k] * b[j]
        sums = np.add.reduceat(np.take(across, self._around, 1), self._starts, 1)
        length = np.sqrt(np.sum(sums * sums, 0))
        normals = np.zeros((len(vertices), 3), np.float32)
        normals[self._used] = (sums / np.where(length > 0.0, length, 1.0)).T
        return normals
