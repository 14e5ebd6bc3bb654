"""Poses from CSV: the columns of `hpe run` (poses.csv), or a stamp with a quaternion or Euler angles."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.streams.series import PoseSeries, SeriesBuilder
from hpe_core.geometry import euler, frames, so3
from hpe_core.io.files import check_regular
from hpe_core.io.text import csv_value

QUATERNION, POSITION = ("qx", "qy", "qz", "qw"), ("tx_m", "ty_m", "tz_m")
EULER = ("yaw_deg", "pitch_deg", "roll_deg")
STAMPS = {"stamp_ns": 1, "stamp_s": 1_000_000_000, "timestamp": 1_000_000_000}


def read_pose_csv(path: str | Path, frame: str = "face") -> PoseSeries:
    """PoseSeries of a CSV file with a header line.

    A stamp column (stamp_ns, or stamp_s or timestamp in seconds), qx qy qz qw of `frame` (or yaw_deg pitch_deg
    roll_deg, AFLW2000), tx_m ty_m tz_m, and if wanted face_id; a row with an empty face_id or pose is a frame without
    a face. Raises HpeError when columns are missing or a number is none.
    """
    check_regular(path)
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HpeError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    columns = set(rows[0]) - {None} if rows else set()
    if not rows:
        raise HpeError(f"{path} has no rows")
    stamp = next((name for name in STAMPS if name in columns), None)
    rotation = next((group for group in (QUATERNION, EULER) if columns.issuperset(group)), None)
    if stamp is None or rotation is None or not columns.issuperset(POSITION):
        raise HpeError(
            f"{path} needs the columns stamp_ns (or {', '.join(list(STAMPS)[1:])}), {' '.join(QUATERNION)} "
            f"(or {' '.join(EULER)}), {' '.join(POSITION)}; it has: {', '.join(sorted(map(str, columns)))}"
        )
    builder = SeriesBuilder("face_id" in columns)
    for number, row in enumerate(rows, 2):
        _add(builder, row, stamp, rotation, frame, f"{path}, line {number}")
    return builder.build(frame)


def _add(
    builder: SeriesBuilder, row: dict[str, str], stamp: str, rotation: tuple[str, ...], frame: str, where: str
) -> None:
    try:
        stamp_ns = _stamp_ns(row[stamp], STAMPS[stamp])
        builder.message(stamp_ns, -1)
        if not row[rotation[0]] or row.get("face_id") == "":
            return
        numbers = [float(row[name]) for name in rotation]
        position = [float(row[name]) for name in POSITION]
    except (TypeError, ValueError, OverflowError) as error:
        raise HpeError(f"{where}: {error}") from error
    if rotation is EULER:
        R = euler.aflw2000.to_matrix(euler.EulerDeg(*np.array(numbers)))
        to_frame = {"face": frames.R_head_face, "head": np.eye(3), "gaze": frames.R_head_gaze}[frame]
        numbers = so3.quat_from_matrix(R @ to_frame) if np.all(np.isfinite(R)) else [np.nan] * 4
    builder.pose(stamp_ns, -1, numbers, position, csv_value(row.get("face_id") or ""))


def _stamp_ns(text: str, unit_ns: int) -> int:
    if unit_ns == 1:
        return int(text)
    seconds, _, digits = text.strip().partition(".")
    if digits.isdecimal() and seconds.lstrip("-").isdecimal():  # a float has no nanoseconds left at today's times
        sign = -1 if seconds.startswith("-") else 1
        return int(seconds) * unit_ns + sign * int(digits[:9].ljust(9, "0"))
    return round(float(text) * unit_ns)
