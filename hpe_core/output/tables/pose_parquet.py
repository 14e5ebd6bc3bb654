"""Poses as a Parquet file: the rows of poses.csv as numbers, to their last digit."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from hpe_core.errors import HpeError, printable
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.frame import Frame
from hpe_core.io.text import one_line
from hpe_core.output.tables.pose_columns import Value, decimals, face_columns, face_values
from hpe_core.types import FrameResult

ROWS = 10_000  # that wait in memory


class PoseParquet:
    """poses.parquet: columns and rows of PoseCsv; what is empty there is null. It can be read once it is closed.

    Raises HpeError without the package pyarrow.
    """

    def __init__(self, path: Path, extras: Collection[str] = ()):
        """extras: further columns, some of choices.EXTRAS."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise HpeError(
                "--format parquet needs the package 'pyarrow' (pip install 'hpe_ros[parquet]'); --format csv does not"
            ) from error
        self._arrow: Any = pyarrow
        self._extras = extras
        self._no_face: list[Value] = [None] * len(face_columns(extras))
        fields = [("source", pyarrow.string()), ("frame", pyarrow.int64()), ("stamp_ns", pyarrow.int64())]
        fields += [("face_id", pyarrow.string()), *((name, pyarrow.float64()) for name in decimals(extras))]
        self._schema = pyarrow.schema([*fields, ("error", pyarrow.string())])
        self._rows: list[list[Any]] = []
        self._writer: Any = pyarrow.parquet.ParquetWriter(path, self._schema)

    def write(self, frame: Frame, result: FrameResult, camera: CameraModel) -> None:
        """Rows of one Frame, its FrameResult and CameraModel."""
        for values in [face_values(face, camera, self._extras) for face in result.faces] or [self._no_face]:
            self._add(frame, values, None)

    def write_unreadable(self, frame: Frame) -> None:
        """The row of a Frame without an image."""
        self._add(frame, self._no_face, one_line(frame.error))

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _add(self, frame: Frame, values: list[Value], error: str | None) -> None:
        self._rows.append([printable(frame.source), frame.index, frame.stamp_ns, *values, error])
        if len(self._rows) >= ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = [list(column) for column in zip(*self._rows, strict=True)]
            self._writer.write_table(self._arrow.table(columns, schema=self._schema))
            self._rows = []
