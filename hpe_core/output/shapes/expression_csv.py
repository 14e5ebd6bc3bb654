"""Expressions over time as a CSV."""

import csv
from pathlib import Path

from hpe_core.io.frame import Frame
from hpe_core.mesh.head_model import shipped
from hpe_core.output.pose_csv import FRAME_COLUMNS, frame_values
from hpe_core.types import FrameResult


class ExpressionCsv:
    """expressions.csv: frame and face_id as in poses.csv, then the weights of the facial movements, 0 to 1, under their
    names (ICT-FaceKit's). A frame without a face has no row."""

    def __init__(self, path: Path):
        # by the line: whatever ends the process, every row that was written is in the file, and whole
        self._file = open(path, "w", buffering=1, newline="", encoding="utf-8")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow([*FRAME_COLUMNS, "face_id", *shipped().expression_names])

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Rows of one Frame and its FrameResult."""
        for face in result.faces:
            if face.shape is not None:
                weights = [f"{weight:.4f}" for weight in face.shape.expression.tolist()]
                self._rows.writerow([*frame_values(frame), face.face_id or "", *weights])

    def close(self) -> None:
        self._file.close()
