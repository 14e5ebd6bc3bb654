"""Head sizes of tracked faces, learnt while there is depth, and ranges from size and depth together.

Without depth the size that people of a face's identity have is the best guess, where a network tells an identity.

What counts is the ratio of a head's range to the size-based one. It is the person's head size relative to the
reference, which stays, times the error of this size-based range, part of which stays while the pose does; a depth image
measures it with errors of its own. All are relative, so logarithms and standard deviations of a few per cent are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpe_core.geometry.head import HEAD_SIZE_REL_STD, turned_range_variance
from hpe_core.types import Face, HeadPose, RangeScale

NEVER_NS = -(1 << 62)
# errors of consecutive images are much the same one: so long after the last reading another one counts in full
INDEPENDENT_AFTER_S = 0.5
MIN_SIZE_STD = 0.01  # readings of one person share the errors of the camera and of the mean face


class HeadSizes:
    """One row per tracked face, as in PoseFilters. Without any depth nothing is changed, nor computed."""

    def __init__(self):
        self._size_log, self._variance = np.empty(0), np.empty(0)  # of the head size; log of 1 is the reference
        self._ratio_log = np.empty(0)  # of the latest range to the size-based one
        self._rel_std = np.empty(0)  # of that ratio, what no filter may average away
        self._read_ns = np.empty(0, np.int64)  # of the latest reading
        self._sized = np.empty(0, bool)  # whether there was a reading or an identity

    def add(self) -> None:
        """A new last row: a head of which nothing is known."""
        self._size_log, self._ratio_log = np.append(self._size_log, 0.0), np.append(self._ratio_log, 0.0)
        self._variance = np.append(self._variance, HEAD_SIZE_REL_STD**2)
        self._rel_std = np.append(self._rel_std, HEAD_SIZE_REL_STD)
        self._read_ns = np.append(self._read_ns, NEVER_NS)
        self._sized = np.append(self._sized, False)

    def keep(self, rows: list[int]) -> None:
        """Forget all rows but these."""
        self._size_log, self._variance, self._ratio_log = (
            values[rows] for values in (self._size_log, self._variance, self._ratio_log)
        )
        self._rel_std, self._read_ns, self._sized = self._rel_std[rows], self._read_ns[rows], self._sized[rows]

    def known(self, row: int) -> bool:
        """Whether there ever was a depth reading of the row's face."""
        return self._read_ns[row] != NEVER_NS

    def scale(self, row: int) -> RangeScale | None:
        """RangeScale of the row's latest measurement, None where nothing is known but the size."""
        if not self._sized[row]:
            return None
        return RangeScale(float(np.exp(self._ratio_log[row])), float(self._rel_std[row]))

    def ratios(self, rows: Sequence[int]) -> np.ndarray | None:
        """Ratios (N,) of the rows' latest ranges to the size-based ones; None when nothing is known of any face."""
        return np.exp(self._ratio_log[rows]) if self._sized[rows].any() else None

    def measured(self, rows: Sequence[int], faces: Sequence[Face], stamp_ns: int) -> tuple[list[HeadPose], np.ndarray]:
        """The faces' poses at their best range, for the rows' filters, and by which factors (N,) those have to be moved
        first: a head is at another distance than thought when the first depth image shows it, or its identity.

        The covariances hold what differs from image to image, as those of the faces do; the rest is in `scale`.
        """
        poses, moved = [face.pose for face in faces], np.ones(len(faces))
        for i, (row, face) in enumerate(zip(rows, faces, strict=True)):
            if face.reading is None and face.shape is None and not self.known(row):
                continue
            poses[i], moved[i] = self._at_best_range(row, face, stamp_ns)
        return poses, moved

    def _at_best_range(self, row, face, stamp_ns):
        pose, reading = face.pose, face.reading
        assert pose.covariance is not None  # the estimator's have one
        ray = pose.t_camera_head_m / np.linalg.norm(pose.t_camera_head_m)
        noise = float(ray @ pose.covariance[:3, :3] @ ray) / float(pose.t_camera_head_m @ pose.t_camera_head_m)
        turned = float(turned_range_variance(pose.R_camera_head, pose.t_camera_head_m))
        before, known = self._size_log[row], self.known(row)
        if face.shape is not None and not known:
            self._size_log[row] = face.shape.log_size
        self._sized[row] = True
        ratio, stays = self._size_log[row], self._variance[row] + turned
        if reading is not None:
            read, read_noise, read_stays = np.log(reading.ratio), reading.noise_std**2, reading.systematic_std**2
            share = (stays + noise) / (stays + noise + read_noise + read_stays)  # of the depth image
            ratio += share * (read - ratio)
            self._learn(row, read, noise + turned + read_noise + read_stays, stamp_ns)
            noise = share**2 * read_noise + (1.0 - share) ** 2 * noise
            stays = share**2 * read_stays + (1.0 - share) ** 2 * stays
        moved = 1.0 if known else float(np.exp(self._size_log[row] - before))
        self._ratio_log[row], self._rel_std[row] = ratio, np.sqrt(stays)
        return moved_along_ray(pose, float(np.exp(ratio)), np.sqrt(noise)), moved

    def _learn(self, row, read, variance, stamp_ns):
        """Take in a reading of the head size (logarithm) with its variance."""
        since_s = max(stamp_ns - int(self._read_ns[row]), 1) * 1e-9
        gain = self._variance[row] / (self._variance[row] + variance * max(1.0, INDEPENDENT_AFTER_S / since_s))
        self._size_log[row] += gain * (read - self._size_log[row])
        self._variance[row] = max((1.0 - gain) * self._variance[row], MIN_SIZE_STD**2)
        self._read_ns[row] = stamp_ns


def at_size_of_identity(face: Face) -> Face:
    """A Face of a single image at the range that people of its identity have, which look as large; without an identity
    as it is."""
    if face.shape is None:
        return face
    sizes = HeadSizes()
    sizes.add()
    (pose,), _ = sizes.measured([0], [face], 0)
    return replace(face, pose=pose, scale=sizes.scale(0))


def moved_along_ray(pose: HeadPose, ratio: float, range_rel_std: float) -> HeadPose:
    """The pose moved away from the camera by a factor, seen in the same direction; its range then has a standard
    deviation of range_rel_std of itself, and what the covariance says across the ray and of the rotation stays.
    """
    assert pose.covariance is not None
    t = ratio * pose.t_camera_head_m
    range_m = np.linalg.norm(t)
    ray = t / range_m
    along = np.outer(ray, ray)
    before_m = np.sqrt(ray @ pose.covariance[:3, :3] @ ray)
    change = np.eye(6)
    change[:3, :3] = ratio * (np.eye(3) - along) + (range_rel_std * range_m / before_m) * along
    return HeadPose(pose.R_camera_head, t, change @ pose.covariance @ change.T)
