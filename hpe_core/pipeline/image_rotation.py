"""Cameras mounted turned: image, camera model and results between the delivered image and the upright one.

`degrees` is always by how much the delivered image must be turned CLOCKWISE so that people stand upright in it: 0, 90,
180 or 270. Pixel centres map onto pixel centres, so nothing is interpolated or approximated.
"""

from dataclasses import replace

import cv2
import numpy as np

from hpe_core.geometry.camera import CameraModel
from hpe_core.types import Face, HeadPose, Landmarks

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_QUARTER = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def upright_from_delivered(degrees: int) -> np.ndarray:
    """R_upright_delivered (3, 3): camera axes of the delivered image -> those of the image turned clockwise."""
    return np.linalg.matrix_power(_QUARTER, degrees // 90)


def upright_image(image: np.ndarray, degrees: int) -> np.ndarray:
    """The image (H, W, C) turned clockwise by 90, 180 or 270 degrees."""
    return cv2.rotate(image, _TURNS[degrees])


def upright_camera(camera: CameraModel, degrees: int) -> CameraModel:
    """The CameraModel of the turned image: v_upright = R_upright_delivered v for every ray, distortion included."""
    for _ in range(degrees // 90):
        camera = _quarter_turned(camera)
    return camera


def _quarter_turned(camera):
    """(u, v) becomes (height - 1 - v, u), (x, y) becomes (-y, x); the tangential part follows, the radial stays."""
    (fx, _, cx), (_, fy, cy), _ = camera.K
    K = np.array([[fy, 0.0, camera.height - 1 - cy], [0.0, fx, cx], [0.0, 0.0, 1.0]])
    D = camera.D.copy()
    if len(D):
        D[2], D[3] = D[3], -D[2]
    return CameraModel(camera.height, camera.width, K, D, camera.model, camera.assumed)


def delivered_face(face: Face, camera: CameraModel, degrees: int) -> Face:
    """A Face of the upright image as it is in the delivered one, of `camera` (CameraModel): pose, covariance, box,
    landmarks.
    """
    R = upright_from_delivered(degrees).T
    pose, landmarks = face.pose, face.landmarks
    covariance = pose.covariance
    if covariance is not None:
        both = np.kron(np.eye(2), R)
        covariance = both @ covariance @ both.T
    if landmarks is not None:  # the rotation of the virtual camera is the least one, so it turns with the axes
        landmarks = Landmarks(landmarks.points_local_m @ R.T, landmarks.visible)
    pose = HeadPose(R @ pose.R_camera_head, R @ pose.t_camera_head_m, covariance)
    return replace(face, pose=pose, box_px=delivered_box(face.box_px, camera, degrees), landmarks=landmarks)


def upright_boxes(boxes_px: np.ndarray, upright: CameraModel, degrees: int) -> np.ndarray:
    """Boxes (N, 4) x0, y0, x1, y1 of the delivered image in the upright one, whose CameraModel is `upright`."""
    return delivered_box(boxes_px.T, upright, 360 - degrees).T


def delivered_box(box_px: np.ndarray, camera: CameraModel, degrees: int) -> np.ndarray:
    """Box (4,), or boxes (4, N), x0, y0, x1, y1 of the upright image in the delivered one, of `camera`."""
    x0, y0, x1, y1 = box_px
    right, bottom = camera.width - 1, camera.height - 1
    corners = {
        90: (y0, bottom - x1, y1, bottom - x0),
        180: (right - x1, bottom - y1, right - x0, bottom - y0),
        270: (right - y1, x0, right - y0, x1),
    }
    return np.array(corners[degrees])
