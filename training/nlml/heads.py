"""Exact landmarks of random people: ICT-FaceKit heads seen by perspective cameras, and a simple landmark detector."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.geometry.landmarks68 import REFERENCE_LANDMARKS_M

DATA = Path(__file__).parents[3] / "shared" / "data"
LANDMARK_VERTICES = np.array(
    [1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443]  # jaw
    + [268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509]  # brows
    + [978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360]  # nose
    + [1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732]  # eyes
    + [5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841]  # outer lips
    + [5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966]  # inner lips
)
STABLE = np.arange(17, 48)  # brows, nose and eyes tie a head to the canonical frame: mouth and jaw move
SIZE_SPREAD = 0.04
# expressions that move landmarks; the rest are small or duplicates on the other side
EXPRESSIONS = (
    ("jawOpen", 1.0),
    ("mouthSmile_L mouthSmile_R", 1.0),
    ("mouthFunnel", 0.8),
    ("mouthPucker", 0.8),
    ("mouthFrown_L mouthFrown_R", 0.8),
    ("browInnerUp_L browInnerUp_R browOuterUp_L browOuterUp_R", 1.0),
    ("browDown_L browDown_R", 1.0),
    ("eyeBlink_L eyeBlink_R", 1.0),
    ("jawLeft", 0.5),
    ("jawRight", 0.5),
)


class IctHeads:
    """Random heads as 68 landmarks with normals, in the head frame (metres, origin sellion)."""

    def __init__(self, data=DATA):
        path = Path(data) / "heads" / "ict_facekit" / "ict_facekit_2020.npz"
        if not path.is_file():
            raise HpeError(f"the heads {path} are missing; --data names the folder that holds heads/ict_facekit")
        with np.load(path) as file:
            neutral = file["neutral"].astype(float)
            self._mean = neutral[LANDMARK_VERTICES]
            self._identity = file["identity_delta"][:, LANDMARK_VERTICES].astype(float)
            self._expression = file["expression_delta"][:, LANDMARK_VERTICES].astype(float)
            names = [str(name) for name in file["expression_names"]]
            normals = vertex_normals(neutral, file["faces_quad"])[LANDMARK_VERTICES]
        self._index = {name: i for i, name in enumerate(names)}
        scale, R = self._onto_reference(self._mean)
        self.normals = normals @ R.T
        mean = (self._mean - self._mean[27]) @ (scale * R).T
        self._to_photographs = REFERENCE_LANDMARKS_M - REFERENCE_LANDMARKS_M[27] - mean

    def sample(self, rng, expressive=0.6):
        """Landmarks (68, 3) in metres of a random adult; a share `expressive` of them is not neutral.

        The sellion of the person lies at the origin, brows, nose and eyes in the orientation of the reference face. How
        people differ is ICT-FaceKit's, their mean that of photographs: landmark networks are taught those.
        """
        identity = np.tensordot(rng.normal(size=len(self._identity)), self._identity, 1) + self._mean
        scale, R = self._onto_reference(identity)
        shape = identity.copy()
        if rng.random() < expressive:
            for units, most in EXPRESSIONS:
                amount = rng.uniform(0.0, most) if rng.random() < 0.3 else 0.0
                for unit in units.split():
                    shape += amount * self._expression[self._index[unit]]
        size = np.exp(rng.normal(0.0, SIZE_SPREAD))
        return size * ((shape - identity[27]) @ (scale * R).T + self._to_photographs)

    def _onto_reference(self, shape):
        """Scale and rotation that lay the stable landmarks of a shape (68, 3) on those of the reference face."""
        a = shape[STABLE] - shape[STABLE].mean(0)
        b = REFERENCE_LANDMARKS_M[STABLE] - REFERENCE_LANDMARKS_M[STABLE].mean(0)
        R = so3.project_to_rotation(b.T @ a)
        return np.sum(b * (a @ R.T)) / np.sum(a * a), R


def vertex_normals(vertices, faces):
    """Unit normals (V, 3), outwards, of vertices (V, 3) of counter-clockwise quads (F, 4; -1 ends a triangle)."""
    normal = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    total = np.zeros_like(vertices)
    for column in range(4):
        here = faces[:, column] >= 0
        np.add.at(total, faces[here, column], normal[here])
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def seen(points_m, R, distance_m):
    """Landmarks (..., M, 3) as the contract has them: virtual camera, metres, origin the face centre, perspective.

    points_m: (..., M, 3) head frame; R: (..., 3, 3); distance_m: (...,) of the face centre, inf for none of the
    perspective. x and y are pixels relative to the projected face centre in units in which size_px stands for 0.2 m.
    """
    local = (points_m - FACE_CENTRE_M) @ np.swapaxes(R, -1, -2)
    local[..., :2] /= 1.0 + local[..., 2:] / np.asarray(distance_m, float)[..., None, None]
    return local


def facing(normals, R, points_local_m, distance_m):
    """Visibility (..., M) 0..1 from the surface's slope: 1 turned to the camera, 0 turned away, soft at the rim.

    What lies behind the nose is not noticed; the crop network's own visibilities know it.
    """
    to_camera = -np.array([0.0, 0.0, 1.0]) - points_local_m / np.asarray(distance_m, float)[..., None, None]
    to_camera = to_camera / np.linalg.norm(to_camera, axis=-1, keepdims=True)
    cosine = np.sum((normals @ np.swapaxes(R, -1, -2)) * to_camera, -1)
    return np.clip(0.5 + cosine / 0.3, 0.0, 1.0)


@dataclass(frozen=True)
class DetectorNoise:
    """Stands in for a landmark network: independent errors, larger along the depth and where a landmark is hidden."""

    std_m: tuple = (0.0020, 0.0020, 0.0035)
    hidden: float = 2.0

    def add(self, rng, points, visible):
        """Points (..., M, 3) with errors."""
        factor = 1.0 + (self.hidden - 1.0) * (1.0 - visible)
        return points + rng.normal(size=points.shape) * self.std_m * factor[..., None]
