"""Is a faster engine still the same network? Rows of both, on frames that lie here, compared as poses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hpe_core.backends.tensorrt.sampler import Sampler
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.network_card import WHOLE_IMAGE, NetworkCard
from hpe_core.pixels.canvas import GRID, letterbox, letterbox_nodes

Run = Callable[[np.ndarray], np.ndarray]
RunSampler = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # image, nodes, spread -> canvases
FRAMES = Path(__file__).parent / "parity_frames"
SCORE = 0.3  # rows from here on count
CROP_GROUPS = (1, 3, 12)  # crops per call: another number may be another kernel
ROTATION_LIMIT_DEG = {"fp32": 0.1, "fp16": 0.1, "int8": 0.3}  # medians; fp32 runs as TF32 on a GPU
CENTRE_LIMIT_PX = {"fp32": 0.25, "fp16": 0.25, "int8": 1.0}
SCORE_LIMIT = {"fp32": 0.01, "fp16": 0.01, "int8": 0.05}
LANDMARK_LIMIT_MM = {"fp32": 0.5, "fp16": 0.5, "int8": 2.0}  # about a quarter and a whole pixel of a crop
GREY_LIMIT = 0.5  # mean difference of any canvas of a sampler
SAMPLED_SIZES = ((320, 240), (640, 480), (1280, 720), (1920, 1200), (641, 477), (90, 160), (480, 640), (800, 600))
SAMPLED_GROUPS = (1, 3, 8)  # canvases per call, of those that the sampler takes


@dataclass(frozen=True)
class Parity:
    """Differences of rows; angles in degrees, centres in input pixels. None: the network has no such output.

    Of a network that scores its rows, those count that the reference scores above SCORE.
    """

    rows: int
    rotation_deg_median: float
    rotation_deg_max: float
    centre_px_median: float | None = None
    score_median: float | None = None
    landmark_mm_median: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        return asdict(self)


def frames(height: int, width: int) -> list[np.ndarray]:
    """The whole images of the check as the network sees them: (1, height, width, 3) uint8 BGR each."""
    return [letterbox(image, width, height)[0][None] for image in _images("[0-9]*.jpg")]


def crops(height: int, width: int) -> np.ndarray:
    """The face crops of the check: (16, height, width, 3) uint8 BGR."""
    return np.stack([cv2.resize(image, (width, height)) for image in _images("crop_*.jpg")])


def inputs(card: NetworkCard) -> list[np.ndarray]:
    """What a network is asked in the check: (B, H, W, 3) uint8 each, whole images or groups of face crops."""
    _, height, width, _ = card.input_shape
    if card.kind == WHOLE_IMAGE:
        return frames(height, width)
    return np.split(crops(height, width), np.cumsum(CROP_GROUPS)[:-1])


def _images(pattern: str) -> list[np.ndarray]:
    paths = sorted(FRAMES.glob(pattern))
    decoded = [cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) for path in paths]
    images = [image for image in decoded if image is not None]
    if not images or len(images) < len(paths):
        raise HpeError(f"no frames for the parity check in {FRAMES}: the installation is incomplete")
    return images


def compare(reference_rows: np.ndarray, rows: np.ndarray, columns: Mapping[str, Sequence[int]]) -> Parity:
    """Parity of rows (N, C) with reference rows (N, C); columns: name -> (start, end) of a row.

    Raises HpeError when there is nothing to compare, shapes differ or values are not finite.
    """
    reference_rows, rows = np.asarray(reference_rows, float), np.asarray(rows, float)
    if rows.shape != reference_rows.shape:
        raise HpeError(f"the engine gives rows of shape {rows.shape}, the reference {reference_rows.shape}")
    if not np.isfinite(rows).all():
        raise HpeError(f"the engine gives {np.count_nonzero(~np.isfinite(rows))} values that are not finite")
    if "score" in columns:
        keep = reference_rows[:, columns["score"][0]] > SCORE
        if not keep.any():
            raise HpeError(f"the reference finds no face (score > {SCORE}) in the frames of the parity check")
        reference_rows, rows = reference_rows[keep], rows[keep]

    def median_distance(name, dimensions, factor=1.0):
        if name not in columns:
            return None
        a, b = (one[:, slice(*columns[name])].reshape(-1, dimensions) for one in (reference_rows, rows))
        return factor * float(np.median(np.linalg.norm(a - b, axis=-1)))

    R_reference, R = (so3.matrix_from_sixd(one[:, slice(*columns["sixd"])]) for one in (reference_rows, rows))
    angles = np.degrees(so3.geodesic_angle(R_reference, R))
    return Parity(
        len(rows),
        float(np.median(angles)),
        float(angles.max()),
        median_distance("centre_px", 2),
        median_distance("score", 1),
        median_distance("landmarks_m", 3, 1e3),
    )


def measure(reference_run: Run, run: Run, card: NetworkCard) -> Parity:
    """Parity of two backends' `run`, both of the network of a card, on the frames of the check."""
    asked = inputs(card)
    reference_rows, rows = (
        np.concatenate([one(images).reshape(-1, card.row) for images in asked]) for one in (reference_run, run)
    )
    return compare(reference_rows, rows, card.columns)


