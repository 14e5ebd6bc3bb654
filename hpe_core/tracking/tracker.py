"""Stable face ids in eight slots, `face_a` ... `face_h`, and a pose filter per face."""

from dataclasses import dataclass, replace

import numpy as np

from hpe_core.geometry import so3
from hpe_core.tracking.assignment import cheapest_pairs
from hpe_core.tracking.pose_filter import PoseFilters
from hpe_core.types import Face

FACE_IDS = tuple(f"face_{letter}" for letter in "abcdefgh")
MAX_COST = 1.0
FORBIDDEN_COST = 1e3  # so high that no forbidden pair is taken to save allowed ones
GATE_BOX = 0.8  # centre distance / box size at which two sightings are no longer the same face
GATE_DEPTH = 0.6  # |log range ratio|, likewise
GATE_TURN_RAD = 2.0
MAX_BACKWARDS_S = 0.5


@dataclass(eq=False)
class _Track:
    face_id: str
    face: Face  # as last seen
    stamp_ns: int


class Tracker:
    """Gives ids to faces and filters their poses. Only faces seen in a frame are reported for it."""

    def __init__(self, config):
        self._config = config
        self.reset()

    def reset(self):
        """Forget every face, as at the start; all slots are free."""
        self._tracks, self._stamp_ns = [], None  # each track has the row of its place in the filters
        self._filters = PoseFilters(self._config.linear_acceleration_std, self._config.angular_acceleration_std)
        self._free = list(FACE_IDS)

    def reconfigure(self, config):
        """Go on with another configuration; faces keep their ids and filters."""
        self._config = config
        self._filters.set_accelerations(config.linear_acceleration_std, config.angular_acceleration_std)

    def update(self, faces, stamp_ns):
        """Tracked faces (with id and filtered pose) of the frame at stamp_ns, and how many were left without an id.

        faces: list of Face of one image, any order. A stamp far before the last one (a bag that loops) starts anew.
        """
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns - MAX_BACKWARDS_S * 1e9:
            self.reset()
        self._stamp_ns = stamp_ns if self._stamp_ns is None else max(stamp_ns, self._stamp_ns)
        self._release_old()
        rows, untracked = self._associate(faces), 0
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
            for index, row in rows.items()
        ]
        return tuple(sorted(tracked, key=lambda face: face.face_id)), untracked

    def expected(self, stamp_ns):
        """List of Face, those that a crop showed in the latest image, their poses moved on to stamp_ns, never back."""
        rows = [row for row, track in enumerate(self._tracks) if self._crop_showed(track)]
        poses = self._filters.ahead(rows, max(0, stamp_ns - self._stamp_ns) * 1e-9) if rows else []
        return [replace(self._tracks[row].face, pose=pose) for row, pose in zip(rows, poses, strict=True)]

    @property
    def looks_for_faces(self):
        """Whether a face has an id though no crop showed it in the latest image."""
        return not all(self._crop_showed(track) for track in self._tracks)

    def _crop_showed(self, track):
        return track.stamp_ns == self._stamp_ns and track.face.confirmed

    def _release_old(self):
        oldest = self._stamp_ns - self._config.timeout_s * 1e9
        kept = [row for row, track in enumerate(self._tracks) if track.stamp_ns >= oldest]
        if len(kept) < len(self._tracks):
            self._free += [track.face_id for track in self._tracks if track.stamp_ns < oldest]
            self._tracks = [self._tracks[row] for row in kept]
            self._filters.keep(kept)

    def _start(self, face):
        """The row of a new track."""
        self._filters.add(face.pose)
        self._tracks.append(_Track(self._free.pop(0), face, self._stamp_ns))
        return len(self._tracks) - 1

    def _continue(self, rows, faces):
        """Filter the faces that continue tracks; rows: dict from face index to row."""
        if not rows:
            return
        which = list(rows.values())
        self._filters.predict(which, [(self._stamp_ns - self._tracks[row].stamp_ns) * 1e-9 for row in which])
        self._filters.update(which, [faces[index].pose for index in rows])
        for index, row in rows.items():
            self._tracks[row].face, self._tracks[row].stamp_ns = faces[index], self._stamp_ns

    def _associate(self, faces):
        """Dict from face index to the row of the track that it continues (cheapest assignment, gated)."""
        if not faces or not self._tracks:
            return {}
        boxes = np.array([face.box_px for face in faces])
        R = np.array([face.pose.R_camera_head for face in faces])
        t = np.array([face.pose.t_camera_head_m for face in faces])
        tracks = np.array([track.face.box_px for track in self._tracks]), *self._filters.placed()
        cost = pair_costs((boxes, R, t), tracks)
        found = cheapest_pairs(np.where(cost < MAX_COST, cost, FORBIDDEN_COST))
        return {row: column for row, column in found if cost[row, column] < MAX_COST}


def pair_costs(faces, tracks):
    """How unlike sightings (N) and tracks (M) are: (N, M) from image distance, depth ratio and turn.

    Each side is boxes (N, 4) px, rotations (N, 3, 3) and positions (N, 3) m. Below MAX_COST they may match.
    """
    (boxes_a, R_a, t_a), (boxes_b, R_b, t_b) = faces, tracks
    range_a, range_b = np.linalg.norm(t_a, axis=-1)[:, None], np.linalg.norm(t_b, axis=-1)
    boxes_a, R_a = boxes_a[:, None], R_a[:, None]
    size = np.maximum((boxes_a[..., 2:] - boxes_a[..., :2]).max(-1), (boxes_b[:, 2:] - boxes_b[:, :2]).max(-1))
    centre = 0.5 * (boxes_a[..., :2] + boxes_a[..., 2:] - boxes_b[:, :2] - boxes_b[:, 2:])
    apart = np.linalg.norm(centre, axis=-1) / size / GATE_BOX
    deeper = np.abs(np.log(range_a / range_b)) / GATE_DEPTH
    turned = so3.geodesic_angle(R_a, R_b) / GATE_TURN_RAD
    worst = np.maximum(apart, deeper)
    return np.where(worst >= MAX_COST, worst, np.sqrt((apart**2 + deeper**2 + turned**2) / 3.0))
