"""Rows of dense, a network over face-centred crops: crop6dof's pose, and identity and expression by the head model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpe_core.candidates import Candidates
from hpe_core.geometry.camera import CameraModel
from hpe_core.mesh.face_mesh import local_landmarks_m
from hpe_core.mesh.head_model import EXPRESSIONS, IDENTITIES, shipped
from hpe_core.network_card import NetworkCard
from hpe_core.networks.crop import crop6dof

COLUMNS = {name: width for name, width in crop6dof.COLUMNS.items() if name != "landmarks_m"} | {
    "identity": IDENTITIES,  # standard deviations
    "expression": EXPRESSIONS,  # 0 ... 1
    "gaze": 4,  # left yaw, pitch, right yaw, pitch of the eyes in the head, radians
}
GAZE = "gaze"
NEEDED = tuple(name for name in COLUMNS if name != GAZE)
_GAZE_MIRROR = np.array([2, 3, 0, 1]), np.array([-1, 1, -1, 1])


class Decoder(crop6dof.Decoder):
    """A hpe_core.networks.network.CropDecoder. Landmarks are those of the mesh, so they agree with pose and shape."""

    def __init__(self, card: NetworkCard):
        super().__init__(card, COLUMNS)
        self._model = shipped()
        identity, expression = self._columns["identity"], self._columns["expression"]
        self._mirror_sign[identity] = self._model.identity_mirror
        self._mirror_index[expression] = self._mirror_index[expression][self._model.expression_mirror]
        if GAZE in self._columns:
            gaze = self._columns[GAZE]
            order, self._mirror_sign[gaze] = _GAZE_MIRROR
            self._mirror_index[gaze] = self._mirror_index[gaze][order]

    def decode(
        self, rows: np.ndarray, score: np.ndarray, camera: CameraModel, rays: np.ndarray, range_m: np.ndarray
    ) -> Candidates:
        found = super().decode(rows, score, camera, rays, range_m)
        identity, expression = rows[:, self._columns["identity"]], rows[:, self._columns["expression"]]
        expression = np.clip(expression, 0.0, 1.0)  # a mean of two, or of whole numbers, may be off by a rounding
        new_range_m = range_m / np.exp(rows[:, self._columns["log_size"]][:, 0])
        points = local_landmarks_m(identity, expression, found.R_local, new_range_m, self._model)
        gaze = rows[:, self._columns[GAZE]] if GAZE in self._columns else None
        visible = 1.0 / (1.0 + np.exp(-rows[:, self._columns["visibility"]]))
        return replace(
            found, visible=visible, landmarks_m=points, identity=identity, expression=expression, gaze_rad=gaze
        )
