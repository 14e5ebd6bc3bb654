"""Stable face ids in eight slots, `face_a` ... `face_h`, and a pose filter per face."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpe_core.config import TrackerConfig
from hpe_core.face_id import FaceId
from hpe_core.geometry import so3
from hpe_core.geometry.head import head_size_covariance
from hpe_core.stamps import BEFORE_ALL_NS, jumped_back
from hpe_core.tracking.assignment import cheapest_pairs
from hpe_core.tracking.pose_filter import PoseFilters
from hpe_core.types import Face, HeadPose

FACE_IDS = tuple(FaceId(f"face_{letter}") for letter in "abcdefgh")
GATE_SIGMAS = 6.0  # normalised distance from where a face is expected, beyond which it is another one
UNPAIRED_COST = 20.0  # of a new face beside a track that is not seen; pairs as dear as that are none
# measurements err by more than their covariance now and then: half hidden faces, profiles
SLACK = np.diag([0.03**2] * 3 + [0.3**2] * 3)  # m^2, rad^2
MISSED_COST = 4.6  # 2 ln(odds) that a face seen a moment ago is seen again and not one that was missed then
UNSURE_COST = 2.2  # 2 ln(odds): an assignment less than three times as likely as another one is none
EXPECTED_FOR_S = 1.0  # a face not seen for longer is expected where it would have been by then


@dataclass(eq=False)
class _Track:
    face_id: FaceId
    face: Face  # as last seen
    stamp_ns: int


class Tracker:
    """Gives ids to faces and filters their poses. Only faces seen in a frame are reported for it."""

    def __init__(self, config: TrackerConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Forget every face, as at the start; all slots are free."""
        self._tracks: list[_Track] = []  # each has the row of its place in the filters
        self._stamp_ns = BEFORE_ALL_NS  # of the newest image
        self._filters = PoseFilters(self._config.linear_acceleration_std, self._config.angular_acceleration_std)
        self._free = list(FACE_IDS)

    def reconfigure(self, config: TrackerConfig) -> None:
        """Go on with another configuration; faces keep their ids and filters."""
        self._config = config
        self._filters.set_accelerations(config.linear_acceleration_std, config.angular_acceleration_std)

    def update(self, faces: Sequence[Face], stamp_ns: int) -> tuple[tuple[Face, ...], int]:
        """Tracked faces (with id and filtered pose) of the frame at stamp_ns, and how many were left without an id.

        faces: those of one image, any order. A stamp far before the last one (a bag that loops) starts again.
        """
        if jumped_back(stamp_ns, self._stamp_ns):
            self.reset()
        before_ns = self._stamp_ns
        self._stamp_ns = max(stamp_ns, self._stamp_ns)
        self._release_old()
        rows, untracked = self._associate(faces, before_ns), 0
        self._continue(rows, faces)
        for index, face in enumerate(faces):
            if index in rows or (face.score < self._config.new_face_score and not face.confirmed):
                continue
            if self._free:
                rows[index] = self._start(face)
            else:
                untracked += 1
        tracked = [
            replace(
                faces[index],
                face_id=self._tracks[row].face_id,
                pose=self._filters.pose(row) if self._config.filter else faces[index].pose,
            )
            for index, row in sorted(rows.items(), key=lambda pair: self._tracks[pair[1]].face_id)
        ]
        return tuple(tracked), untracked

    def expected(self, stamp_ns: int) -> list[Face]:
        """Faces that were confirmed in the latest image, their poses moved on to stamp_ns, never back."""
        rows = [row for row, track in enumerate(self._tracks) if self._confirmed_now(track)]
        if not rows:
            return []
        R, t, _ = self._filters.predicted(rows, [max(0, stamp_ns - self._stamp_ns) * 1e-9] * len(rows))
        return [replace(self._tracks[row].face, pose=HeadPose(R[i], t[i])) for i, row in enumerate(rows)]

    @property
    def misses_a_face(self) -> bool:
        """Whether a face has an id though it was not confirmed in the latest image."""
        return not all(self._confirmed_now(track) for track in self._tracks)

    def _confirmed_now(self, track: _Track) -> bool:
        return track.stamp_ns == self._stamp_ns and bool(track.face.confirmed)

    def _release_old(self):
        oldest = self._stamp_ns - self._config.timeout_s * 1e9
        kept = [row for row, track in enumerate(self._tracks) if track.stamp_ns >= oldest]
        if len(kept) < len(self._tracks):
            self._free += [track.face_id for track in self._tracks if track.stamp_ns < oldest]
            self._tracks = [self._tracks[row] for row in kept]
            self._filters.keep(kept)

    def _start(self, face: Face) -> int:
        """The row of a new track."""
        self._filters.add(face.pose)
        self._tracks.append(_Track(self._free.pop(0), face, self._stamp_ns))
        return len(self._tracks) - 1

    def _continue(self, rows: dict[int, int], faces: Sequence[Face]):
        """Filter the faces that continue tracks; rows: dict from face index to row."""
        if not rows:
            return
        which = list(rows.values())
        self._filters.predict(which, self._unseen_s(which))
        self._filters.update(which, [faces[index].pose for index in rows])
        for index, row in rows.items():
            self._tracks[row].face, self._tracks[row].stamp_ns = faces[index], self._stamp_ns

    def _unseen_s(self, rows: list[int]) -> list[float]:
        """Seconds since the tracks of rows were seen."""
        return [(self._stamp_ns - self._tracks[row].stamp_ns) * 1e-9 for row in rows]

    def _associate(self, faces: Sequence[Face], before_ns: int) -> dict[int, int]:
        """Dict from face index to the row of the track that it surely continues; before_ns: stamp of the last image."""
        if not faces or not self._tracks:
            return {}
        measured = (
            np.array([face.pose.R_camera_head for face in faces]),
            np.array([face.pose.t_camera_head_m for face in faces]),
            np.array([face.pose.covariance for face in faces]),
        )
        rows = list(range(len(self._tracks)))
        ahead_s = np.minimum(self._unseen_s(rows), EXPECTED_FOR_S)
        cost = pair_costs(measured, self._filters.predicted(rows, ahead_s))
        cost += [MISSED_COST * (track.stamp_ns < before_ns) for track in self._tracks]
        return sure_pairs(cost)


