"""Stamped head poses of one stream: what ground truth and estimates are turned into before anything is compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from hpe_core.geometry import frames, so3

FRAMES = ("face", "head", "gaze")
MAX_NUMBER = 1e6  # metres, or a quaternion's length: no head is there
TRACK_GATE_M = 0.3  # farthest that a head without an id may move between two messages
_R_FRAME_HEAD = {"face": frames.R_head_face.T, "head": np.eye(3), "gaze": frames.R_head_gaze.T}


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseSeries:
    """N poses of heads in the camera optical frame, in stamp order, from M messages.

    stamp_ns, log_ns (N,) int64: of the header and of recording (-1: unknown); R (N, 3, 3): R_camera_head; t_m (N, 3);
    covariance (N, 6, 6) as in HeadPose, NaN where unknown, or None; face_id (N,) str; has_ids: whether these are the
    source's own; message_stamp_ns, message_log_ns (M,): of every message, those without a pose too; frame_id: of the
    poses, "" when unknown; losses: Counter reason -> count of poses or messages that could not be used.
    """

    stamp_ns: np.ndarray
    log_ns: np.ndarray
    R: np.ndarray
    t_m: np.ndarray
    covariance: np.ndarray | None
    face_id: np.ndarray
    has_ids: bool
    message_stamp_ns: np.ndarray
    message_log_ns: np.ndarray
    frame_id: str = ""
    losses: Counter[str] = field(default_factory=Counter)
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.stamp_ns)

    def where(self, mask: np.ndarray) -> PoseSeries:
        """The poses of a mask or index array (K,); messages stay."""
        covariance = None if self.covariance is None else self.covariance[mask]
        arrays = {name: getattr(self, name)[mask] for name in ("stamp_ns", "log_ns", "R", "t_m", "face_id")}
        return replace(self, covariance=covariance, **arrays)

    def shifted(self, shift_ns: int) -> PoseSeries:
        """The series with `shift_ns` added to every stamp."""
        moved = {name: getattr(self, name) + int(shift_ns) for name in ("stamp_ns", "message_stamp_ns")}
        return replace(self, **moved)


def head_rotation(R_camera_frame: np.ndarray, frame: str) -> np.ndarray:
    """R_camera_head (..., 3, 3) of rotations that are given for the frame `face`, `head` or `gaze` of a head."""
    return np.asarray(R_camera_frame, float) @ _R_FRAME_HEAD[frame]


class SeriesBuilder:
    """Collects messages and poses, refuses what is no pose and counts it."""

    def __init__(self, has_ids: bool) -> None:
        self._has_ids = has_ids
        self._frame_id = ""
        self._messages: list[tuple[int, int]] = []
        self._poses: list[tuple] = []  # stamp_ns, log_ns, quaternion (4), position (3), face_id
        self._covariances: list[np.ndarray | Sequence[float] | None] = []
        self._pose_frames: list[str] = []
        self.losses: Counter[str] = Counter()
        self.frame_ids: Counter[str] = Counter()

    def message(self, stamp_ns: int, log_ns: int, frame_id: str = "") -> None:
        """One message has come, with or without poses."""
        self._messages.append((stamp_ns, log_ns))
        self._frame_id = frame_id.lstrip("/")
        self.frame_ids[self._frame_id] += 1

    def pose(
        self,
        stamp_ns: int,
        log_ns: int,
        quat: np.ndarray | Sequence[float],
        t_m: np.ndarray | Sequence[float],
        face_id: str = "",
        covariance: np.ndarray | Sequence[float] | None = None,
    ) -> None:
        """One pose of the last message: quat (4,) x, y, z, w; t_m (3,); covariance: 36 numbers or None."""
        self._pose_frames.append(self._frame_id)
        self._poses.append((stamp_ns, log_ns, *quat, *t_m, face_id))
        self._covariances.append(covariance)

    def build(self, frame: str, notices: Iterable[str] = ()) -> PoseSeries:
        """PoseSeries in stamp order; `frame`: which frame of the head the poses are of."""
        order = sorted(range(len(self._poses)), key=lambda i: self._poses[i][0])
        rows = [self._poses[i] for i in order]
        numbers = np.array([row[2:9] for row in rows], float).reshape(-1, 7)
        stamps = np.array([row[:2] for row in rows], np.int64).reshape(-1, 2)
        ids = np.array([row[9] for row in rows], dtype=str)
        frame_id = min(self.frame_ids, key=lambda name: (-self.frame_ids[name], name), default="")
        elsewhere = np.array([self._pose_frames[i] != frame_id for i in order], bool)
        keep, quat = self._usable(numbers, stamps[:, 0], ids, elsewhere, frame_id)
        covariance = self._covariance([self._covariances[i] for i in order])
        messages = np.array(sorted(set(self._messages)), np.int64).reshape(-1, 2)
        return PoseSeries(
            stamp_ns=stamps[keep, 0],
            log_ns=stamps[keep, 1],
            R=head_rotation(_matrix(quat[keep]), frame),
            t_m=numbers[keep, 4:],
            covariance=None if covariance is None else covariance[keep],
            face_id=ids[keep],
            has_ids=self._has_ids,
            message_stamp_ns=messages[:, 0],
            message_log_ns=messages[:, 1],
            frame_id=frame_id,
            losses=self.losses,
            notices=tuple(notices),
        )

    def _usable(
        self, numbers: np.ndarray, stamp_ns: np.ndarray, ids: np.ndarray, elsewhere: np.ndarray, frame_id: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mask (N,) of poses that can be used, and their unit quaternions (N, 4); the others are counted."""
        finite = np.all(np.isfinite(numbers), -1)
        self._count("pose with a number that is not finite", ~finite)
        absurd = finite & np.any(np.abs(numbers) > MAX_NUMBER, -1)
        self._count(f"pose with a number beyond {MAX_NUMBER:g}", absurd)
        finite &= ~absurd
        norm = np.linalg.norm(np.where(finite[:, None], numbers[:, :4], 0.0), axis=-1)
        rotation = norm > 1e-6
        self._count("pose with a quaternion of length 0", finite & ~rotation)
        self._count("quaternion not of unit length (used, normalised)", rotation & (np.abs(norm - 1.0) > 1e-3))
        keep = finite & rotation & ~elsewhere
        self._count(f"pose in another frame than {frame_id or 'the empty one'}", elsewhere & finite & rotation)
        keep &= self._first_of_its_stamp(keep, stamp_ns, ids)
        return keep, numbers[:, :4] / np.where(rotation, norm, 1.0)[:, None]

    def _first_of_its_stamp(self, usable: np.ndarray, stamp_ns: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Mask (N,): without ids one stamp may hold many faces, with ids each only once."""
        if not self._has_ids:
            return np.ones(len(stamp_ns), bool)
        seen: set[tuple[int, str]] = set()
        first = np.ones(len(stamp_ns), bool)
        for i in np.flatnonzero(usable):
            key = (stamp_ns[i], ids[i])
            first[i] = key not in seen
            seen.add(key)
        self._count("pose with the stamp and id of an earlier one", ~first)
        return first

    def _count(self, reason: str, mask: np.ndarray) -> None:
        if np.any(mask):
            self.losses[reason] += int(np.sum(mask))

    def _covariance(self, values: Sequence[np.ndarray | Sequence[float] | None]) -> np.ndarray | None:
        """(N, 6, 6) or None; unknown (all zero, or negative first element as in sensor_msgs/Imu) becomes NaN."""
        if all(value is None for value in values):
            return None
        unknown = np.full(36, np.nan)
        C = np.array([unknown if v is None else np.asarray(v, float) for v in values]).reshape(-1, 6, 6)
        absurd = ~np.all(np.abs(C) < MAX_NUMBER, axis=(1, 2))
        C[(C[:, 0, 0] < 0) | ~np.any(C, axis=(1, 2)) | absurd] = np.nan
        return C if np.any(np.isfinite(C)) else None


def _matrix(quat: np.ndarray) -> np.ndarray:
    """Rotation matrices (N, 3, 3) of unit quaternions (N, 4)."""
    return so3.matrix_from_quat(quat) if len(quat) else np.zeros((0, 3, 3))


def linked(series: PoseSeries) -> PoseSeries:
    """The series with ids `track_0` ... for heads without an id of their own: each message's poses are assigned to the
    nearest head of the messages before (Hungarian, at most TRACK_GATE_M away, within a second)."""
    if series.has_ids or len(series) == 0:
        return series
    ids = np.full(len(series), "track_0000", dtype="<U12")
    if np.all(np.diff(series.stamp_ns) > 0):  # never two heads at once: one track
        return replace(series, face_id=ids)
    heads: dict[str, tuple[int, np.ndarray]] = {}  # id -> stamp and position when last seen
    stamps, starts = np.unique(series.stamp_ns, return_index=True)
    for stamp, group in zip(stamps, np.split(np.arange(len(series)), starts[1:]), strict=True):
        near = [name for name, (when, _) in heads.items() if stamp - when <= 1_000_000_000]
        pairs = {}
        if near:
            places = np.array([heads[name][1] for name in near])
            cost = np.linalg.norm(series.t_m[group][:, None] - places[None], axis=-1)
            rows, columns = linear_sum_assignment(np.minimum(cost, 10.0 * TRACK_GATE_M))
            pairs = {r: near[c] for r, c in zip(rows, columns, strict=True) if cost[r, c] <= TRACK_GATE_M}
        for row, i in enumerate(group):
            name = pairs.get(row, f"track_{len(heads):04d}")
            ids[i], heads[name] = name, (stamp, series.t_m[i])
    return replace(series, face_id=ids)
