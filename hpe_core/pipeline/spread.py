"""What no filter may average away in the covariance of a pose: errors that stay the same from image to image."""

from dataclasses import replace

import numpy as np

from hpe_core.geometry.head import FACE_CENTRE_M, HEAD_FRAME_STD_RAD, depth_covariance, direction_covariance
from hpe_core.geometry.lookat import lookat_rotation

# what the whole-image network cannot tell by itself; measured on renders of full turns and on photos turned in plane
UNAMBIGUOUS_SCORE = 0.98  # backs of heads and faces near upside down have less, so do half of the faces below 30 px
UPRIGHT_TILT_RAD = np.radians(40.0)  # further, and a face may be read the wrong way up with any score
SIDEWAYS_RAD = np.radians(
    65.0
)  # further, and a head turned away (100 to 130 degrees) looks like one seen from the side
UNKNOWN_STD_RAD, SIDEWAYS_STD_RAD = np.radians(60.0), np.radians(15.0)  # three of the first: the largest error there is


def with_systematic_spread(face):
    """The pose of a Face with what no filter may average away in its covariance: the size and the frame of this
    person's head, the error of depth that a pose brings with it, and, where no crop network looks, that the face may
    look the other way or stand on its head.
    """
    pose = face.pose
    covariance = pose.covariance.copy()
    covariance[:3, :3] += depth_covariance(pose.R_camera_head, pose.t_camera_head_m)
    covariance[3:, 3:] += HEAD_FRAME_STD_RAD**2 * np.eye(3)
    if face.confirmed is None:
        covariance += direction_covariance(pose.R_camera_head, ambiguity_std_rad(face.score, pose))
    return replace(pose, covariance=covariance)


def ambiguity_std_rad(score, pose):
    """Spread per axis of a HeadPose that only the whole-image network told, beside its own: 0 where it is to be
    trusted, 60 degrees where the face may as well look away or stand on its head.
    """
    centre = pose.t_camera_head_m + pose.R_camera_head @ FACE_CENTRE_M
    R_local = lookat_rotation(centre / np.linalg.norm(centre)) @ pose.R_camera_head
    if score < UNAMBIGUOUS_SCORE or abs(np.arctan2(R_local[0, 1], R_local[1, 1])) > UPRIGHT_TILT_RAD:
        return UNKNOWN_STD_RAD
    return SIDEWAYS_STD_RAD if R_local[2, 2] < np.cos(SIDEWAYS_RAD) else 0.0
