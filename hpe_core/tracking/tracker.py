"""Stable face ids in eight slots, `face_a` ... `face_h`, and a pose filter per face."""

from dataclasses import dataclass, replace

import numpy as np

from hpe_core.geometry import so3
from hpe_core.tracking.assignment import cheapest_pairs
from hpe_core.tracking.pose_filter import PoseFilter
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
    filter: PoseFilter
    face: Face  # as last seen
    stamp_ns: int


class Tracker:
    """Gives ids to faces and filters their poses. Only faces seen in a frame are reported for it."""

    def __init__(self, config):
        self._config = config
        self.reset()

    def reset(self):
        """Forget every face, as at the start; all slots are free."""
        self._tracks, self._stamp_ns = [], None
        self._free = list(FACE_IDS)

    def reconfigure(self, config):
        """Go on with another configuration; faces keep their ids and filters."""
        self._config = config
        for track in self._tracks:
            track.filter.set_accelerations(config.linear_acceleration_std, config.angular_acceleration_std)

    def update(self, faces, stamp_ns):
        """Tracked faces (with id and filtered pose) of the frame at stamp_ns, and how many were left without an id.

        faces: list of Face of one image, any order. A stamp far before the last one (a bag that loops) starts anew.
        """
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns - MAX_BACKWARDS_S * 1e9:
            self.reset()
        self._stamp_ns = stamp_ns if self._stamp_ns is None else max(stamp_ns, self._stamp_ns)
        self._release_old()
        pairs = self._associate(faces)
        tracked, untracked = [], 0
        for index, face in enumerate(faces):
            track = pairs.get(index)
            if track is not None:
                self._continue(track, face)
            elif face.score < self._config.new_face_score and not face.confirmed:
                continue
            elif self._free:
                track = self._start(face)
            else:
                untracked += 1
                continue
            pose = track.filter.pose if self._config.filter else face.pose
            tracked.append(replace(face, face_id=track.face_id, pose=pose))
        return tuple(sorted(tracked, key=lambda face: face.face_id)), untracked

    def expected(self, stamp_ns):
        """List of Face, those of the latest image with their poses moved on to stamp_ns."""
        return [
            replace(track.face, pose=track.filter.ahead((stamp_ns - self._stamp_ns) * 1e-9))
            for track in self._tracks
            if track.stamp_ns == self._stamp_ns
        ]

    @property
    def looks_for_faces(self):
        """Whether a face was not in the latest image though it still has its id."""
        return any(track.stamp_ns != self._stamp_ns for track in self._tracks)

    def _release_old(self):
        oldest = self._stamp_ns - self._config.timeout_s * 1e9
        for track in [t for t in self._tracks if t.stamp_ns < oldest]:
            self._tracks.remove(track)
            self._free.append(track.face_id)

    def _start(self, face):
        cfg = self._config
        pose_filter = PoseFilter(face.pose, cfg.linear_acceleration_std, cfg.angular_acceleration_std)
        track = _Track(self._free.pop(0), pose_filter, face, self._stamp_ns)
        self._tracks.append(track)
        return track

    def _continue(self, track, face):
        track.filter.predict((self._stamp_ns - track.stamp_ns) * 1e-9)
        track.filter.update(face.pose)
        track.face, track.stamp_ns = face, self._stamp_ns

    def _associate(self, faces):
        """Dict from face index to the track that it continues (cheapest assignment, gated)."""
        if not faces or not self._tracks:
            return {}
        seen = [(face.box_px, face.pose) for face in faces]
        cost = pair_costs(seen, [(track.face.box_px, track.filter.pose) for track in self._tracks])
        found = cheapest_pairs(np.where(cost < MAX_COST, cost, FORBIDDEN_COST))
        return {r: self._tracks[c] for r, c in found if cost[r, c] < MAX_COST}


def pair_costs(faces, tracks):
    """How unlike sightings (N) and tracks (M) are, each a pair of box and pose: (N, M) from image distance, depth ratio
    and turn. Below MAX_COST they may match.
    """
    (boxes_a, R_a, range_a), (boxes_b, R_b, range_b) = (_stacked(side) for side in (faces, tracks))
    boxes_a, R_a, range_a = boxes_a[:, None], R_a[:, None], range_a[:, None]
    size = np.maximum((boxes_a[..., 2:] - boxes_a[..., :2]).max(-1), (boxes_b[:, 2:] - boxes_b[:, :2]).max(-1))
    centre = 0.5 * (boxes_a[..., :2] + boxes_a[..., 2:] - boxes_b[:, :2] - boxes_b[:, 2:])
    apart = np.linalg.norm(centre, axis=-1) / size / GATE_BOX
    deeper = np.abs(np.log(range_a / range_b)) / GATE_DEPTH
    turned = so3.geodesic_angle(R_a, R_b) / GATE_TURN_RAD
    worst = np.maximum(apart, deeper)
    return np.where(worst >= MAX_COST, worst, np.sqrt((apart**2 + deeper**2 + turned**2) / 3.0))


def _stacked(pairs):
    """Boxes (N, 4), rotations (N, 3, 3) and ranges (N,) m of pairs of box and pose."""
    boxes, poses = zip(*pairs, strict=True)
    t = np.array([pose.t_camera_head_m for pose in poses])
    return np.array(boxes), np.array([pose.R_camera_head for pose in poses]), np.linalg.norm(t, axis=-1)