Poses = tuple[np.ndarray, np.ndarray, np.ndarray]  # (N, 3, 3), (N, 3) m, (N, 6, 6) m^2 and rad^2


def pair_costs(measured: Poses, predicted: Poses) -> np.ndarray:
    """How unlikely it is that faces (N) are tracks (M): (N, M) -2 ln of the density, infinite beyond the gate.

    Each side is rotations (N, 3, 3), positions (N, 3) m and covariances (N, 6, 6), the tracks' those of now.
    """
    (R_a, t_a, P_a), (R_b, t_b, P_b) = measured, predicted
    turn = so3.rotvec_from_matrix(R_a[:, None] @ np.swapaxes(R_b, -1, -2))
    apart = np.concatenate([t_a[:, None] - t_b, turn], -1)
    S = P_a[:, None] + P_b + SLACK
    S[..., :3, :3] += head_size_covariance(t_b)
    distance2 = np.sum(apart * np.linalg.solve(S, apart[..., None])[..., 0], -1)
    return np.where(distance2 < GATE_SIGMAS**2, distance2 + np.linalg.slogdet(S)[1], np.inf)


def sure_pairs(cost: np.ndarray) -> dict[int, int]:
    """Dict row -> column of the cheapest pairs of cost (N, M), without those that might as well be others.

    Others: another column that has no pair, or the exchange of columns with another pair.
    """
    candidates = [pair for pair in cheapest_pairs(np.minimum(cost, UNPAIRED_COST)) if cost[pair] < UNPAIRED_COST]
    row_of = {column: row for row, column in candidates}
    pairs = {}
    for row, column in candidates:
        rivals = [
            cost[row, other] + (cost[row_of[other], column] - cost[row_of[other], other] if other in row_of else 0.0)
            for other in range(cost.shape[1])
            if other != column
        ]
        if min(rivals, default=np.inf) - cost[row, column] > UNSURE_COST:
            pairs[row] = column
    return pairs
