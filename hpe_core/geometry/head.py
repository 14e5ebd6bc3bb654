"""The reference head: an adult of mean size, in metres, in the head frame (origin sellion, x left, y down, z back).

Numbers are rounded adult means (outer eye corners 90 mm apart, sellion to chin 118 mm, ears 145 mm apart).
A monocular camera cannot tell a small near head from a large far one, so depth rests on this size; its spread between
adults is about 5 % (1 sigma), which every published depth uncertainty includes, with what a turned head adds. Likewise
no two faces, and no two data sets, agree to better than some 2 degrees on where "straight ahead" is; every published
rotation includes that.
"""

import numpy as np
from numpy.typing import ArrayLike

from hpe_core.geometry import euler, frames, so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.lookat import local_from_global, lookat_rotation

REFERENCE_LENGTH_M = 0.2
HEAD_SIZE_REL_STD = 0.05
# of the distance, per sine of how far the face points up or down, or aside: distances come out up to 7 % too long at a
# pitch of +30 degrees, 7 % too short at -50, 4 % too short at a yaw of 90, much alike for everybody
UP_DOWN_DEPTH_REL_STD, ASIDE_DEPTH_REL_STD = 0.12, 0.04
_TURNED_DEPTH_REL_STD = np.array([ASIDE_DEPTH_REL_STD, UP_DOWN_DEPTH_REL_STD])
HEAD_FRAME_STD_RAD = np.radians(2.0)
FACE_CENTRE_M = np.array([0.0, 0.03, 0.05])
REFERENCE_POINTS_M = np.array(
    [
        [0.0, -0.068, 0.012],  # hairline
        [0.0, 0.0, 0.0],  # sellion
        [0.0, 0.048, -0.024],  # tip of the nose
        [0.0, 0.118, 0.012],  # chin
        [0.045, 0.004, 0.020],  # outer eye corners
        [-0.045, 0.004, 0.020],
        [0.060, -0.050, 0.050],  # temples
        [-0.060, -0.050, 0.050],
        [0.072, 0.022, 0.100],  # ears
        [-0.072, 0.022, 0.100],
        [0.055, 0.085, 0.075],  # corners of the jaw
        [-0.055, 0.085, 0.075],
    ]
)
# box around these points, in the axes of the REP-155 face frame
_POINTS_FACE_M = REFERENCE_POINTS_M @ frames.R_head_face
HEAD_BOX_CENTRE_FACE_M = (_POINTS_FACE_M.max(0) + _POINTS_FACE_M.min(0)) / 2.0
HEAD_BOX_SIZE_M = _POINTS_FACE_M.max(0) - _POINTS_FACE_M.min(0)
_STEP_M = 1e-3


def pixels_per_metre(camera: CameraModel, point_camera_m: ArrayLike) -> np.ndarray:
    """Image scale (...,) px/m at points (..., 3) m: sqrt |det J| for displacements perpendicular to the viewing ray.

    For a pinhole camera this is f / d * cos(theta)^-1.5 at range d and angle theta off the axis; where there is
    distortion, J is taken by central differences.
    """
    point = np.asarray(point_camera_m, float)
    if len(camera.D) == 0:
        range_m, depth_m = np.sqrt((point * point).sum(-1)), np.abs(point[..., 2])
        fx, fy = camera.focal_px
        return np.sqrt(fx * fy * range_m / depth_m) / depth_m
    ray = point / np.linalg.norm(point, axis=-1, keepdims=True)
    step = _STEP_M * np.linalg.norm(point, axis=-1)[..., None, None]
    offsets = step * lookat_rotation(ray)[..., :2, :]
    pixels = camera.project(point[..., None, :] + np.concatenate([offsets, -offsets], -2))
    J = (pixels[..., :2, :] - pixels[..., 2:, :]) / (2.0 * step)
    return np.sqrt(np.abs(J[..., 0, 0] * J[..., 1, 1] - J[..., 0, 1] * J[..., 1, 0]))


def range_from_size(camera: CameraModel, ray_camera: ArrayLike, size_px: ArrayLike) -> np.ndarray:
    """Range (...,) in metres at which the reference length spans `size_px` (...,) along unit rays (..., 3)."""
    return REFERENCE_LENGTH_M * pixels_per_metre(camera, ray_camera) / np.asarray(size_px, float)


