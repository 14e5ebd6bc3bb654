"""Poses as a CSV with one row per face."""

import csv
from pathlib import Path

import numpy as np

from hpe_core.io.frame import Frame
from hpe_core.io.text import csv_text, one_line
from hpe_core.types import FrameResult

CSV_COLUMNS = (
    *("source", "frame", "stamp_ns", "face_id", "score"),
    *("yaw_deg", "pitch_deg", "roll_deg"),
    *("qx", "qy", "qz", "qw", "tx_m", "ty_m", "tz_m"),
    *("x0", "y0", "x1", "y1"),
    *("rotation_std_deg", "depth_std_m"),
    "error",
)
_NO_FACE = [""] * (len(CSV_COLUMNS) - len(("source", "frame", "stamp_ns", "error")))


class PoseCsv:
    """poses.csv: yaw, pitch, roll as AFLW2000; quaternion and translation of the REP-155 face frame in the camera.

    A frame without a face is one row with an empty face_id; an image that could not be read too, with its `error`.
    """

    def __init__(self, path: Path):
        # by the line: whatever ends the process, every row that was written is in the file, and whole
        self._file = open(path, "w", buffering=1, newline="", encoding="utf-8")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(CSV_COLUMNS)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Rows of one Frame and its FrameResult."""
        start = _start(frame)
        if not result.faces:
            self._rows.writerow([*start, *_NO_FACE, ""])
        for face in result.faces:
            numbers = [
                _text(face.score, 4),
                *(_text(angle, 4) for angle in face.pose.euler_aflw2000.stacked()),
                *(_text(value, 7) for value in face.pose.quat_camera_face),
                *(_text(value, 5) for value in face.pose.t_camera_head_m),
                *(_text(value, 2) for value in face.box_px),
                _text(face.pose.rotation_std_deg, 3),
                _text(face.pose.depth_std_m, 5),
            ]
            self._rows.writerow([*start, face.face_id, *numbers, ""])

    def write_unreadable(self, frame: Frame) -> None:
        """The row of a Frame without an image."""
        self._rows.writerow([*_start(frame), *_NO_FACE, csv_text(one_line(frame.error))])

    def close(self) -> None:
        self._file.close()


def _start(frame: Frame) -> list[str | int]:
    return [csv_text(frame.source), frame.index, frame.stamp_ns]


def _text(value: float, digits: int) -> str:
    """A number with so many decimals; empty when it is not known."""
    return f"{value:.{digits}f}" if np.isfinite(value) else ""
