"""Points of the mean face that a depth camera sees: writes hpe_core/geometry/face_surface.py.

python -m training.render.heads.face_surface [--data ../shared/data]

The face is ICT-FaceKit's neutral one (MIT), its sellion at the origin. Taken are vertices spread evenly between brows
and upper lip, as far back as the cheekbones: jaw and lips move with the mouth, and hair hides what lies behind.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import hpe_core
from training.render import assets
from training.render.heads.ict import FACE_VERTICES, LANDMARKS, IctModel

COUNT = 160
LOW_M, HIGH_M = np.array([-0.068, -0.038, -0.03]), np.array([0.068, 0.058, 0.075])
EYE_RADIUS_M = 0.013  # eyeballs are wet and lids move: stereo sees little there
OUT = Path(hpe_core.__file__).parent / "geometry" / "face_surface.py"
HEAD = '''"""Points of the mean face with their normals, where a depth camera sees skin: written by
training.render.heads.face_surface from ICT-FaceKit's neutral face (MIT).

Head frame (origin sellion, x left, y down, z back), on a head of reference size.
"""

import numpy as np

# (N, 6) x, y, z in millimetres, then 100 times the unit normal out of the face
_POINTS = np.array(
    [
'''
TAIL = """    ]
)
FACE_SURFACE_M = _POINTS[:, :3] / 1e3  # (N, 3)
FACE_NORMALS = _POINTS[:, 3:] / np.linalg.norm(_POINTS[:, 3:], axis=1, keepdims=True)  # (N, 3)
"""


def spread_evenly(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` points (N, 3), each the farthest from those before it; the first is nearest to the middle."""
    chosen = [int(np.argmin(np.linalg.norm(points - points.mean(0), axis=1)))]
    distance = np.full(len(points), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
        chosen.append(int(np.argmax(distance)))
    return np.array(chosen)


def face_surface(model: IctModel) -> tuple[np.ndarray, np.ndarray]:
    """Points (COUNT, 3) m and unit normals out of the face (COUNT, 3), head frame."""
    vertices = model.neutral.astype(float)
    normals = model.surfaces["skin"].normals(vertices)[:FACE_VERTICES]
    landmarks = vertices[LANDMARKS]
    points = vertices[:FACE_VERTICES]
    eyes = np.array([landmarks[36:42].mean(0), landmarks[42:48].mean(0)])
    seen = np.all((points > LOW_M) & (points < HIGH_M), axis=1) & (np.linalg.norm(normals, axis=1) > 0.5)
    seen &= np.linalg.norm(points[:, None, :2] - eyes[:, :2], axis=2).min(1) > EYE_RADIUS_M
    outward = np.sum(normals * (points - [0.0, 0.02, 0.08]), axis=1) > 0  # no inner side of the nose or the lips
    rows = np.flatnonzero(seen & outward)
    rows = rows[spread_evenly(points[rows], COUNT)]
    return points[rows], normals[rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=assets.DEFAULT_DATA)
    points, normals = face_surface(IctModel(parser.parse_args().data))
    order = np.lexsort((points[:, 0], points[:, 1].round(3)))
    rows = np.concatenate([points * 1e3, normals * 100], axis=1)[order]
    lines = "".join("        [" + ", ".join(f"{value:.1f}" for value in row) + "],\n" for row in rows)
    OUT.write_text(HEAD + lines.replace("-0.0,", "0.0,") + TAIL)
    print(OUT)


if __name__ == "__main__":
    main()
