"""The output folder of one run: poses.csv or .parquet, poses/, overlay.mp4 or overlay/, summary.json; of dense faces
expressions.csv and meshes/."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from hpe_core.geometry.camera import CameraModel
from hpe_core.io.frame import Frame
from hpe_core.io.json_file import json_values, write_json
from hpe_core.io.out_folder import not_writable
from hpe_core.output.overlay_files import OverlayImages, OverlayVideo
from hpe_core.output.pose_bag import PoseBag
from hpe_core.output.pose_csv import PoseCsv
from hpe_core.output.pose_parquet import PoseParquet
from hpe_core.output.shapes.expression_csv import ExpressionCsv
from hpe_core.output.shapes.mesh_files import MeshFiles
from hpe_core.types import FrameResult

NAMES = ("poses.csv", "poses.parquet", "poses", "overlay.mp4", "overlay", "summary.json")
NAMES += ("expressions.csv", "meshes")  # of dense faces


class Writer(Protocol):
    """An open file of a run."""

    def close(self) -> None:
        """Make it complete."""


TABLES = {"csv": PoseCsv, "parquet": PoseParquet}  # --format -> what writes it
_WriterT = TypeVar("_WriterT", bound=Writer)


class Outputs:
    """All files of one run; `close` makes every one of them complete and readable, also after an interruption."""

    def __init__(
        self,
        folder: Path,
        images: bool,
        overlay: bool,
        bag_image: bool = False,
        table: str = "csv",
        extras: Collection[str] = (),
        shapes: bool = False,
        meshes: str | None = None,
    ):
        """folder: an empty one; images: the source is images, so the overlay is too; overlay: whether there is one;
        bag_image: whether poses/ holds the images too; table: of TABLES; extras: its further columns; shapes: whether
        the model tells expressions; meshes: of hpe_core.mesh.files.FORMATS, what kind of files, None for none."""
        self.folder = folder
        self._writers: list[Writer] = []
        try:
            self._overlay: OverlayImages | OverlayVideo | None = None  # first, because it may lack its library
            if overlay and images:
                self._overlay = self._opened(OverlayImages(self.folder / "overlay"))
            elif overlay:
                self._overlay = self._opened(OverlayVideo(self.folder / "overlay.mp4"))
            self._table = self._opened(TABLES[table](self.folder / f"poses.{table}", extras))
            self._bag = self._opened(PoseBag(self.folder / "poses", bag_image, shapes))
            self._of_shapes: list[ExpressionCsv | MeshFiles] = []
            if shapes:
                self._of_shapes.append(self._opened(ExpressionCsv(self.folder / "expressions.csv")))
            if meshes is not None:
                self._of_shapes.append(self._opened(MeshFiles(self.folder / "meshes", meshes)))
        except OSError as error:
            self.close()
            raise not_writable(folder, error) from error
        except BaseException:
            self.close()
            raise

    def _opened(self, writer: _WriterT) -> _WriterT:
        self._writers.append(writer)
        return writer

    def write(self, frame: Frame, result: FrameResult, camera: CameraModel) -> None:
        """Poses of one Frame, its FrameResult and CameraModel."""
        self._table.write(frame, result, camera)
        self._bag.write(frame, result, camera)
        for writer in self._of_shapes:
            writer.write(frame, result)

    def write_unreadable(self, frame: Frame) -> None:
        """The row of a Frame without an image."""
        self._table.write_unreadable(frame)

    def write_picture(self, picture_bgr: np.ndarray, frame: Frame) -> None:
        """The drawn image (H, W, 3) uint8 of one Frame."""
        if self._overlay is not None:
            self._overlay.write(picture_bgr, frame)

    def write_summary(self, values: dict[str, Any]) -> None:
        """summary.json from a dict."""
        write_json(self.folder / "summary.json", json_values(values))

    def close(self) -> None:
        """Finish all files but the summary; the first failure is raised after all have been tried."""
        failure = None
        while self._writers:
            try:
                self._writers.pop().close()
            except Exception as error:
                failure = failure or error
        if failure:
            raise failure
