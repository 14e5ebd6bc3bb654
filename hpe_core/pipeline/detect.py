"""Full-frame detection: the whole image through its network, one candidate per face."""

from __future__ import annotations

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

    def detect(self, source: SourceImage, least_score: float, most: int, watch: Stopwatch) -> Candidates:
        """Candidates with a score above least_score, one per face, best first: so many at most."""
        with watch("preprocess"):
            canvas, scales = letterbox_canvas(source, self._width, self._height)
            run = self._network.prepared(canvas)
        with watch("inference"):
            rows = run()[0]
        return merge(self._network.decoder.decode(rows, scales, least_score), most)


def merge(found: Candidates, max_faces: int) -> Candidates:
    """Non-maximum suppression that averages: one candidate per face, from all of like size that describe it.

    found: best score first; rotations by chordal mean, of covariances the roots, the rest by weighted mean (score^2).
    """
    open_rows = np.arange(len(found))
    merged = Candidates.empty()
    while len(open_rows) and len(merged) < max_faces:
        best = open_rows[0]
        same = same_face(
            found.centre_px[best], found.size_px[best], found.centre_px[open_rows], found.size_px[open_rows]
        )
        same[0] = True
        group = open_rows[same]
        alike = np.abs(np.log(found.size_px[group] / found.size_px[best])) < LIKE_SIZE
        group = group[alike & (found.score[group] > 0.5 * found.score[best])]
        merged = merged.concat(mean_of(found.where(group)))
        open_rows = open_rows[~same]
    return merged


def mean_of(found: Candidates) -> Candidates:
    """One candidate of several of the same face, best first: weighted by the squares of their scores, of which it has
    the best."""
    weights = found.score**2
    weights /= weights.sum()

    def mean(values):
        return (weights @ values.reshape(len(weights), -1)).reshape(1, *values.shape[1:])

    root = mean(symmetric_root(found.rotation_covariance))
    others = {name: mean(values) for name, values in vars(found).items() if values is not None}
    own = {
        "score": found.score[:1],
        "R_local": so3.mean_rotation(found.R_local, weights)[None],
        "rotation_covariance": root @ root,
    }
    return replace(found, **(others | own))
