"""Expressions by name, and what they are in Ekman's action units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpe_core.mesh.head_model import shipped
from hpe_core.types import Face, FaceShape

# facial movements of ICT-FaceKit -> number of the action unit of the Facial Action Coding System that shows the same.
# Of several, and of left and right, the strongest counts: an intensity is one number for the face.
ACTION_UNITS = {
    1: ("browInnerUp_L", "browInnerUp_R"),  # inner brow raiser
    2: ("browOuterUp_L", "browOuterUp_R"),  # outer brow raiser
    4: ("browDown_L", "browDown_R"),  # brow lowerer
    5: ("eyeWide_L", "eyeWide_R"),  # upper lid raiser
    6: ("cheekSquint_L", "cheekSquint_R"),  # cheek raiser
    7: ("eyeSquint_L", "eyeSquint_R"),  # lid tightener
    9: ("noseSneer_L", "noseSneer_R"),  # nose wrinkler
    10: ("mouthUpperUp_L", "mouthUpperUp_R"),  # upper lip raiser
    12: ("mouthSmile_L", "mouthSmile_R"),  # lip corner puller
    14: ("mouthDimple_L", "mouthDimple_R"),  # dimpler
    15: ("mouthFrown_L", "mouthFrown_R"),  # lip corner depressor
    16: ("mouthLowerDown_L", "mouthLowerDown_R"),  # lower lip depressor
    17: ("mouthShrugLower", "mouthShrugUpper"),  # chin raiser
    18: ("mouthPucker",),  # lip pucker
    20: ("mouthStretch_L", "mouthStretch_R"),  # lip stretcher
    22: ("mouthFunnel",),  # lip funneler
    24: ("mouthPress_L", "mouthPress_R"),  # lip pressor
    26: ("jawOpen",),  # jaw drop
    28: ("mouthRollLower", "mouthRollUpper"),  # lip suck
    29: ("jawForward",),  # jaw thrust
    30: ("jawLeft", "jawRight"),  # jaw sideways
    34: ("cheekPuff_L", "cheekPuff_R"),  # cheek puff
    61: ("eyeLookOut_L", "eyeLookIn_R"),  # eyes turn left: of the subject
    62: ("eyeLookIn_L", "eyeLookOut_R"),  # eyes turn right
    63: ("eyeLookUp_L", "eyeLookUp_R"),  # eyes up
    64: ("eyeLookDown_L", "eyeLookDown_R"),  # eyes down
}
EYES_CLOSED, WINK = 43, 46  # both eyes, and one more than the other
_EYES = "eyeBlink_L", "eyeBlink_R"
CODES = 99  # of hri_msgs/FacialActionUnits


def expression_of(shape: FaceShape) -> dict[str, float]:
    """Weights 0 to 1 of the facial movements by name, in the order of the head model."""
    return dict(zip(shipped().expression_names, shape.expression.tolist(), strict=True))


def named_expressions(faces: Sequence[Face]) -> tuple[list[str], list[float]]:
    """`<id>/<movement>` and its weight, of all faces that have a shape, one after another."""
    names: list[str] = []
    weights: list[float] = []
    for face in faces:
        if face.shape is not None:
            names += [f"{face.face_id}/{name}" for name in shipped().expression_names]
            weights += face.shape.expression.tolist()
    return names, weights


def action_units(shape: FaceShape) -> tuple[np.ndarray, np.ndarray]:
    """Intensities (99,) 0 to 1 by the number of the action unit, and which of them (99,) are told at all."""
    of = expression_of(shape)
    intensity, told = np.zeros(CODES), np.zeros(CODES, bool)
    for code, names in ACTION_UNITS.items():
        intensity[code], told[code] = max(of[name] for name in names), True
    left, right = (of[name] for name in _EYES)
    intensity[EYES_CLOSED], intensity[WINK] = min(left, right), abs(left - right)
    told[[EYES_CLOSED, WINK]] = True
    return intensity, told
