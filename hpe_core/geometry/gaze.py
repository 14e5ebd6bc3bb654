"""Where a head looks, with the direction of the head as its gaze: the angle to a target and how uncertain it is."""

import numpy as np
from numpy.typing import ArrayLike

GAZE_HEAD = np.array([0.0, 0.0, -1.0])
_IN_LINE = 1e-9


def angle_to_target_deg(R_camera_head: ArrayLike, t_camera_head_m: ArrayLike, target_camera_m: ArrayLike) -> np.ndarray:
    """Angle (...,) in degrees between the face's direction and the target (..., 3) m.

    Seen from heads (..., 3, 3), (..., 3). A target at the sellion itself has no direction; its angle is 0.
    """
    gaze = np.asarray(R_camera_head, float) @ GAZE_HEAD
    to_target = np.asarray(target_camera_m, float) - t_camera_head_m
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(gaze, to_target), axis=-1), np.sum(gaze * to_target, -1)))


def angle_jacobian(R_camera_head: ArrayLike, t_camera_head_m: ArrayLike, target_camera_m: ArrayLike) -> np.ndarray:
    """Derivative (2, 6) rad of the gaze's offset from the target by an error of one pose (x, y, z m, rotation rad).

    The offset lives on the sphere of directions around the head. Row 0 is along the arc from target to gaze, so it is
    the exact derivative of the angle between them; row 1 is perpendicular to the arc. The true rotation is
    exp(error) @ R_camera_head, as in HeadPose.covariance.
    """
    gaze = np.asarray(R_camera_head, float) @ GAZE_HEAD
    to_target = np.asarray(target_camera_m, float) - t_camera_head_m
    distance = np.linalg.norm(to_target)
    ray = to_target / distance
    axis = np.cross(ray, gaze)
    length = np.linalg.norm(axis)
    if length < _IN_LINE:  # gaze and target in line: every arc is as good
        axis = np.cross(ray, np.eye(3)[np.argmin(np.abs(ray))])
        length = np.linalg.norm(axis)
    axis = axis / length
    return np.array(
        [
            np.concatenate([np.cross(axis, ray) / distance, axis]),
            np.concatenate([axis / distance, -np.cross(axis, gaze)]),
        ]
    )
