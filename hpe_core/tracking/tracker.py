"""Face ids that are never used again, the bounded slots that go with them, and a pose filter per face."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpe_core.config import TrackerConfig
from hpe_core.face_id import SLOTS, FaceId, FaceIds
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import head_size_covariance
from hpe_core.geometry.lookat import lookat_rotation
from hpe_core.stamps import BEFORE_ALL_NS, jumped_back
from hpe_core.tracking.assignment import cheapest_pairs
from hpe_core.tracking.head_size import HeadSizes
from hpe_core.tracking.identity import Identities
from hpe_core.tracking.pose_filter import PoseFilters
from hpe_core.tracking.returning import may_return
from hpe_core.types import Face, HeadPose

GATE_SIGMAS = 6.0  # normalised distance from where a face is expected, beyond which it is another one
UNPAIRED_COST = 20.0  # of a new face beside a track that is not seen; pairs as dear as that are none
# measurements err by more than their covariance now and then: half hidden faces, profiles
SLACK = np.diag([0.03**2] * 3 + [0.3**2] * 3)  # m^2, rad^2
MISSED_COST = 4.6  # 2 ln(odds) that a face seen a moment ago is seen again and not one that was missed then
UNSURE_COST = 2.2  # 2 ln(odds): an assignment less than three times as likely as another one is none
PLACE_KEPT_S = 0.3  # for how long a face that is hidden counts among the most that are tracked
FEW_PAIRS = 16  # of which it is faster to take all to the gate
EXPECTED_FOR_S = 1.0  # a face not seen for longer is expected where it would have been by then


@dataclass(eq=False)
class _Track:
    face_id: FaceId
    slot: int
    face: Face  # as last seen, its pose at the range that counts
    stamp_ns: int


class Tracker:
    """Gives ids to faces and filters their poses. Only faces seen in a frame are reported for it."""

    def __init__(self, config: TrackerConfig):
        self._config, self._ids = config, FaceIds(config.id_seed)
        self.reset()

    def reset(self) -> None:
        """Forget every face. All slots are free; ids that were given never come again."""
        self._tracks: list[_Track] = []  # each has the row of its place in the filters
        self._stamp_ns = BEFORE_ALL_NS  # of the newest image
        self._filters = PoseFilters(self._config.linear_acceleration_std, self._config.angular_acceleration_std)
        self._sizes, self._identities = HeadSizes(), Identities()

    def reconfigure(self, config: TrackerConfig) -> None:
        """Go on with another configuration; faces keep their ids and filters."""
        self._config = config
        self._filters.set_accelerations(config.linear_acceleration_std, config.angular_acceleration_std)

    def update(
        self, faces: Sequence[Face], stamp_ns: int, most: int = SLOTS, camera: CameraModel | None = None
    ) -> tuple[tuple[Face, ...], int]:
        """Tracked faces (with id, slot and filtered pose) of the frame at stamp_ns, those known longest first, and how
        many were left without an id.

        faces: those of one image, any order. most: so many faces at a time, with those hidden for a moment, whose place
        no new face takes. camera: whose image it is, so that who has walked out of it does not come back as somebody
        else. A stamp far before the last one (a bag that loops) starts again.
        """
        if jumped_back(stamp_ns, self._stamp_ns):
            self.reset()
        before_ns = self._stamp_ns
        self._stamp_ns = max(stamp_ns, self._stamp_ns)
        self._release_old()
        rows, untracked = self._associate(faces, before_ns, camera), 0
        self._continue(rows, faces)
        for index, face in enumerate(faces):
            if index in rows or (face.score < self._config.new_face_score and not face.confirmed):
                continue
            if self._has_room(most):
                rows[index] = self._start(face)
            else:
                untracked += 1
        return self._reported(rows, faces), untracked

    def _reported(self, rows: dict[int, int], faces: Sequence[Face]) -> tuple[Face, ...]:
        """The faces as they are published; rows: dict from face index to row."""
        indices = sorted(rows, key=rows.__getitem__)
        which = [rows[index] for index in indices]
        tracks = [self._tracks[row] for row in which]
        poses = self._filters.poses(which) if self._config.filter else [track.face.pose for track in tracks]
        scales = [self._sizes.scale(row) for row in which]
        return tuple(
            faces[index].changed(face_id=track.face_id, slot=track.slot, pose=pose, scale=scale, shape=track.face.shape)
            for index, track, pose, scale in zip(indices, tracks, poses, scales, strict=True)
        )

    def expected(self, stamp_ns: int) -> list[Face]:
        """Faces that were confirmed in the latest image, their poses moved on to stamp_ns, never back; all at the
        range of a head of reference size, as the image shows them."""
        return self._moved_on([row for row, track in enumerate(self._tracks) if self._confirmed_now(track)], stamp_ns)

    def known(self, stamp_ns: int) -> list[Face]:
        """Faces that have an id, as `expected` gives them: those seen last first, then those known longest."""
        rows = sorted(range(len(self._tracks)), key=lambda row: -self._tracks[row].stamp_ns)
        return self._moved_on(rows, stamp_ns)

    def _moved_on(self, rows: list[int], stamp_ns: int) -> list[Face]:
        if not rows:
            return []
        R, t = self._filters.moved(rows, self._ahead_s(rows, stamp_ns))
        ratios = self._sizes.ratios(rows)
        poses = HeadPose.many(R, t if ratios is None else t / ratios[:, None])
        return [self._tracks[row].face.changed(pose=pose) for row, pose in zip(rows, poses, strict=True)]

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
            self._tracks = [self._tracks[row] for row in kept]
            self._filters.keep(kept)
            self._sizes.keep(kept)
            self._identities.keep(kept)

    def _has_room(self, most: int) -> bool:
        places = sum(track.stamp_ns >= self._stamp_ns - PLACE_KEPT_S * 1e9 for track in self._tracks)
        return places < most and len(self._tracks) < SLOTS

    def _start(self, face: Face) -> int:
        """The row of a new track."""
        row = len(self._tracks)
        self._sizes.add()
        self._identities.add()
        face = self._identities.averaged(row, face)
        (pose,), _ = self._sizes.measured([row], [face], self._stamp_ns)
        self._filters.add(pose)
        taken = {track.slot for track in self._tracks}
        slot = next(number for number in range(SLOTS) if number not in taken)
        self._tracks.append(_Track(self._ids.take(), slot, face.changed(pose=pose), self._stamp_ns))
        return row

    def _continue(self, rows: dict[int, int], faces: Sequence[Face]):
        """Filter the faces that continue tracks; rows: dict from face index to row."""
        if not rows:
            return
        which = list(rows.values())
        seen = [self._identities.averaged(row, faces[index]) for index, row in rows.items()]
        poses, moved = self._sizes.measured(which, seen, self._stamp_ns)
        for row, factor in zip(which, moved, strict=True):
            if factor != 1.0:
                self._filters.rescale(row, factor)
        self._filters.predict(which, self._unseen_s(which))
        self._filters.update(which, poses)
        for row, face, pose in zip(which, seen, poses, strict=True):
            at_best_range = face if pose is face.pose else face.changed(pose=pose)
            self._tracks[row].face, self._tracks[row].stamp_ns = at_best_range, self._stamp_ns

    def _as_seen(self, rows: list[int], dt_s: Sequence[float]) -> "Poses":
        """Predictions of the filters at the range of heads of reference size, which is what an image alone shows."""
        R, t, P = self._filters.predicted(rows, dt_s)
        ratios = self._sizes.ratios(rows)
        if ratios is None:
            return R, t, P
        P = P.copy()
        P[:, :3] /= ratios[:, None, None]
        P[:, :, :3] /= ratios[:, None, None]
        return R, t / ratios[:, None], P

    def _ahead_s(self, rows: list[int], stamp_ns: int) -> list[float]:
        """Seconds from when the tracks of rows were seen to where they are expected at stamp_ns."""
        return [min(max((stamp_ns - self._tracks[row].stamp_ns) * 1e-9, 0.0), EXPECTED_FOR_S) for row in rows]

    def _unseen_s(self, rows: list[int]) -> list[float]:
        """Seconds since the tracks of rows were seen."""
        return [(self._stamp_ns - self._tracks[row].stamp_ns) * 1e-9 for row in rows]

    def _associate(self, faces: Sequence[Face], before_ns: int, camera: CameraModel | None) -> dict[int, int]:
        """Dict from face index to the row of the track that it surely continues; before_ns: stamp of the last image."""
        if not faces or not self._tracks:
            return {}
        R = np.array([face.pose.R_camera_head for face in faces])
        t = np.array([face.pose.t_camera_head_m for face in faces])
        rows = list(range(len(self._tracks)))
        ahead_s = self._ahead_s(rows, self._stamp_ns)
        expected = self._as_seen(rows, ahead_s)
        cost = pair_costs((R, t, np.array([face.pose.covariance for face in faces])), expected)
        hidden = [row for row, track in enumerate(self._tracks) if track.stamp_ns < before_ns]
        if hidden:
            back = may_return(R, t, *self._last_seen(hidden), expected[1][hidden], np.array(ahead_s)[hidden], camera)
            cost[:, hidden] = np.where(back, cost[:, hidden] + MISSED_COST, np.inf)
        return sure_pairs(cost)

    def _last_seen(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (N, 3, 3) and positions (N, 3) m of rows when they were seen last, as `_as_seen`."""
        poses, ratios = [self._tracks[row].face.pose for row in rows], self._sizes.ratios(rows)
        t = np.array([pose.t_camera_head_m for pose in poses])
        return np.array([pose.R_camera_head for pose in poses]), t if ratios is None else t / ratios[:, None]