def sampler_questions(sampler: Sampler) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What a Sampler is asked in the check: image (H, W, 3) uint8, nodes (N, GRID, GRID, 2), spread (N,).

    Letterboxes of images of many sizes, or squares in them: turned, small and large, and beyond the border. All have
    spread 0 if the Sampler has only one sample.
    """
    rng, questions = np.random.default_rng(0), []
    for i, (image, size) in enumerate(zip(_images("[0-9]*.jpg"), SAMPLED_SIZES, strict=True)):
        image = cv2.resize(image, size)
        if sampler.rule == "black":
            nodes, spread, _ = letterbox_nodes(*size, sampler.width, sampler.height)
            questions.append((image, nodes[None], np.array([spread * (sampler.sub_pixels > 1)])))
            continue
        count = min(sampler.max_batch, SAMPLED_GROUPS[i % len(SAMPLED_GROUPS)])
        middle, side = rng.uniform(0, size, (count, 2)), rng.uniform(0.1, 1.0, count) * min(size)
        angle, spread = rng.uniform(-0.7, 0.7, count), rng.choice([0.0, 1.0, 2.0], count) * (sampler.sub_pixels > 1)
        x, y = np.meshgrid(*2 * [np.linspace(-0.5, 0.5, GRID)])
        square = np.stack([x, y], -1)[None] * side[:, None, None, None]
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
        questions.append((image, square @ turn[:, None] + middle[:, None, None], spread))
    return questions


def measure_sampler(reference_run: RunSampler, run: RunSampler, sampler: Sampler) -> dict[str, float]:
    """Differences (dict) of two ways to run a Sampler: run(image, nodes, spread) -> canvases (N, h, w, 3) uint8.

    grey_levels: the mean difference of the worst canvas; rows: how many canvases were compared.
    """
    means = []
    for question in sampler_questions(sampler):
        expected, found = reference_run(*question), run(*question)
        if found.shape != expected.shape:
            raise HpeError(f"the sampler gives canvases of shape {found.shape}, the reference {expected.shape}")
        means += list(np.abs(found.astype(int) - expected).mean((1, 2, 3)))
    return {"rows": len(means), "grey_levels": float(max(means))}


def refusal(parity: dict[str, Any], precision: str) -> str | None:
    """Why an engine of this precision may not be used, or None. parity: Parity.as_dict(), or of `measure_sampler`."""
    if "grey_levels" in parity:
        worst = parity["grey_levels"]
        problem = f"a canvas differs by {worst:.3g} grey levels in the mean, allowed {GREY_LIMIT:g}"
        return None if worst <= GREY_LIMIT else problem
    limits = (
        ("rotation", "rotation_deg_median", ROTATION_LIMIT_DEG[precision], "deg"),
        ("face centre", "centre_px_median", CENTRE_LIMIT_PX[precision], "px"),
        ("score", "score_median", SCORE_LIMIT[precision], ""),
        ("landmarks", "landmark_mm_median", LANDMARK_LIMIT_MM[precision], "mm"),
    )
    beyond = [
        f"{name} differs by {parity[field]:.3g} {unit}".rstrip() + f" in the median, allowed {limit:g}"
        for name, field, limit, unit in limits
        if parity.get(field) is not None and not parity[field] <= limit
    ]
    return "; ".join(beyond) or None