def head_size_covariance(t_camera_head_m: np.ndarray) -> np.ndarray:
    """Covariance (..., 3, 3) m^2 of positions (..., 3) from the spread of head sizes: along the line of sight only.

    It is one constant per person, so no filter may average it away.
    """
    t = np.asarray(t_camera_head_m, float)
    return HEAD_SIZE_REL_STD**2 * t[..., :, None] * t[..., None, :]


def turned_range_variance(R_camera_head: np.ndarray, t_camera_head_m: np.ndarray) -> np.ndarray:
    """Variance (...,), relative to the range, that a turned head (..., 3, 3) at (..., 3) m adds to what its
    size says: one constant per pose.
    """
    t = np.asarray(t_camera_head_m, float)
    ray = t / np.sqrt((t * t).sum(-1, keepdims=True))
    skull = (lookat_rotation(ray) @ R_camera_head)[..., :2, 2]  # the axis into it
    return ((_TURNED_DEPTH_REL_STD * skull) ** 2).sum(-1)


def depth_covariance(R_camera_head: np.ndarray, t_camera_head_m: np.ndarray) -> np.ndarray:
    """Covariance (..., 3, 3) m^2 of positions (..., 3), along the line of sight only: `head_size_covariance`, and what
    a turned head (..., 3, 3) adds. Add it to what is published.
    """
    t = np.asarray(t_camera_head_m, float)
    variance = HEAD_SIZE_REL_STD**2 + turned_range_variance(R_camera_head, t)
    return (variance[..., None] * t)[..., :, None] * t[..., None, :]


def direction_covariance(R_camera_head: np.ndarray, std_rad: ArrayLike) -> np.ndarray:
    """Covariances (..., 6, 6) m^2, rad^2 of heads (..., 3, 3) whose rotations about their face centres have a spread of
    std_rad (...,) per axis.
    """
    J = so3.skew(R_camera_head @ FACE_CENTRE_M)  # a rotation e moves the sellion by J e, as in pose_covariance
    turned, one = J.swapaxes(-1, -2), np.broadcast_to(np.eye(3), J.shape)
    return np.asarray(std_rad)[..., None, None] ** 2 * np.block([[J @ turned, J], [turned, one]])


def relative_to_line_of_sight(R_camera_head: ArrayLike, t_camera_head_m: ArrayLike) -> euler.EulerDeg:
    """EulerDeg (AFLW2000) of heads (..., 3, 3), (..., 3) m relative to the ray from the camera to the face's centre:
    all 0 for somebody who faces the camera, wherever in the image."""
    R = np.asarray(R_camera_head, float)
    return euler.aflw2000.from_matrix(local_from_global(R, np.asarray(t_camera_head_m, float) + R @ FACE_CENTRE_M)[0])


def head_cuboid(R_camera_head: ArrayLike, t_camera_head_m: ArrayLike) -> np.ndarray:
    """Corners (8, 3) m in the camera frame of the box around the reference points of a head (3, 3), (3,).

    The first four are the side in front of the face, from the subject's right at the hairline round to the right at the
    chin; the last four lie behind them in the same order.
    """
    signs = np.array([[x, y, z] for x in (1, -1) for y, z in ((-1, 1), (1, 1), (1, -1), (-1, -1))])
    corners_face = HEAD_BOX_CENTRE_FACE_M + 0.5 * HEAD_BOX_SIZE_M * signs
    return corners_face @ frames.face_from_head(R_camera_head).T + np.asarray(t_camera_head_m, float)


def box_from_pose(camera: CameraModel, R_camera_head: ArrayLike, t_camera_head_m: ArrayLike) -> np.ndarray:
    """Box (..., 4) as x0, y0, x1, y1 px: extent of the projected reference points of heads (..., 3, 3), (..., 3)."""
    R, t = np.asarray(R_camera_head, float), np.asarray(t_camera_head_m, float)
    points = REFERENCE_POINTS_M @ R.swapaxes(-1, -2) + t[..., None, :]
    points[..., 2] = np.maximum(points[..., 2], 1e-3)
    pixels = camera.project(points)
    return np.concatenate([pixels.min(-2), pixels.max(-2)], -1)
