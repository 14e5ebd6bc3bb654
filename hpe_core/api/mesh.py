"""The mesh of one face as users see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.mesh.face_mesh import FaceMesh
from hpe_core.mesh.files import FORMATS
from hpe_core.safe_files import write_whole


class Mesh:
    """The mesh of one face: skin, eyes, gums, tongue and teeth. Vertex i is the same place of every face."""

    def __init__(self, mesh: FaceMesh, camera: CameraModel):
        self._mesh, self._camera = mesh, camera

    @property
    def vertices_m(self) -> np.ndarray:
        """Vertices (V, 3) float32 in the camera frame, metres: x right, y down, z forward."""
        return self._mesh.vertices_m.copy()

    @property
    def vertices_px(self) -> np.ndarray:
        """Vertices (V, 2) in the image, pixels; NaN where a vertex lies behind the camera."""
        return self._mesh.pixels(self._camera)

    @property
    def normals(self) -> np.ndarray:
        """Unit normals (V, 3) float32, outward, in the camera frame."""
        return self._mesh.normals.copy()

    @property
    def triangles(self) -> np.ndarray:
        """Triangles (T, 3): three vertices each, anticlockwise as seen from outside; the same for every face."""
        return self._mesh.triangles.copy()

    @property
    def landmark_vertices(self) -> np.ndarray:
        """The vertices (68,) that are the Multi-PIE landmarks."""
        return self._mesh.model.landmark_vertices.copy()

    def save(self, path: str | Path) -> Path:
        """Write a file of the kind that its suffix names, .obj or .glb, in place of one that is there; returns its
        path. Metres with y up, as viewers want it: the camera frame turned by half about x.

        Raises HpeError when the suffix is another one or the file cannot be written.
        """
        path = Path(path)
        encode = FORMATS.get(path.suffix.lower().removeprefix("."))
        if encode is None:
            raise HpeError(f"a mesh is saved as .{' or .'.join(FORMATS)}, got suffix '{path.suffix}'")
        try:
            write_whole(path, encode(self._mesh, "face"))
        except OSError as error:
            raise HpeError(f"{path} cannot be written: {error.strerror or error}") from error
        return path

    def __repr__(self) -> str:
        return f"<mesh: {len(self._mesh.vertices_m)} vertices, {len(self._mesh.triangles)} triangles>"
