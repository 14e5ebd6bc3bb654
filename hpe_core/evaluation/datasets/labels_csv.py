"""Photographs with one labelled face each: <folder>/labels.csv, images beside it or in any folder below.

Columns: file; yaw_deg, pitch_deg, roll_deg (AFLW2000 convention, as a face crop shows the head); lm_x0, lm_y0, lm_x1,
lm_y1, the box around its 68 landmarks in pixels. Further columns are ignored.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.images.dataset_kind import Dataset
from hpe_core.evaluation.images.sample import Sample
from hpe_core.geometry import euler

DATASET = Dataset(title="labels.csv", marks=("labels.csv",), ours=True)

LABELS = "labels.csv"
ANGLES = ("yaw_deg", "pitch_deg", "roll_deg")
BOX = ("lm_x0", "lm_y0", "lm_x1", "lm_y1")
LARGEST = 1e5


def samples(folder: str | Path) -> Iterator[Sample]:
    """Sample of every row, in their order. Raises HpeError when the file is no such table or an image is missing."""
    path = Path(folder) / LABELS
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise HpeError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not rows:
        raise HpeError(f"{path} has no rows")
    missing = [name for name in ("file", *ANGLES, *BOX) if name not in rows[0]]
    if missing:
        raise HpeError(f"{path} has no column {', '.join(missing)}")
    images = {image.name: image for image in sorted(Path(folder).rglob("*")) if image.is_file()}
    seen = set()
    for number, row in enumerate(rows, 2):
        name = row["file"]
        if name in seen:
            raise HpeError(f"{path} line {number}: {name} is labelled twice")
        if name not in images:
            raise HpeError(f"{path} line {number}: no image {name} in {folder}")
        seen.add(name)
        yaw, pitch, roll = np.array(_numbers(row, ANGLES, path, number))
        box = np.array(_numbers(row, BOX, path, number))
        if not np.all(box[:2] < box[2:]):
            raise HpeError(f"{path} line {number}: the box must have x0 < x1 and y0 < y1, got {box.tolist()}")
        R = euler.aflw2000.to_matrix(euler.EulerDeg(yaw=yaw, pitch=pitch, roll=roll))
        yield Sample(name=name, path=images[name], sequence="", stamp_ns=number - 2, R=R, local=True, box_px=box)


def _numbers(row: dict[str, str], columns: tuple[str, ...], path: Path, line: int) -> list[float]:
    out = []
    for column in columns:
        try:
            value = float(row[column])
        except (TypeError, ValueError):
            value = np.nan
        if not abs(value) < LARGEST:
            raise HpeError(f"{path} line {line}: {column} must be a number, got {row[column]!r}")
        out.append(value)
    return out
