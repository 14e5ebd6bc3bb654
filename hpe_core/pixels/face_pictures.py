"""Pictures of single faces for further networks (identity, expression): as seen, or level."""

import cv2
import numpy as np

from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.geometry.lookat import local_from_global
from hpe_core.pixels.canvas import face_centred_crop
from hpe_core.types import HeadPose

SIDE_PX = 128  # as hri_face_detect has them
CROP_M = 0.28  # a whole head with some room, as crop6dof sees it


def face_crop(image_bgr: np.ndarray, camera: CameraModel, pose: HeadPose) -> np.ndarray:
    """(SIDE_PX, SIDE_PX, 3) uint8 of the head at a HeadPose, by a virtual camera that is turned to the face's centre.

    It spans CROP_M at the head's distance and shows no distortion; beyond the image it repeats its border.
    """
    _, ray, range_m = _local(pose)
    return face_centred_crop(image_bgr, camera, ray, range_m, SIDE_PX, CROP_M)


def aligned_face_crop(image_bgr: np.ndarray, camera: CameraModel, pose: HeadPose) -> np.ndarray:
    """`face_crop` turned in its plane until the eyes are level, by the pose.

    A face that is turned far to the side has no line of the eyes to speak of: there the head stands upright instead.
    """
    R_local, ray, range_m = _local(pose)
    wide = np.sqrt(2.0)  # corners are there however it is turned
    fine = 2 * SIDE_PX  # sampling twice does not blur
    crop = face_centred_crop(image_bgr, camera, ray, range_m, fine, wide * CROP_M)
    middle = (fine - 1) / 2.0
    turn = cv2.getRotationMatrix2D((middle, middle), float(np.degrees(roll_of(R_local))), wide * SIDE_PX / fine)
    turn[:, 2] += (SIDE_PX - fine) / 2.0
    return cv2.warpAffine(crop, turn, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR)


def roll_of(R_local: np.ndarray) -> np.ndarray:
    """Clockwise angle (...,) rad by which a head (..., 3, 3) is turned in the image of its face-centred virtual camera.

    That of the eyes' line for a face that looks here; more and more that of the line from crown to chin the farther it
    looks away, with weight (1 - cos)^2 of that angle. 45 degrees to the side and 20 up leave the eyes 2 degrees askew.
    """
    R = np.asarray(R_local, float)
    away = (1.0 - np.clip(R[..., 2, 2], 0.0, 1.0)) ** 2
    return np.arctan2(R[..., 1, 0] - away * R[..., 0, 1], R[..., 0, 0] + away * R[..., 1, 1])


def _local(pose: HeadPose) -> tuple[np.ndarray, np.ndarray, float]:
    """R_local (3, 3), unit ray (3,) and range in metres of the face's centre."""
    centre = pose.t_camera_head_m + pose.R_camera_head @ FACE_CENTRE_M
    R_local, ray, range_m = local_from_global(pose.R_camera_head, centre)
    return R_local, ray, float(range_m)
