"""Is a faster engine still the same network? Rows of both, on frames that lie here, compared as poses."""

from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.preprocess import letterbox

FRAMES = Path(__file__).parent / "parity_frames"
SCORE = 0.3  # rows from here on count
ROTATION_LIMIT_DEG = {"fp32": 0.1, "fp16": 0.1, "int8": 0.3}  # medians; fp32 runs as TF32 on a GPU
CENTRE_LIMIT_PX = {"fp32": 0.25, "fp16": 0.25, "int8": 1.0}
SCORE_LIMIT = {"fp32": 0.01, "fp16": 0.01, "int8": 0.05}


@dataclass(frozen=True)
class Parity:
    """Differences of the rows that the reference scores above SCORE; angles in degrees, lengths in input pixels."""

    rows: int
    rotation_deg_median: float
    rotation_deg_max: float
    centre_px_median: float
    score_median: float

    def as_dict(self):
        return asdict(self)


def frames(height, width):
    """The frames of the check as the network sees them: list of (1, height, width, 3) uint8 BGR."""
    paths = sorted(FRAMES.glob("*.jpg"))
    images = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in paths]
    if not images or any(image is None for image in images):
        raise HpeError(f"no frames for the parity check in {FRAMES}: the installation is incomplete")
    return [letterbox(image, width, height)[0][None] for image in images]


def compare(reference_rows, rows, columns):
    """Parity of rows (N, C) with reference rows (N, C); columns: dict name -> [start, end] as in the card's spec.

    Raises HpeError when there is nothing to compare, shapes differ or values are not finite.
    """
    reference_rows, rows = np.asarray(reference_rows, float), np.asarray(rows, float)
    if rows.shape != reference_rows.shape:
        raise HpeError(f"the engine gives rows of shape {rows.shape}, the reference {reference_rows.shape}")
    if not np.isfinite(rows).all():
        raise HpeError(f"the engine gives {np.count_nonzero(~np.isfinite(rows))} values that are not finite")
    score = slice(*columns["score"])
    keep = reference_rows[:, score][:, 0] > SCORE
    if not keep.any():
        raise HpeError(f"the reference finds no face (score > {SCORE}) in the frames of the parity check")
    a, b = reference_rows[keep], rows[keep]
    sixd, centre = slice(*columns["sixd"]), slice(*columns["centre_px"])
    angles = np.degrees(so3.geodesic_angle(so3.matrix_from_sixd(a[:, sixd]), so3.matrix_from_sixd(b[:, sixd])))
    return Parity(
        int(keep.sum()),
        float(np.median(angles)),
        float(angles.max()),
        float(np.median(np.linalg.norm(a[:, centre] - b[:, centre], axis=-1))),
        float(np.median(np.abs(a[:, score] - b[:, score]))),
    )


def measure(reference_run, run, input_shape, columns):
    """Parity of two backends' `run` on the frames of the check; input_shape (1, H, W, 3)."""
    inputs = frames(*input_shape[1:3])
    return compare(*(np.concatenate([one(image)[0] for image in inputs]) for one in (reference_run, run)), columns)


def refusal(parity, precision):
    """Why an engine of this precision may not be used, or None. parity: Parity.as_dict()."""
    limits = (
        ("rotation", "rotation_deg_median", ROTATION_LIMIT_DEG[precision], "deg"),
        ("face centre", "centre_px_median", CENTRE_LIMIT_PX[precision], "px"),
        ("score", "score_median", SCORE_LIMIT[precision], ""),
    )
    beyond = [
        f"{name} differs by {parity[field]:.3g} {unit}".rstrip() + f" in the median, allowed {limit:g}"
        for name, field, limit, unit in limits
        if not parity[field] <= limit
    ]
    return "; ".join(beyond) or None
