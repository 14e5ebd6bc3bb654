"""The face-centred virtual camera, turned towards a face without roll, and back (methods: img2pose, exact form)."""

import numpy as np
from numpy.typing import ArrayLike

from hpe_core.geometry.camera import CameraModel

_I2 = np.eye(2)
HALF_TURN = np.array([-1.0, -1.0, 1.0])  # (3,) factors on x, y, z: 180 degrees about the optical axis


def lookat_rotation(ray_camera: ArrayLike) -> np.ndarray:
    """R_lookat_camera (..., 3, 3): minimal rotation that turns the unit ray (..., 3), z > -1, onto the optical axis.

    The closed form of `so3.rotation_between(ray, e_z)`: this runs several times per face.
    """
    ray = np.asarray(ray_camera, float)
    across = ray[..., :2]
    R = np.empty(ray.shape + (3,))
    np.subtract(_I2, (across / (1.0 + ray[..., 2:]))[..., :, None] * across[..., None, :], out=R[..., :2, :2])
    np.negative(across, out=R[..., :2, 2])
    R[..., 2, :] = ray
    return R


def rectifying_homography(camera: CameraModel, ray_camera: ArrayLike, focal_px: float, crop_size_px: int) -> np.ndarray:
    """Homography (3, 3) from undistorted image pixels to a square face-centred crop: H = K_crop R_lookat_camera K^-1.

    focal_px: focal length of the crop camera; crop_size_px: its side; the ray lands in the crop's centre.
    """
    centre = (crop_size_px - 1) / 2.0
    K_crop = np.array([[focal_px, 0.0, centre], [0.0, focal_px, centre], [0.0, 0.0, 1.0]])
    return K_crop @ lookat_rotation(ray_camera) @ np.linalg.inv(camera.K)


def global_from_local(R_local: ArrayLike, ray_camera: ArrayLike, range_m: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Pose in the camera frame of one in the virtual camera: R = R_L' R_local (..., 3, 3), p = range ray (..., 3) m."""
    R_lookat_camera = lookat_rotation(ray_camera)
    R_camera_head = R_lookat_camera.swapaxes(-1, -2) @ np.asarray(R_local, float)
    return R_camera_head, np.asarray(range_m, float)[..., None] * np.asarray(ray_camera, float)


def local_from_global(R_camera_head: ArrayLike, point_camera_m: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R_local (..., 3, 3), unit ray (..., 3) and range (...,) metres of a head whose centre is at point (..., 3)."""
    point = np.asarray(point_camera_m, float)
    range_m = np.linalg.norm(point, axis=-1)
    ray = point / range_m[..., None]
    return lookat_rotation(ray) @ np.asarray(R_camera_head, float), ray, range_m
