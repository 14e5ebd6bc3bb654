"""ROI tracking: the faces of a moment ago as places for crops, and which candidates describe the same face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpe_core.candidates import Candidates, Places
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, pixels_per_metre, range_from_size
from hpe_core.types import Face


def expected_places(faces: Sequence[Face], camera: CameraModel) -> Places:
    """Where the camera should see the centres of faces, without those beyond its lens."""
    R = np.array([face.pose.R_camera_head for face in faces]).reshape(-1, 3, 3)
    centres = np.array([face.pose.t_camera_head_m for face in faces]).reshape(-1, 3) + R @ FACE_CENTRE_M
    score, ahead = np.array([face.score for face in faces]), camera.in_range(centres)
    if not ahead.all():
        score, centres = score[ahead], centres[ahead]
    range_m = np.sqrt((centres * centres).sum(-1))
    return Places(
        score=score,
        centre_px=camera.project(centres),
        size_px=REFERENCE_LENGTH_M * pixels_per_metre(camera, centres),
        rays=centres / range_m[:, None],
        range_m=range_m,
    )


def rays_and_ranges(places: Places, camera: CameraModel) -> tuple[np.ndarray, np.ndarray]:
    """Unit rays (N, 3) to the centres of places, and their ranges (N,) m; NaN where the camera has no ray."""
    rays = rays_of(places, camera)
    return rays, range_from_size(camera, rays, places.size_px) if places.range_m is None else places.range_m


def rays_of(places: Places, camera: CameraModel) -> np.ndarray:
    """Unit rays (N, 3) to the centres of places; NaN where the camera has none."""
    return camera.rays(places.centre_px) if places.rays is None else places.rays


def tracked(found: Candidates, expected: Places) -> Candidates:
    """The confirmed ones of candidates (N), each face once: that which strayed least from where it was expected (N)."""
    confirmed = confirmed_of(found).nonzero()[0]
    if len(found) == 1 == len(confirmed):
        return found
    strayed_px = np.linalg.norm(found.centre_px - expected.centre_px, axis=-1)[confirmed]
    nearest = confirmed[np.argsort(strayed_px / found.size_px[confirmed], kind="stable")]
    return each_once(found.where(nearest))


def seen_again(known: Candidates, detected: Candidates) -> tuple[Candidates, Candidates]:
    """The known faces that full-frame detection of the same image shows too, with its scores; and its other faces."""
    same = same_faces(known, detected)
    keep = same.any(1)
    known = known.where(np.flatnonzero(keep))
    if keep.any():
        known = replace(known, score=np.where(same[keep], detected.score, 0.0).max(1))
    return known, detected.where(np.flatnonzero(~same.any(0)))


def confirmed_first(found: Candidates) -> Candidates:
    """The confirmed candidates before the others, else in their order."""
    confirmed = confirmed_of(found)
    return found if confirmed.all() else found.where(np.argsort(~confirmed, kind="stable"))


def each_once(found: Candidates) -> Candidates:
    """The candidates without those that describe the same face as one before them."""
    if len(found) < 2:
        return found
    before = np.tril(same_faces(found, found), -1)
    keep = np.ones(len(found), bool)
    for i in np.flatnonzero(before.any(1)):
        keep[i] = not (before[i] & keep).any()
    return found.where(keep)


def wanted_first(found: Candidates, count: int, known: Places) -> Candidates:
    """So many of the candidates, in their order: those that describe known faces, the first of these first, then large
    and sure ones.
    """
    if len(found) <= count:
        return found
    same = same_faces(found, known)
    rank = np.where(same.any(1), same.argmax(1) if len(known) else 0, len(known))
    order = np.lexsort([-found.score * found.size_px, rank])
    return found.where(np.sort(order[:count]))


def same_faces(places: Places, others: Places) -> np.ndarray:
    """Mask (N, M): which of N places describe the same face as which of M others."""
    return same_face(places.centre_px[:, None], places.size_px[:, None], others.centre_px, others.size_px)


def same_face(
    centre_px: np.ndarray, size_px: np.ndarray | float, centres_px: np.ndarray, sizes_px: np.ndarray
) -> np.ndarray:
    """Mask (..., N): centres (N, 2) of sizes (N,) that describe the same face as a centre (..., 2) of a size (...)."""
    distance = np.linalg.norm(centres_px - centre_px, axis=-1)
    return distance < np.maximum(0.5 * np.minimum(sizes_px, size_px), 0.35 * np.maximum(sizes_px, size_px))


def confirmed_of(found: Candidates) -> np.ndarray:
    """Which candidates (N,) a crop network confirms: none where there is no such network."""
    return np.zeros(len(found), bool) if found.confirmed is None else found.confirmed
