"""From candidates to faces with metric poses, and what no filter may average away in the covariance of a pose."""

from __future__ import annotations

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
    range_from_size,
)
from hpe_core.geometry.lookat import global_from_local, lookat_rotation
from hpe_core.types import Face, HeadPose, Landmarks

# what the whole-image network cannot tell by itself; measured on renders of full turns and on photos turned in plane
UNAMBIGUOUS_SCORE = 0.98  # backs of heads and faces near upside down have less, so do half of the faces below 30 px
UPRIGHT_TILT_RAD = np.radians(40.0)  # further, and a face may be read the wrong way up with any score
SIDEWAYS_RAD = np.radians(65.0)  # further, and a head turned away (100 to 130 degrees) is taken for one in profile
UNKNOWN_STD_RAD, SIDEWAYS_STD_RAD = np.radians(60.0), np.radians(15.0)  # three of the first: the largest error there is


def faces_from_candidates(found: Candidates, camera: CameraModel) -> list[Face]:
    """A Face per candidate, its pose, covariance and box in the camera; without the head-size prior."""
    if len(found) == 0:
        return []
    rays = camera.rays(found.centre_px)
    range_m = range_from_size(camera, rays, found.size_px)
    R, centres_m = global_from_local(found.R_local, rays, range_m)
    arms = R @ FACE_CENTRE_M
    t = centres_m - arms
    lateral_std = found.centre_rel_std * REFERENCE_LENGTH_M
    range_std = range_m * found.size_rel_std
    covariances = pose_covariance(rays, arms, lateral_std, range_std, found.rotation_covariance)
    boxes = box_from_pose(camera, R, t)
    scores = found.score.tolist()
    confirmed = len(t) * [None] if found.confirmed is None else found.confirmed.tolist()
    landmarks = len(t) * [None]
    if found.landmarks_m is not None and found.visible is not None:
        landmarks = [Landmarks(*one) for one in zip(found.landmarks_m, found.visible, strict=True)]
    return [
        Face(HeadPose(R[i], t[i], covariances[i]), scores[i], boxes[i], landmarks=landmarks[i], confirmed=confirmed[i])
        for i in range(len(t))
    ]


def pose_covariance(
    rays: np.ndarray,
    arms_m: np.ndarray,
    lateral_std_m: np.ndarray,
    range_std_m: np.ndarray,
    rotation_covariance: np.ndarray,
) -> np.ndarray:
    """Covariances (..., 6, 6) of the sellion's position and the rotation, in the camera frame.

    t = p - R c with p the face centre (uncertain along and across the unit rays (..., 3), standard deviations (...,))
    and R c = arms_m (..., 3); to first order a rotation error e moves t by [arm]x e. rotation_covariance: (..., 3, 3)
    rad^2 about the axes of the virtual camera turned to the face.
    """
    R_lookat_camera = lookat_rotation(rays)
    R_camera_lookat = np.swapaxes(R_lookat_camera, -1, -2)
    spread = np.stack([lateral_std_m, lateral_std_m, range_std_m], -1) ** 2
    rotation = R_camera_lookat @ np.asarray(rotation_covariance, float) @ R_lookat_camera
    J = so3.skew(arms_m)
    covariance = np.zeros(J.shape[:-2] + (6, 6))
    covariance[..., :3, :3] = (R_camera_lookat * spread[..., None, :]) @ R_lookat_camera
    covariance[..., :3, :3] += J @ rotation @ np.swapaxes(J, -1, -2)
    covariance[..., :3, 3:], covariance[..., 3:, :3] = J @ rotation, rotation @ np.swapaxes(J, -1, -2)
    covariance[..., 3:, 3:] = rotation
    return covariance


def with_systematic_spread(face: Face) -> HeadPose:
    """The pose of a Face with what no filter may average away in its covariance: the size and the frame of this
    person's head, the error of depth that a pose brings with it, and, where there is no crop network, that the face may
    look the other way or stand on its head.
    """
    pose = face.pose
    if pose.covariance is None:
        return pose
    covariance = pose.covariance.copy()
    covariance[:3, :3] += depth_covariance(pose.R_camera_head, pose.t_camera_head_m)
    covariance[3:, 3:] += HEAD_FRAME_STD_RAD**2 * np.eye(3)
    if face.confirmed is None:
        covariance += direction_covariance(pose.R_camera_head, ambiguity_std_rad(face.score, pose))
    return replace(pose, covariance=covariance)


def ambiguity_std_rad(score: float, pose: HeadPose) -> float:
    """Spread per axis of a HeadPose of the whole-image network alone, beside its own: 0 where it is to be trusted, 60
    degrees where the face may as well look away or stand on its head.
    """
    centre = pose.t_camera_head_m + pose.R_camera_head @ FACE_CENTRE_M
    R_local = lookat_rotation(centre / np.linalg.norm(centre)) @ pose.R_camera_head
    if score < UNAMBIGUOUS_SCORE or abs(np.arctan2(R_local[0, 1], R_local[1, 1])) > UPRIGHT_TILT_RAD:
        return UNKNOWN_STD_RAD
    return SIDEWAYS_STD_RAD if R_local[2, 2] < np.cos(SIDEWAYS_RAD) else 0.0
