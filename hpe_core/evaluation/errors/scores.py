"""Per-pose errors of one estimate: the table from which every summary is computed, also over many bags."""

from dataclasses import dataclass, fields

import numpy as np

from hpe_core.evaluation.errors import frame_offset, metrics
from hpe_core.geometry import euler
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, pixels_per_metre


@dataclass(frozen=True, eq=False)
class Scores:
    """Errors of P matched poses in time order, and what L missed heads looked like.

    geodesic_deg, maev_deg, add_m (P,); euler_deg (P, 3): signed yaw, pitch, roll; t_error_m (P, 3): camera frame;
    depth_m, lateral_m, range_m, size_px (P,): true distance and face size (NaN without a camera); R_true, angles_deg
    (P, 3): true yaw, pitch, roll; time_s (P,): from the first frame; held_out (P,) bool: not used to fit the frame
    offset; calibrated_*: the same errors after it, NaN where there is none; missed_*: as above, of missed heads.
    """

    geodesic_deg: np.ndarray
    maev_deg: np.ndarray
    add_m: np.ndarray
    euler_deg: np.ndarray
    t_error_m: np.ndarray
    depth_m: np.ndarray
    lateral_m: np.ndarray
    range_m: np.ndarray
    size_px: np.ndarray
    R_true: np.ndarray
    angles_deg: np.ndarray
    time_s: np.ndarray
    held_out: np.ndarray
    calibrated_geodesic_deg: np.ndarray
    calibrated_euler_deg: np.ndarray
    calibrated_t_error_m: np.ndarray
    missed_range_m: np.ndarray
    missed_size_px: np.ndarray
    missed_R_true: np.ndarray
    missed_angles_deg: np.ndarray
    missed_time_s: np.ndarray

    def __len__(self):
        return len(self.geodesic_deg)


def concatenated(many):
    """One Scores of several, in the given order."""
    return Scores(*(np.concatenate([getattr(s, f.name) for s in many]) for f in fields(Scores)))


def face_size_px(camera, R, t_m):
    """Size (N,) in pixels of the reference length on heads (N, 3, 3), (N, 3); NaN without a camera or behind it."""
    centre = R @ FACE_CENTRE_M + t_m
    size = np.full(len(centre), np.nan)
    front = centre[:, 2] > 0.01
    if camera is not None and front.any():
        size[front] = REFERENCE_LENGTH_M * pixels_per_metre(camera, centre[front])
    return size


def aflw2000_angles_deg(R):
    """Yaw, pitch, roll (N, 3) in the AFLW2000 convention."""
    angles = euler.aflw2000.from_matrix(R)
    return np.stack([angles.yaw, angles.pitch, angles.roll], -1)


def score(matches, estimate, camera, calibration_part):
    """Scores of Matches, and dict track -> FrameOffset fitted on the first `calibration_part` of each track's poses."""
    R, t_m = estimate.R[matches.estimate], estimate.t_m[matches.estimate]
    R_true, t_true = matches.true_R[matches.truth], matches.true_t_m[matches.truth]
    start = matches.frame_ns[0] if len(matches.frame_ns) else 0
    t_error, depth = t_m - t_true, metrics.depth_error_m(t_m, t_true)
    offsets, held_out, R_cal, t_cal = _calibrated(matches, R, t_m, R_true, t_true, calibration_part)
    gone = matches.missed
    scores = Scores(
        metrics.geodesic_deg(R, R_true),
        metrics.maev_deg(R, R_true),
        metrics.add_m(R, t_m, R_true, t_true),
        metrics.euler_error_deg(R, R_true),
        t_error,
        depth,
        np.sqrt(np.maximum(np.sum(t_error**2, -1) - depth**2, 0.0)),
        np.linalg.norm(t_true, axis=-1),
        face_size_px(camera, R_true, t_true),
        R_true,
        aflw2000_angles_deg(R_true),
        (matches.true_ns[matches.truth] - start) * 1e-9,
        held_out,
        metrics.geodesic_deg(R, R_cal),
        metrics.euler_error_deg(R, R_cal),
        t_m - t_cal,
        np.linalg.norm(matches.true_t_m[gone], axis=-1),
        face_size_px(camera, matches.true_R[gone], matches.true_t_m[gone]),
        matches.true_R[gone],
        aflw2000_angles_deg(matches.true_R[gone]),
        (matches.true_ns[gone] - start) * 1e-9,
    )
    return scores, offsets


def _calibrated(matches, R, t_m, R_true, t_true, part):
    """Offsets per track, mask (P,) of poses not used for them, and the true poses carried over (NaN without offset)."""
    offsets, held_out = {}, np.zeros(len(R), bool)
    R_cal, t_cal = np.full_like(R_true, np.nan), np.full_like(t_true, np.nan)
    track = matches.true_track[matches.truth]
    for name in np.unique(track):
        mine = np.flatnonzero(track == name)
        first, rest = np.split(mine, [int(np.ceil(part * len(mine)))])
        offset = frame_offset.fit(R[first], t_m[first], R_true[first], t_true[first])
        if offset is not None and len(rest):
            offsets[str(name)] = offset
            held_out[rest] = True
            R_cal[mine], t_cal[mine] = offset.applied(R_true[mine], t_true[mine])
    return offsets, held_out, R_cal, t_cal
