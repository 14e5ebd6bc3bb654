"""Poses as a CSV with one row per face."""

import csv
from collections.abc import Collection
from pathlib import Path

from hpe_core.geometry.camera import CameraModel
from hpe_core.io.frame import Frame
from hpe_core.io.text import csv_text, one_line
from hpe_core.output.tables.pose_columns import Value, decimals, face_columns, face_values
from hpe_core.types import FrameResult

FRAME_COLUMNS = ("source", "frame", "stamp_ns")
CSV_COLUMNS = (*FRAME_COLUMNS, *face_columns(), "error")


class PoseCsv:
    """poses.csv: the columns of a frame, of a face (hpe_core.output.tables.pose_columns) and `error`; unknown is empty.

    A frame without a face is one row with an empty face_id; an image that could not be read too, with its `error`.
    """

    def __init__(self, path: Path, extras: Collection[str] = ()):
        """extras: further columns, some of choices.EXTRAS."""
        # by the line: whatever ends the process, every row that was written is in the file, and whole
        self._file = open(path, "w", buffering=1, newline="", encoding="utf-8")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._extras, columns = extras, face_columns(extras)
        self._formats = [".9g" if digits is None else f".{digits}f" for digits in decimals(extras).values()]
        self._no_face = [""] * len(columns)
        self._rows.writerow([*FRAME_COLUMNS, *columns, "error"])

    def write(self, frame: Frame, result: FrameResult, camera: CameraModel) -> None:
        """Rows of one Frame, its FrameResult and CameraModel."""
        start = frame_values(frame)
        if not result.faces:
            self._rows.writerow([*start, *self._no_face, ""])
        for face in result.faces:
            face_id, *numbers = face_values(face, camera, self._extras)
            texts = [_text(number, form) for number, form in zip(numbers, self._formats, strict=True)]
            self._rows.writerow([*start, face_id, *texts, ""])

    def write_unreadable(self, frame: Frame) -> None:
        """The row of a Frame without an image."""
        self._rows.writerow([*frame_values(frame), *self._no_face, csv_text(one_line(frame.error))])

    def close(self) -> None:
        self._file.close()


def frame_values(frame: Frame) -> list[str | int]:
    """The values of FRAME_COLUMNS for a Frame."""
    return [csv_text(frame.source), frame.index, frame.stamp_ns]


def _text(value: Value, form: str) -> str:
    return "" if value is None else format(value, form)
