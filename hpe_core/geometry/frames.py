"""Fixed frames of a head and of a camera, all right-handed.

camera optical frame: x right, y down, z forward (REP-103 suffix `_optical`).
head (model) frame: origin at the sellion, x to the subject's left, y down, z into the skull; a head that looks
straight into the camera has R_camera_head = identity. Its orientation is that of the BFM head of 300W-LP.
face frame (REP-155 `face_<id>`): same origin, x forward out of the face, y to the subject's left, z to the scalp.
gaze frame (REP-155 `gaze_<id>`): same origin, z along the gaze, x to the subject's right, y down.
"""

import numpy as np
from numpy.typing import ArrayLike

R_head_face = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
R_head_gaze = np.diag([-1.0, 1.0, -1.0])
# camera body frame (REP-103: x forward, y left, z up) seen from the optical frame
R_optical_body = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])

MIRROR_X = np.diag([-1.0, 1.0, 1.0])


def face_from_head(R_camera_head: ArrayLike) -> np.ndarray:
    """R_camera_face (..., 3, 3) of the REP-155 face frame."""
    return np.asarray(R_camera_head, float) @ R_head_face


def head_from_face(R_camera_face: ArrayLike) -> np.ndarray:
    """R_camera_head (..., 3, 3) from R_camera_face of the REP-155 face frame."""
    return np.asarray(R_camera_face, float) @ R_head_face.T


def gaze_from_head(R_camera_head: ArrayLike) -> np.ndarray:
    """R_camera_gaze (..., 3, 3) of the REP-155 gaze frame (head direction stands in for the eyes)."""
    return np.asarray(R_camera_head, float) @ R_head_gaze


def mirrored(R_camera_head: ArrayLike) -> np.ndarray:
    """Rotation (..., 3, 3) of the head seen in the horizontally flipped image."""
    return MIRROR_X @ np.asarray(R_camera_head, float) @ MIRROR_X
