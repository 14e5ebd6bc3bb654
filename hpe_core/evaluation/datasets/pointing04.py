"""Pointing'04 (Gourier, Hall, Crowley, ICPR 2004 workshop): fifteen people in two series of 93 directions each.

As published: <folder>/Person01/person01146+0-15.jpg (person 01, series 1, number 46, tilt 0, pan -15), and beside it
person01146+0-15.txt with the face's centre, width and height in pixels. Repacked: <folder>/images/p01s1_+00-15.jpg and
<folder>/labels.csv with the columns file, cx, cy, w, h.

People faced markers and turned less than the marker's angle, so the labels are nominal: a Facing.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.images.dataset_kind import Dataset
from hpe_core.evaluation.images.sample import Facing, Sample
from hpe_core.geometry import euler

DATASET = Dataset(
    title="Pointing'04",
    marks=("images/p[0-9][0-9]s[0-9]_*.jpg", "Person[0-9][0-9]/person*.jpg"),
    special=True,
)

NAMES = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        r"p(?P<person>\d\d)s(?P<series>\d)_(?P<tilt>[+-]\d\d)(?P<pan>[+-]\d\d)\.jpg",
        r"person(?:ne)?(?P<person>\d\d)(?P<series>\d)\d\d(?P<tilt>[+-]\d{1,2})(?P<pan>[+-]\d{1,2})\.jpg",
    )
)
TILTS_DEG, PANS_DEG = (-90, -60, -30, -15, 0, 15, 30, 60, 90), tuple(range(-90, 91, 15))
BOX = ("cx", "cy", "w", "h")
LARGEST_PX = 1e5


def facing_of(name: str) -> tuple[Facing, str] | None:
    """Facing and series (`p01s1`) that a file name says, None where it is no name of this set.

    Raises HpeError for a direction that the set does not have.
    """
    for pattern in NAMES:
        if found := pattern.fullmatch(name):
            tilt, pan = int(found["tilt"]), int(found["pan"])
            if tilt not in TILTS_DEG or pan not in PANS_DEG:
                raise HpeError(f"{name}: Pointing'04 has tilts {TILTS_DEG} and pans {PANS_DEG}, got {tilt} and {pan}")
            person = str(int(found["person"]))
            return Facing(pan_deg=pan, tilt_deg=tilt, person=person), f"p{found['person']}s{found['series']}"
    return None


def samples(folder: str | Path) -> Iterator[Sample]:
    """Sample of every image by name. Raises HpeError when there is none, or one without a box."""
    folder = Path(folder)
    images = sorted(path for mark in DATASET.marks for path in folder.glob(mark))
    table = folder / "labels.csv"
    boxes = _boxes_of(table) if table.is_file() else None
    number = 0
    for path in images:
        label = facing_of(path.name)
        if label is None:
            continue
        facing, series = label
        R = euler.pan_tilt.to_matrix(euler.EulerDeg(yaw=facing.pan_deg, pitch=facing.tilt_deg, roll=0.0))
        yield Sample(
            name=path.name,
            path=path,
            sequence=series,
            stamp_ns=number,
            R=R,
            local=False,
            box_px=_box_beside(path) if boxes is None else _box_in(boxes, path.name, table),
            of_landmarks=False,
            facing=facing,
        )
        number += 1
    if not number:
        raise HpeError(f"{folder} holds no image of Pointing'04, such as Person01/person01146+0-15.jpg")


def _boxes_of(table: Path) -> Mapping[str, Mapping[str, str]]:
    """Rows of labels.csv by file name."""
    try:
        with open(table, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise HpeError(f"{table} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    missing = [name for name in ("file", *BOX) if not rows or name not in rows[0]]
    if missing:
        raise HpeError(f"{table} has no column {', '.join(missing)}")
    return {row["file"]: row for row in rows}


def _box_in(boxes: Mapping[str, Mapping[str, str]], name: str, table: Path) -> np.ndarray:
    if name not in boxes:
        raise HpeError(f"{table} has no row for {name}")
    return _box([boxes[name][column] for column in BOX], f"{table}, {name}")


def _box_beside(image: Path) -> np.ndarray:
    """The four numbers of the text file beside an image: centre, width and height of the face."""
    path = image.with_suffix(".txt")
    try:
        words = path.read_text("utf-8").split()
    except (OSError, ValueError) as error:
        raise HpeError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return _box([word for word in words if re.fullmatch(r"-?[0-9.]+", word)], str(path))


def _box(words: list[str], where: str) -> np.ndarray:
    """Box (4,) x0, y0, x1, y1 of the texts of centre, width and height."""
    try:
        cx, cy, w, h = (float(word) for word in words)
    except (TypeError, ValueError):
        raise HpeError(f"{where}: a face must have {', '.join(BOX)}, got {words}") from None
    if not all(abs(v) < LARGEST_PX for v in (cx, cy, w, h)) or min(w, h) <= 0:
        raise HpeError(f"{where}: a face must have numbers and a size above 0, got {words}")
    return np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
