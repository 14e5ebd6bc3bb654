"""The meshes of the faces of photos as files, one each."""

from pathlib import Path

from hpe_core.io.frame import Frame
from hpe_core.mesh.face_mesh import mesh_of
from hpe_core.mesh.files import FORMATS
from hpe_core.types import FrameResult


class MeshFiles:
    """meshes/<image>_1.obj and so on, below the image's whole name: its faces in the order of poses.csv, from 1."""

    def __init__(self, folder: Path, suffix: str):
        """suffix: of hpe_core.mesh.files.FORMATS."""
        self._folder, self._suffix, self._encode = folder, suffix, FORMATS[suffix]
        folder.mkdir()

    def write(self, frame: Frame, result: FrameResult) -> None:
        """The files of one Frame and its FrameResult."""
        for number, face in enumerate(result.faces, 1):
            mesh = mesh_of(face)
            if mesh is not None:
                path = self._folder / f"{frame.source}_{number}.{self._suffix}"
                path.write_bytes(self._encode(mesh, f"face_{number}"))

    def close(self) -> None:
        """Nothing is open."""
