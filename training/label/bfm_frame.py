"""Our head frame inside 3DDFA's: the constants that calibrate.py found, kept in bfm_frame.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpe_core.geometry.head import FACE_CENTRE_M

BFM_FRAME_FILE = Path(__file__).with_name("bfm_frame.json")
TEACHERS = ("mb05", "b66", "fsanet", "opnet")


@dataclass(frozen=True)
class BfmFrame:
    """BFM units (about micrometres); axes as in the head frame: x to the subject's left, y down, z backwards."""

    units_per_metre: float
    sellion: np.ndarray  # (3,)
    landmarks68: np.ndarray  # (68, 3) mean head
    teacher_bias_deg: np.ndarray  # (4, 3) rotation vector of each of TEACHERS: R_teacher = R @ exp(bias)

    @classmethod
    def load(cls) -> BfmFrame:
        d = json.loads(BFM_FRAME_FILE.read_text())
        bias = d.get("teacher_bias_deg", {})
        return cls(
            d["units_per_metre"],
            np.array(d["sellion"]),
            np.array(d["landmarks68"]),
            np.array([bias.get(name, [0.0, 0.0, 0.0]) for name in TEACHERS]),
        )

    @property
    def C(self) -> np.ndarray:
        return self.sellion + self.units_per_metre * FACE_CENTRE_M

    @property
    def landmarks68_m(self) -> np.ndarray:
        """(68, 3) metres in the head frame."""
        return (self.landmarks68 - self.sellion) / self.units_per_metre
