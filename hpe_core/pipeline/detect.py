"""Full-frame detection: the whole image through its network, one candidate per face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpe_core.candidates import Candidates
from hpe_core.geometry import so3
from hpe_core.networks.network import Network, WholeImageDecoder
from hpe_core.pipeline.roi_tracking import same_face, same_faces
from hpe_core.pipeline.stopwatch import Stopwatch
from hpe_core.pixels.canvas import SourceImage, letterbox_canvas
from hpe_core.rotations.fusing import symmetric_root

# size on the canvas of faces of which 99 of 100 photographed ones are found; at half that size eight of ten are
SURELY_FROM_PX = 12.0
LIKE_SIZE = 0.4  # largest difference of ln(size) of rows that are averaged


@dataclass(frozen=True, eq=False)
class Look:
    """What full-frame detection saw in one image; quick: at half size, where faces of surely_from_px and more are found
    as well as at full size."""

    found: Candidates
    quick: bool
    surely_from_px: float

    def newcomers(self, known: Candidates) -> Candidates | None:
        """Whom it shows besides the known faces of its image; None where it does not show one of those, though that is
        large enough."""
        same = same_faces(known, self.found)
        if ((known.size_px >= self.surely_from_px) & ~same.any(1)).any():
            return None
        return self.found.where(np.flatnonzero(~same.any(0)))


class Detector:
    """Candidates of whole images; quick: whether it is the one at half size."""

    def __init__(self, network: Network[WholeImageDecoder], quick: bool = False):
        self._network, self._quick = network, quick
        _, self._height, self._width, _ = network.card.input_shape

    def detect(self, source: SourceImage, least_score: float, watch: Stopwatch) -> Look:
        """The Look at an image: candidates with a score above least_score, one per face, best first."""
        run = self.prepared(source, least_score, watch)
        with watch("inference"):
            return run()

    def prepared(self, source: SourceImage, least_score: float, watch: Stopwatch) -> Callable[[], Look]:
        """A function that detects, once what the CPU does to the pixels has been done."""
        with watch("preprocess"):
            canvas, scales = letterbox_canvas(source, self._width, self._height, halving=self._quick)
            run = self._network.prepared(canvas)
        surely_from_px = SURELY_FROM_PX / min(scales)
        one_each = best_of_each if self._quick else merge
        return lambda: Look(
            one_each(self._network.decoder.decode(run()[0], scales, least_score)), self._quick, surely_from_px
        )


def merge(found: Candidates) -> Candidates:
    """Non-maximum suppression that averages: one candidate per face, from all of like size that describe it.

    found: best score first; rotations by chordal mean, of covariances the roots, the rest by weighted mean (score^2).
    """
    groups = groups_of(found)
    return means_of(found, groups) if groups else found


def best_of_each(found: Candidates) -> Candidates:
    """As `merge`, of each face the best candidate as it is: a place to look at by a crop, and no more."""
    return found.where(np.array([group[0] for group in groups_of(found)], int))


def groups_of(found: Candidates) -> list[np.ndarray]:
    """Rows (n,) of the candidates, best first, that describe one face, for each face."""
    open_rows, groups = np.arange(len(found)), []
    centre, size = found.centre_px, found.size_px
    while len(open_rows):
        best = open_rows[0]
        same = same_face(centre[best], size[best], centre[open_rows], size[open_rows])
        same[0] = True
        groups.append(open_rows[same])
        open_rows = open_rows[~same]
    return groups


def means_of(found: Candidates, groups: Sequence[np.ndarray]) -> Candidates:
    """One candidate per group of rows (n,), best first: of those alike to its best, weighted by the squares of their
    scores, of which it has the best."""
    best, rows = np.array([group[0] for group in groups]), np.concatenate(groups)
    number = np.arange(len(groups))
    of_group = np.repeat(number, [len(group) for group in groups])
    alike = np.abs(np.log(found.size_px[rows] / found.size_px[best[of_group]])) < LIKE_SIZE
    kept = alike & (found.score[rows] > 0.5 * found.score[best[of_group]])
    taken = found.where(rows[kept])
    weights = np.where(of_group[kept] == number[:, None], taken.score**2, 0.0)  # (groups, rows)
    weights /= weights.sum(1, keepdims=True)

    def means(values):
        return (weights @ values.reshape(len(values), -1)).reshape(-1, *values.shape[1:])

    roots = means(symmetric_root(taken.rotation_covariance))
    others = {name: means(values) for name, values in vars(taken).items() if values is not None}
    own = {
        "score": found.score[best],
        "R_local": so3.project_to_rotation(means(taken.R_local)),
        "rotation_covariance": roots @ roots,
    }
    return replace(taken, **(others | own))