Poses = tuple[np.ndarray, np.ndarray, np.ndarray]  # (N, 3, 3), (N, 3) m, (N, 6, 6) m^2 and rad^2


def pair_costs(measured: Poses, predicted: Poses) -> np.ndarray:
    """How unlikely it is that faces (N) are tracks (M): (N, M) -2 ln of the density, infinite beyond the gate.

    Each side is rotations (N, 3, 3), positions (N, 3) m and covariances (N, 6, 6), the tracks' those of now.
    """
    (R_a, t_a, P_a), (R_b, t_b, P_b) = measured, predicted
    P_b = P_b + SLACK
    P_b[:, :3, :3] += head_size_covariance(t_b)
    if len(t_a) * len(t_b) <= FEW_PAIRS:
        return _costs((R_a[:, None], t_a[:, None], P_a[:, None]), (R_b, t_b, P_b))
    a, b = np.nonzero(_beside(measured, predicted))
    cost = np.full((len(t_a), len(t_b)), np.inf)
    cost[a, b] = _costs((R_a[a], t_a[a], P_a[a]), (R_b[b], t_b[b], P_b[b]))
    return cost


def _costs(faces: Poses, tracks: Poses) -> np.ndarray:
    """As `pair_costs` (...,), of poses (...) beside each other; those of tracks have SLACK and the spread of sizes."""
    (R_a, t_a, P_a), (R_b, t_b, P_b) = faces, tracks
    turn = so3.rotvec_from_matrix(R_a @ np.swapaxes(R_b, -1, -2))
    apart = np.concatenate([t_a - t_b, turn], -1)
    S = P_a + P_b
    distance2 = (apart * np.linalg.solve(S, apart[..., None])[..., 0]).sum(-1)
    return np.where(distance2 < GATE_SIGMAS**2, distance2 + np.log(np.linalg.det(S)), np.inf)


