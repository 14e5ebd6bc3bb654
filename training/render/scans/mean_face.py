"""Points of the mean face that scans are fitted to: writes mean_face.json.

    python -m training.render.scans.mean_face [--data ../shared/data]

ICT-FaceKit's neutral face (MIT), the sellion at its origin: first the points between brows and upper lip that a depth
camera fits too (hpe_core.geometry.face_surface), then others from the forehead to the jaw, without eyes and lips.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from hpe_core.geometry.face_surface import FACE_NORMALS, FACE_SURFACE_M
from training.render import assets
from training.render.heads.face_surface import EYE_RADIUS_M, spread_evenly
from training.render.heads.ict import FACE_VERTICES, LANDMARKS, IctModel
from training.render.scans.frame import INNER, MEAN_FACE

COUNT = 320  # more than INNER
LOW_M, HIGH_M = np.array([-0.08, -0.07, -0.03]), np.array([0.08, 0.125, 0.095])
MOUTH_RADIUS_M = 0.03


def wide_face(model: IctModel) -> tuple[np.ndarray, np.ndarray]:
    """Points (COUNT, 3) m and unit normals out of the face (COUNT, 3), head frame."""
    vertices = model.neutral.astype(float)
    normals = model.surfaces["skin"].normals(vertices)[:FACE_VERTICES]
    landmarks, points = vertices[LANDMARKS], vertices[:FACE_VERTICES]
    holes = ((landmarks[36:42], EYE_RADIUS_M), (landmarks[42:48], EYE_RADIUS_M), (landmarks[48:], MOUTH_RADIUS_M))
    seen = np.all((points > LOW_M) & (points < HIGH_M), axis=1) & (np.linalg.norm(normals, axis=1) > 0.5)
    for around, radius in holes:
        seen &= np.linalg.norm(points[:, :2] - around.mean(0)[:2], axis=1) > radius
    seen &= np.sum(normals * (points - [0.0, 0.02, 0.08]), axis=1) > 0  # no inner side of the nose or the lips
    rows = np.flatnonzero(seen)
    rows = rows[spread_evenly(points[rows], COUNT)]
    return points[rows], normals[rows]


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the points of the mean face that scans are fitted to.")
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    points, normals = wide_face(IctModel(parser.parse_args().data))
    inner = np.concatenate([FACE_SURFACE_M * 1e3, FACE_NORMALS * 100], axis=1)[:INNER]
    rows = np.concatenate([inner, np.concatenate([points * 1e3, normals * 100], axis=1)])
    text = ",\n".join(json.dumps([round(float(value), 1) for value in row]) for row in rows)
    MEAN_FACE.write_text(f'{{"points_mm_normals": [\n{text}\n]}}\n')
    print(MEAN_FACE)


if __name__ == "__main__":
    main()
