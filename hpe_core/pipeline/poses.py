"""From candidates to faces with metric poses, and what no filter may average away in the covariance of a pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpe_core.candidates import Candidates
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import (
    FACE_CENTRE_M,
    HEAD_FRAME_STD_RAD,
    REFERENCE_LENGTH_M,
    box_from_pose,
    depth_covariance,
    direction_covariance,
)
from hpe_core.geometry.lookat import local_from_global, lookat_rotation
from hpe_core.mesh.face_mesh import landmarks_at
from hpe_core.mesh.head_model import shipped
from hpe_core.pipeline.roi_tracking import rays_and_ranges
from hpe_core.types import Face, FaceShape, HeadPose, Landmarks

# what the whole-image network cannot tell by itself; measured on renders of full turns and on photos turned in plane
UNAMBIGUOUS_SCORE = 0.98  # backs of heads and faces near upside down have less, so do half of the faces below 30 px
UPRIGHT_TILT_RAD = np.radians(40.0)  # further, and a face may be read the wrong way up with any score
SIDEWAYS_RAD = np.radians(65.0)  # further, and a head turned away (100 to 130 degrees) is taken for one in profile
# of the mean visibility of the 68 landmarks: the one of faces turned by about 100 degrees, half of which count as seen,
# and how fast that changes; logistic regression on 549 renders of unseen people, by whether yaw is below 100 degrees
MEAN_VISIBLE, MEAN_VISIBLE_SPREAD = 0.37, 0.053
LANDMARKS_FROM = 0.1  # face_visibility; nearly all profiles have more, one in fifteen of those beyond 120 degrees
_HEAD_FRAME_COVARIANCE = HEAD_FRAME_STD_RAD**2 * np.eye(3)
UNKNOWN_STD_RAD, SIDEWAYS_STD_RAD = np.radians(60.0), np.radians(15.0)  # three of the first: the largest error there is
# of a head that points away, per axis, beyond the second cosine to the camera, and none before the first: it errs alike
# from image to image. In full turns of 12 rendered heads 93 to 100 % are within the 95 % bounds, without it 76 to 94 %
AWAY_STD_RAD, AWAY_COSINES = np.radians(5.0), (0.2, -0.8)


def faces_from_candidates(found: Candidates, camera: CameraModel) -> list[Face]:
    """A Face per candidate, its pose, covariance and box in the camera; without the head-size prior."""
    if len(found) == 0:
        return []
    rays, range_m = rays_and_ranges(found, camera)
    R_lookat_camera = lookat_rotation(rays)
    R = R_lookat_camera.swapaxes(-1, -2) @ found.R_local
    arms = R @ FACE_CENTRE_M
    t = range_m[:, None] * rays - arms
    lateral_std = found.centre_rel_std * REFERENCE_LENGTH_M
    range_std = range_m * found.size_rel_std
    covariances = pose_covariance(R_lookat_camera, arms, lateral_std, range_std, found.rotation_covariance)
    boxes = box_from_pose(camera, R, t)
    scores = found.score.tolist()
    confirmed = len(t) * [None] if found.confirmed is None else found.confirmed.tolist()
    seen, landmarks = len(t) * [None], len(t) * [None]
    if found.landmarks_m is not None and found.visible is not None:
        seen = face_visibility(found.visible).tolist()
        parts = zip(found.landmarks_m, found.visible, seen, strict=True)
        landmarks = [Landmarks(points, visible) if p >= LANDMARKS_FROM else None for points, visible, p in parts]
    poses, shapes = HeadPose.many(R, t, covariances), _shapes(found)
    parts = zip(poses, scores, boxes, landmarks, confirmed, seen, shapes, strict=True)
    return [
        Face(pose, score, box, landmarks=points, confirmed=sure, face_visibility=p, shape=shape)
        for pose, score, box, points, sure, p, shape in parts
    ]


def face_visibility(visible: np.ndarray) -> np.ndarray:
    """How likely (N,) the face itself can be seen, 0 to 1, by how visible (N, 68) its landmarks are, 0 to 1."""
    return 1.0 / (1.0 + np.exp((MEAN_VISIBLE - visible.sum(-1) / visible.shape[-1]) / MEAN_VISIBLE_SPREAD))


def _shapes(found: Candidates) -> Sequence[FaceShape | None]:
    if found.identity is None or found.expression is None:
        return len(found) * [None]
    gaze = len(found) * [None] if found.gaze_rad is None else found.gaze_rad
    sizes = (found.identity @ shipped().log_size).tolist()
    return [FaceShape(*one) for one in zip(found.identity, found.expression, gaze, sizes, strict=True)]


def with_mesh_landmarks(face: Face) -> Face:
    """The Face with its mesh's landmarks, where its pose and averaged identity put them; without a shape as it is."""
    if face.shape is None or face.landmarks is None:
        return face
    ratio = 1.0 if face.scale is None else face.scale.ratio
    points_local_m = landmarks_at(face.pose, ratio, face.shape)
    return replace(face, landmarks=Landmarks(points_local_m, face.landmarks.visible))


