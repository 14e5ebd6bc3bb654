"""Full-frame detection: the whole image through its network, one candidate per face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hpe_core.candidates import Candidates
from hpe_core.geometry import so3
from hpe_core.networks.network import Network, WholeImageDecoder
from hpe_core.pipeline.roi_tracking import same_face
from hpe_core.pipeline.stopwatch import Stopwatch
from hpe_core.pixels.canvas import SourceImage, letterbox_canvas
from hpe_core.rotations.fusing import symmetric_root

LIKE_SIZE = 0.4  # largest difference of ln(size) of rows that are averaged


class Detector:
    """Candidates of whole images."""

    def __init__(self, network: Network[WholeImageDecoder]):
        self._network = network
        _, self._height, self._width, _ = network.card.input_shape

    def detect(self, source: SourceImage, least_score: float, watch: Stopwatch) -> Candidates:
        """Candidates with a score above least_score, one per face, best first."""
        run = self.prepared(source, least_score, watch)
        with watch("inference"):
            return run()

    def prepared(self, source: SourceImage, least_score: float, watch: Stopwatch) -> Callable[[], Candidates]:
        """A function that detects, once what the CPU does to the pixels has been done."""
        with watch("preprocess"):
            canvas, scales = letterbox_canvas(source, self._width, self._height)
            run = self._network.prepared(canvas)
        return lambda: merge(self._network.decoder.decode(run()[0], scales, least_score))


def merge(found: Candidates) -> Candidates:
    """Non-maximum suppression that averages: one candidate per face, from all of like size that describe it.

    found: best score first; rotations by chordal mean, of covariances the roots, the rest by weighted mean (score^2).
    """
    open_rows, groups = np.arange(len(found)), []
    centre, size = found.centre_px, found.size_px
    while len(open_rows):
        best = open_rows[0]
        same = same_face(centre[best], size[best], centre[open_rows], size[open_rows])
        same[0] = True
        groups.append(open_rows[same])
        open_rows = open_rows[~same]
    return means_of(found, groups) if groups else found


def means_of(found: Candidates, groups: Sequence[np.ndarray]) -> Candidates:
    """One candidate per group of rows (n,), best first: of those alike to its best, weighted by the squares of their
    scores, of which it has the best."""
    lengths = [len(group) for group in groups]
    rows, best = np.concatenate(groups), np.repeat([group[0] for group in groups], lengths)
    alike = np.abs(np.log(found.size_px[rows] / found.size_px[best])) < LIKE_SIZE
    kept = alike & (found.score[rows] > 0.5 * found.score[best])
    taken, starts = found.where(rows[kept]), np.flatnonzero(np.append(True, np.diff(best[kept]) != 0))

    def sums(values):
        return np.add.reduceat(values, starts)

    weights = taken.score**2
    weights = weights / np.repeat(sums(weights), np.diff(np.append(starts, len(weights))))

    def means(values):
        return sums(weights.reshape(-1, *[1] * (values.ndim - 1)) * values)

    roots = means(symmetric_root(taken.rotation_covariance))
    others = {name: means(values) for name, values in vars(taken).items() if values is not None}
    own = {
        "score": taken.score[starts],
        "R_local": so3.project_to_rotation(means(taken.R_local)),
        "rotation_covariance": roots @ roots,
    }
    return replace(taken, **(others | own))
