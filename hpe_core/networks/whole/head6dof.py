"""Rows of head6dof, a dense network over the whole image: each row describes the face that it belongs to."""

import numpy as np

from hpe_core.candidates import Candidates
from hpe_core.geometry import so3
from hpe_core.network_card import NetworkCard
from hpe_core.pixels.canvas import canvas_to_image

COLUMNS = {
    "score": 1,
    "centre_px": 2,  # on the canvas
    "size_px": 1,
    "sixd": 6,
    "rotation_std_rad": 1,  # per axis
    "size_rel_std": 1,
    "centre_rel_std": 1,
}
NEEDED = tuple(COLUMNS)


class Decoder:
    """A hpe_core.networks.network.WholeImageDecoder."""

    def __init__(self, card: NetworkCard):
        self._columns = {name: slice(*card.columns[name]) for name in COLUMNS}
        self._calibration = card.calibration

    def decode(self, rows: np.ndarray, scales: tuple[float, float], least_score: float) -> Candidates:
        score = rows[:, self._columns["score"]][:, 0]
        keep = np.flatnonzero(score > least_score)
        if not len(keep):
            return Candidates.empty()
        keep = keep[np.argsort(-score[keep], kind="stable")]
        kept = rows[keep].astype(float)
        value = {name: kept[:, span] for name, span in self._columns.items()}
        variance = (self._calibration.rotation_std * value["rotation_std_rad"]) ** 2
        return Candidates(
            score=value["score"][:, 0],
            centre_px=canvas_to_image(value["centre_px"], scales),
            size_px=value["size_px"][:, 0] / np.sqrt(scales[0] * scales[1]),
            R_local=so3.matrix_from_sixd(value["sixd"]),
            rotation_covariance=variance[:, :, None] * np.eye(3),
            centre_rel_std=self._calibration.centre_std * value["centre_rel_std"][:, 0],
            size_rel_std=self._calibration.size_std * value["size_rel_std"][:, 0],
        )
