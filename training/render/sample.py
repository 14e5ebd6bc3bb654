"""Random poses, cameras and light; exact labels."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M
from hpe_core.geometry.lookat import lookat_rotation
from training.data.labels import FaceLabel
from training.render.gl import Scene

APART_M, MIN_SIZE_PX = 0.4, 14.0  # of test views: distance between face centres, smallest face
EXACT_STD_DEG = 0.5
BACK_OF_HEAD = 0.08  # share of images that show the back of a head; weight 0
ANY_ROLL = 0.15  # share of images of every direction whose roll is anything


def pinhole(hfov_deg: float, width: int, height: int) -> np.ndarray:
    """K (3, 3), pixel centres at integers, principal point in the middle."""
    f = width / 2 / np.tan(np.radians(hfov_deg) / 2)
    return np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]])


def heavy_tail(rng, sigma: float, limit: float) -> float:
    """Degrees: mostly N(0, sigma), sometimes wide, never beyond limit."""
    kind = rng.random()
    if kind > 0.85:
        return float(rng.uniform(-limit, limit))
    return float(np.clip(rng.normal(0, sigma if kind < 0.6 else 2 * sigma), -limit, limit))


def sample_angles(rng) -> tuple[EulerDeg, float]:
    """-> (angles of R_local, weight)."""
    side, weight = rng.choice([-1, 1]), 1.0
    if rng.random() < BACK_OF_HEAD:
        yaw, weight = side * rng.uniform(110, 180), 0.0
    elif rng.random() < 0.5:
        yaw = rng.uniform(-45, 45)
    else:
        yaw = side * rng.uniform(45, 103)
    return EulerDeg(yaw=yaw, pitch=heavy_tail(rng, 15, 60), roll=heavy_tail(rng, 12, 60)), weight


def sample_every_direction(rng) -> EulerDeg:
    """Angles of R_local: yaw flat over the circle, pitch flat to +-60, some upside down."""
    roll = rng.uniform(-180, 180) if rng.random() < ANY_ROLL else heavy_tail(rng, 12, 60)
    return EulerDeg(yaw=rng.uniform(-180, 180), pitch=rng.uniform(-60, 60), roll=roll)


def sample_facing(rng) -> EulerDeg:
    """Angles of R_local of faces whose expression is seen: two thirds within 50 degrees of yaw, none beyond 95."""
    yaw = rng.uniform(-50, 50) if rng.random() < 0.65 else rng.choice([-1, 1]) * rng.uniform(50, 95)
    return EulerDeg(yaw=yaw, pitch=heavy_tail(rng, 15, 45), roll=heavy_tail(rng, 10, 45))


def label(K, R_camera_head, t_camera_head_m, weight=1.0) -> FaceLabel:
    """Exact label of a pose seen through a pinhole K."""
    centre = R_camera_head @ FACE_CENTRE_M + t_camera_head_m
    d = np.linalg.norm(centre)
    cos = centre[2] / d
    size = K[0, 0] * REFERENCE_LENGTH_M / d * cos**-1.5
    pixel = (K @ centre)[:2] / centre[2]
    return FaceLabel(
        R_local=lookat_rotation(centre / d) @ R_camera_head,
        centre_px=pixel,
        size_px=float(size),
        rot_std_deg=EXACT_STD_DEG,
        weight=weight,
        R_camera_head=R_camera_head,
        t_camera_head_m=t_camera_head_m,
        K=K,
    )


def sample_label(rng, size: int, every_direction: bool = False, facing: bool = False) -> FaceLabel:
    """A face of 30 to 180 px at 0.3 to 4 m somewhere in a square image of 256; its centre keeps inside.

    every_direction, facing: as in `sample_every_direction`, `sample_facing`, all with weight 1, of 70 px or more.
    """
    least = 70 if every_direction or facing else 30
    while True:
        K = pinhole(rng.uniform(35, 110), size, size)
        size_px = rng.uniform(least, 180) * size / 256
        margin = 0.25 * size_px
        pixel = rng.uniform(margin, size - 1 - margin, 2)
        if rng.random() < 0.7:
            pixel = np.clip(rng.normal((size - 1) / 2, 0.12 * size, 2), margin, size - 1 - margin)
        ray = np.linalg.solve(K, [*pixel, 1.0])
        ray /= np.linalg.norm(ray)
        d = K[0, 0] * REFERENCE_LENGTH_M / size_px * ray[2] ** -1.5
        if 0.3 <= d <= 4.0:
            break
    if every_direction or facing:
        angles, weight = (sample_every_direction if every_direction else sample_facing)(rng), 1.0
    else:
        angles, weight = sample_angles(rng)
    R_camera_head = lookat_rotation(ray).T @ aflw2000.to_matrix(angles)
    return label(K, R_camera_head, d * ray - R_camera_head @ FACE_CENTRE_M, weight)


def sample_group(rng, width: int, height: int, count: int) -> list[FaceLabel]:
    """Faces of a test view: one camera of 35 to 110 degrees, 0.4 to 2 m (a fifth up to 5 m), |yaw| <= 90, apart."""
    K, labels = pinhole(rng.uniform(35, 110), width, height), []
    for _ in range(2000):
        d = np.exp(rng.uniform(np.log(0.4), np.log(2.0))) if rng.random() < 0.8 else rng.uniform(2.0, 5.0)
        pixel = rng.uniform([0.06 * width, 0.08 * height], [0.94 * width, 0.92 * height])
        ray = np.linalg.solve(K, [*pixel, 1.0])
        ray /= np.linalg.norm(ray)
        angles, _ = sample_angles(rng)
        yaw = angles.yaw if abs(angles.yaw) <= 90 else rng.uniform(-90, 90)
        R_camera_head = lookat_rotation(ray).T @ aflw2000.to_matrix(EulerDeg(yaw, angles.pitch, angles.roll))
        new = label(K, R_camera_head, d * ray - R_camera_head @ FACE_CENTRE_M)
        apart = all(np.linalg.norm(d * ray - _centre(a)) > APART_M for a in labels)
        inside = (
            np.abs(pixel - [(width - 1) / 2, (height - 1) / 2]) < np.array([width, height]) / 2 - 0.25 * new.size_px
        )
        if apart and inside.all() and new.size_px >= MIN_SIZE_PX:
            labels.append(new)
        if len(labels) == count:
            break
    return labels


def _centre(lab: FaceLabel) -> np.ndarray:
    return lab.R_camera_head @ FACE_CENTRE_M + lab.t_camera_head_m


def sample_body(rng, R_local: np.ndarray) -> np.ndarray:
    """Rotation vector of the body relative to the head, head frame: the body is more upright than the head."""
    a = aflw2000.from_matrix(R_local)
    yaw = np.degrees(np.arctan2(R_local[0, 2], R_local[2, 2]))  # full circle
    pitch = float(a.pitch) if abs(yaw) < 90 else 0.0
    roll = float(a.roll) if abs(yaw) < 90 else 0.0
    relative = EulerDeg(
        yaw=-np.clip(yaw * rng.uniform(0, 0.8) + rng.normal(0, 10), -60, 60),
        pitch=-np.clip(pitch * rng.uniform(0.2, 0.9) + rng.normal(0, 6), -35, 35),
        roll=-np.clip(roll * rng.uniform(0.1, 0.8) + rng.normal(0, 4), -30, 30),
    )
    return Rotation.from_matrix(aflw2000.to_matrix(relative)).as_rotvec()


def sample_light(rng, environment):
    """-> (sh (9, 3), exposure, light directions (2, 3), light colours (2, 3), R_world_camera)."""
    turn = Rotation.from_euler("YXZ", [rng.uniform(-180, 180), rng.normal(0, 12), rng.normal(0, 8)], degrees=True)
    R_world_camera = turn.as_matrix()
    level = environment.mean
    exposure = 0.42 / level * 2 ** rng.uniform(-1.2, 0.8)
    direction = rng.normal(size=(2, 3)) * [1, 0.6, 1] + [0, -0.5, -0.4]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    warm = np.exp(rng.normal(0, 0.15, (2, 1)) * [[1, 0, -1]])
    strength = level * np.pi * rng.uniform(0.2, 2.2, (2, 1)) * (rng.random((2, 1)) < [[0.55], [0.25]])
    return environment.rotated_sh(R_world_camera), exposure, direction, strength * warm, R_world_camera


def sample_scene(rng, lab: FaceLabel, size: int, environment, pivot_m) -> tuple[Scene, np.ndarray]:
    """-> (scene, R_world_camera)."""
    sh, exposure, direction, lights, R_world_camera = sample_light(rng, environment)
    scene = Scene(
        lab.K,
        size,
        size,
        lab.R_camera_head,
        lab.t_camera_head_m,
        sample_body(rng, lab.R_local),
        pivot_m,
        sh,
        exposure,
        direction,
        lights,
        gloss=float(rng.uniform(0.3, 1.8)),
    )
    return scene, R_world_camera
