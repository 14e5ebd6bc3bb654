"""The mesh of a face: its identity and expression by the head model, laid where the pose says."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.geometry.lookat import lookat_rotation
from hpe_core.mesh.head_model import EYE_LEFT, EYE_RIGHT, HeadModel, shipped
from hpe_core.mesh.normals import VertexNormals
from hpe_core.types import Face, FaceShape, HeadPose

NEAREST_M = 0.01  # what is nearer than this to the camera's plane has no place in the image


@dataclass(frozen=True, eq=False)
class FaceMesh:
    """vertices_m: (V, 3) float32 in the camera optical frame (x right, y down, z forward), metres; model: the HeadModel
    whose triangles (T, 3), parts (V,) and landmark vertices (68,) they have.
    """

    vertices_m: np.ndarray
    model: HeadModel

    @property
    def triangles(self) -> np.ndarray:
        """(T, 3) vertices, seen anticlockwise from outside."""
        return self.model.triangles

    @functools.cached_property
    def normals(self) -> np.ndarray:
        """Unit normals (V, 3), outward, in the camera optical frame."""
        return normals_of(self.model)(self.vertices_m)

    def pixels(self, camera: CameraModel) -> np.ndarray:
        """Vertices (V, 2) in the image; (0, 0) is the centre of the top left pixel, NaN stands for what lies behind the
        camera or beyond its lens."""
        points = self.vertices_m.astype(float)
        seen = camera.in_range(points) & (points[:, 2] > NEAREST_M)
        pixels = np.full((len(points), 2), np.nan)
        pixels[seen] = camera.project(points[seen])
        return pixels


@functools.lru_cache(maxsize=2)
def normals_of(model: HeadModel) -> VertexNormals:
    """The VertexNormals of a model's triangles."""
    return VertexNormals(model.triangles)


def mesh_of(face: Face, model: HeadModel | None = None) -> FaceMesh | None:
    """The FaceMesh of a Face where the camera sees it, by the shipped HeadModel or another one; None for a face of a
    network that tells no shape."""
    if face.shape is None:
        return None
    model = model or shipped()
    ratio = 1.0 if face.scale is None else face.scale.ratio
    M = (ratio * face.pose.R_camera_head).astype(np.float32)
    return FaceMesh(head_vertices_m(face.shape, model) @ M.T + face.pose.t_camera_head_m.astype(np.float32), model)


def head_vertices_m(shape: FaceShape, model: HeadModel) -> np.ndarray:
    """F (V, 3) float32, metres, in the head frame, on a head of reference size, the eyes turned by the gaze."""
    vertices = model.vertices_m(shape.identity, shape.expression)
    if shape.gaze_rad is not None:
        for part, (yaw, pitch) in zip((EYE_LEFT, EYE_RIGHT), shape.gaze_rad.reshape(2, 2), strict=True):
            ball = model.part == part
            centre = (vertices[ball].max(0) + vertices[ball].min(0)) / 2.0
            turn = so3.matrix_from_rotvec(np.array([0.0, -yaw, 0.0])) @ so3.matrix_from_rotvec(np.array([-pitch, 0, 0]))
            vertices[ball] = centre + (vertices[ball] - centre) @ turn.T.astype(np.float32)
    return vertices


def local_landmarks_m(
    identity: np.ndarray, expression: np.ndarray, R_local: np.ndarray, range_m: np.ndarray, model: HeadModel
) -> np.ndarray:
    """The mesh's landmarks (N, 68, 3) as hpe_core.types.Landmarks has them (weak perspective), of identities (N, 40),
    expressions (N, 53), rotations (N, 3, 3) in the virtual camera and ranges (N,) m of the face centre.
    """
    points = (model.landmarks_m(identity, expression) - FACE_CENTRE_M) @ np.swapaxes(R_local, -1, -2)
    points[..., :2] /= (1.0 + points[..., 2] / range_m[:, None])[..., None]
    return points


def landmarks_at(pose: HeadPose, ratio: float, shape: FaceShape) -> np.ndarray:
    """`local_landmarks_m` (68, 3) of one head by the shipped HeadModel, at a published pose whose range is `ratio`
    times that of a head of reference size."""
    centre = pose.t_camera_head_m / ratio + pose.R_camera_head @ FACE_CENTRE_M
    range_m = np.linalg.norm(centre)
    R_local = lookat_rotation(centre / range_m) @ pose.R_camera_head
    return local_landmarks_m(
        shape.identity[None], shape.expression[None], R_local[None], np.array([range_m]), shipped()
    )[0]