def pose_covariance(
    R_lookat_camera: np.ndarray,
    arms_m: np.ndarray,
    lateral_std_m: np.ndarray,
    range_std_m: np.ndarray,
    rotation_covariance: np.ndarray,
) -> np.ndarray:
    """Covariances (..., 6, 6) of the sellion's position and the rotation, in the camera frame.

    t = p - R c with p the face centre (uncertain along and across the line of sight, standard deviations (...,)) and
    R c = arms_m (..., 3); to first order a rotation error e moves t by [arm]x e. R_lookat_camera: (..., 3, 3), of the
    virtual camera turned to the face; rotation_covariance: (..., 3, 3) rad^2 about its axes.
    """
    R_camera_lookat = R_lookat_camera.swapaxes(-1, -2)
    local, M = np.zeros((2, *R_camera_lookat.shape[:-2], 6, 6))
    local[..., 0, 0] = local[..., 1, 1] = np.square(lateral_std_m)
    local[..., 2, 2] = np.square(range_std_m)
    local[..., 3:, 3:] = rotation_covariance
    M[..., :3, :3] = M[..., 3:, 3:] = R_camera_lookat
    M[..., :3, 3:] = so3.skew(arms_m) @ R_camera_lookat
    return M @ local @ M.swapaxes(-1, -2)


def with_systematic_spread(faces: Sequence[Face]) -> list[HeadPose]:
    """The poses of Faces with what no filter may average away in their covariances: the size and the frame of this
    person's head, the error of depth that a pose brings with it (of both, what depth images leave), how far heads that
    point away are read wrong, and, where no crop network confirms faces, that this one may look the other way or stand
    on its head.
    """
    poses = [face.pose for face in faces]
    rows = [row for row, pose in enumerate(poses) if pose.covariance is not None]
    if not rows:
        return poses
    R = np.array([poses[row].R_camera_head for row in rows])
    t = np.array([poses[row].t_camera_head_m for row in rows])
    covariances = np.array([poses[row].covariance for row in rows])
    along = depth_covariance(R, t)
    for i, row in enumerate(rows):
        if (scale := faces[row].scale) is not None:
            along[i] = scale.rel_std**2 * np.outer(t[i], t[i])
    covariances[:, :3, :3] += along
    covariances[:, 3:, 3:] += _HEAD_FRAME_COVARIANCE
    away = away_std_rad(R, t)
    if away.any():
        covariances += direction_covariance(R, away)
    alone = [i for i, row in enumerate(rows) if faces[row].confirmed is None]
    if alone:
        score = np.array([faces[rows[i]].score for i in alone])
        covariances[alone] += direction_covariance(R[alone], ambiguity_std_rad(score, R[alone], t[alone]))
    for row, covariance in zip(rows, covariances, strict=True):
        poses[row] = poses[row].with_covariance(covariance)
    return poses


def away_std_rad(R_camera_head: np.ndarray, t_camera_head_m: np.ndarray) -> np.ndarray:
    """Spreads (N,) per axis of rotations (N, 3, 3) at positions (N, 3) m that a filter sees again in every image."""
    centres = t_camera_head_m + R_camera_head @ FACE_CENTRE_M
    cosine = (centres * R_camera_head[:, :, 2]).sum(-1) / np.sqrt((centres * centres).sum(-1))
    first, last = AWAY_COSINES
    return AWAY_STD_RAD * np.minimum(np.maximum((first - cosine) / (first - last), 0.0), 1.0)


def ambiguity_std_rad(score: np.ndarray, R_camera_head: np.ndarray, t_camera_head_m: np.ndarray) -> np.ndarray:
    """Spreads (N,) per axis of poses of the whole-image network alone, beside their own: 0 where one is to be trusted,
    60 degrees where the face may as well look away or stand on its head.

    score (N,) of faces with rotations (N, 3, 3) and positions (N, 3) m.
    """
    R_local, _, _ = local_from_global(R_camera_head, t_camera_head_m + R_camera_head @ FACE_CENTRE_M)
    tilt = np.abs(np.arctan2(R_local[:, 0, 1], R_local[:, 1, 1]))
    sideways = np.where(R_local[:, 2, 2] < np.cos(SIDEWAYS_RAD), SIDEWAYS_STD_RAD, 0.0)
    return np.where((score < UNAMBIGUOUS_SCORE) | (tilt > UPRIGHT_TILT_RAD), UNKNOWN_STD_RAD, sideways)