def _beside(measured: Poses, predicted: Poses) -> np.ndarray:
    """Mask (N, M) of pairs that lie within the gate along each of two axes across the line of sight to the track.

    The others are beyond the gate, whose distance is the largest over all axes; this spares most of a crowd the rest.
    """
    (_, t_a, P_a), (_, t_b, P_b) = measured, predicted
    across = lookat_rotation(t_b / np.linalg.norm(t_b, axis=-1, keepdims=True))[:, :2]  # (M, 2, 3)
    weights = (across[..., :, None] * across[..., None, :]).reshape(-1, 9)
    own = ((P_b + SLACK)[:, :3, :3].reshape(-1, 1, 9) @ weights.reshape(-1, 2, 9).swapaxes(-1, -2)).ravel()
    variance = P_a[:, :3, :3].reshape(-1, 9) @ weights.T + own  # (N, 2 M)
    axes = across.reshape(-1, 3)
    apart = t_a @ axes.T - np.sum(axes * np.repeat(t_b, 2, 0), -1)
    return np.all((apart**2 < GATE_SIGMAS**2 * variance).reshape(len(t_a), -1, 2), -1)


def sure_pairs(cost: np.ndarray) -> dict[int, int]:
    """Dict row -> column of the cheapest pairs of cost (N, M), without those that might as well be others.

    Others: another column that has no pair, or the exchange of columns with another pair.
    """
    if cost.size == 1:  # most robots see one face
        return {0: 0} if cost[0, 0] < UNPAIRED_COST else {}
    rows, columns = np.flatnonzero((cost < UNPAIRED_COST).any(1)), np.flatnonzero(np.isfinite(cost).any(0))
    if not len(rows):
        return {}
    near = cost[np.ix_(rows, columns)]
    pairs = [pair for pair in cheapest_pairs(np.minimum(near, UNPAIRED_COST)) if near[pair] < UNPAIRED_COST]
    row, column = np.array(pairs).T
    own, rivals = near[row, column], near[row]
    exchanged = near[np.ix_(row, column)]
    rivals[:, column] = exchanged + (exchanged.T - own)
    rivals[np.arange(len(row)), column] = np.inf
    sure = rivals.min(1) - own > UNSURE_COST
    return dict(zip(rows[row[sure]].tolist(), columns[column[sure]].tolist(), strict=True))
