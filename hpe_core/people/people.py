"""Who is in the room: heads of several cameras in, people with ids out.

A face stays with its person as long as its camera tracks it, which the face's id says. A new face is that of the person
where it is seen, unless that person has another face in the same image; else it is somebody new. A person whom no
camera sees any more goes on being expected where he or she was heading, for gap_s.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hpe_core.people.association import JOIN_DISTANCE2, LEAVE_DISTANCE2, costs, joined
from hpe_core.people.config import PeopleConfig
from hpe_core.people.fusion import fused
from hpe_core.people.motion import Motion, moved_on
from hpe_core.people.person_ids import PersonIds
from hpe_core.people.poses import FixedPose, distance2
from hpe_core.stamps import BEFORE_ALL_NS, jumped_back

HEADING_S = 1.0  # nobody is expected to go on in one direction for longer
# per second of absence: nobody knows where to, nor where the face points by then
WANDERING_STD = np.array([0.5] * 3 + [1.5] * 3)  # m/s, rad/s


@dataclass(frozen=True, eq=False)
class SeenHead:
    """A head of one camera in the fixed frame; face_id: whatever the camera calls it while it tracks it."""

    face_id: str
    pose: FixedPose
    score: float = 1.0


@dataclass(frozen=True, eq=False)
class Person:
    """A person at the stamp of an update. faces: by camera, the id of the face there, best seen first; empty for one
    whom no camera sees, whose pose is the last one. confidence: of being there, 1 while seen, down to 0 after gap_s.
    """

    person_id: str
    pose: FixedPose
    score: float
    faces: Mapping[str, str]
    confidence: float = 1.0


@dataclass(frozen=True, eq=False)
class PeopleNow:
    """All people at stamp_ns, elder ids first. merged: younger id -> the id of the same person that stays. undecided:
    heads of this message that may be one or another person; late: whether the message was too old to count.
    """

    stamp_ns: int
    people: tuple[Person, ...]
    merged: Mapping[str, str] = field(default_factory=dict)
    undecided: int = 0
    late: bool = False

    @property
    def seen(self) -> tuple[Person, ...]:
        """Those whom a camera sees."""
        return tuple(person for person in self.people if person.faces)


@dataclass(eq=False)
class _Sighting:
    face_id: str
    motion: Motion
    score: float
    since_ns: int  # it belongs to its person


@dataclass(eq=False)
class _Someone:
    person_id: str
    number: int
    sightings: dict[str, _Sighting]  # by camera
    pose: FixedPose  # the last one
    velocity: np.ndarray
    seen_ns: int
    score: float = 0.0

    def pose_at(self, stamp_ns: int) -> FixedPose:
        """Where a new face of this person is to be expected."""
        if self.sightings:
            return fused([sighting.motion.pose_at(stamp_ns) for sighting in self.sightings.values()])
        unseen_s = max(0.0, (stamp_ns - self.seen_ns) * 1e-9)
        heading = moved_on(self.pose, self.velocity, min(unseen_s, HEADING_S))
        return replace(heading, covariance=self.pose.covariance + np.diag((WANDERING_STD * unseen_s) ** 2))


class People:
    """Remembers people between messages. The same messages in the same order always give the same people."""

    def __init__(self, config: PeopleConfig):
        self.config = config  # may be replaced between messages
        self._ids = PersonIds(config.id_seed)
        self._count = 0
        self._forget_all()

    def _forget_all(self):
        self._people: list[_Someone] = []  # elder first
        self._whose: dict[tuple[str, str], _Someone] = {}  # by camera and face id, also of faces out of sight
        self._stamp_ns = BEFORE_ALL_NS
        self._camera_ns: dict[str, int] = {}  # stamp of each camera's latest message
        self._since_ns: dict[tuple[str, ...], int] = {}  # since when something odd has held

    def update(self, camera: str, stamp_ns: int, heads: Sequence[SeenHead]) -> PeopleNow:
        """The people after a message with all heads (of distinct face ids) that a camera sees at stamp_ns.

        It is about the newest stamp of all cameras. A stamp far before the camera's last one (a bag that loops) starts
        again: nobody of before is known, and no id comes again.
        """
        if jumped_back(stamp_ns, self._camera_ns.get(camera, BEFORE_ALL_NS)):
            self._forget_all()
        if stamp_ns < self._camera_ns.get(camera, BEFORE_ALL_NS) or self._ago_s(stamp_ns) > self.config.max_age_s:
            return PeopleNow(self._stamp_ns, self._answers(), late=True)
        self._stamp_ns = max(stamp_ns, self._stamp_ns)
        self._camera_ns[camera] = stamp_ns
        self._lose(camera, {head.face_id for head in heads})
        new = [head for head in heads if not self._goes_on(camera, stamp_ns, head)]
        undecided = self._associate(camera, stamp_ns, new)
        self._part()
        merged = self._merge()
        self._remember()
        return PeopleNow(self._stamp_ns, self._answers(), merged, undecided)

    def _lose(self, camera: str, face_ids: set[str]):
        """Faces that their camera no longer shows, and people who have been away for too long."""
        for someone in self._people:
            for name, sighting in list(someone.sightings.items()):
                gone = name == camera and sighting.face_id not in face_ids
                if gone or self._ago_s(sighting.motion.stamp_ns) > self.config.max_age_s:
                    del someone.sightings[name]
        self._people = [p for p in self._people if p.sightings or self._ago_s(p.seen_ns) <= self.config.gap_s]
        self._whose = {key: someone for key, someone in self._whose.items() if someone in self._people}

    def _goes_on(self, camera: str, stamp_ns: int, head: SeenHead) -> bool:
        """Whether a head is a face that has a person already."""
        someone = self._whose.get((camera, head.face_id))
        if someone is None:
            return False
        sighting = someone.sightings.get(camera)
        if sighting is None:
            self._join(camera, stamp_ns, head, someone)
        elif sighting.face_id == head.face_id:
            sighting.motion.add(stamp_ns, head.pose)
            sighting.score = head.score
        else:  # meanwhile another face of this camera is that person
            return False
        return True

    def _join(self, camera: str, stamp_ns: int, head: SeenHead, someone: _Someone):
        motion = Motion(stamp_ns, head.pose)
        someone.sightings[camera] = _Sighting(head.face_id, motion, head.score, self._stamp_ns)
        self._whose[camera, head.face_id] = someone

    def _associate(self, camera: str, stamp_ns: int, heads: Sequence[SeenHead]) -> int:
        """Give every new head of a camera to a person, old or new; how many are undecided."""
        if not heads:
            return 0
        free = [someone for someone in self._people if camera not in someone.sightings]
        pairs, unsure = joined(costs([h.pose for h in heads], [p.pose_at(stamp_ns) for p in free]))
        undecided = 0
        for row, head in enumerate(heads):
            if row in pairs:
                self._join(camera, stamp_ns, head, free[pairs[row]])
            elif row in unsure and not self._lasts(("undecided", camera, head.face_id), True):
                undecided += 1
            else:
                self._start(camera, stamp_ns, head)
        return undecided

    def _start(self, camera: str, stamp_ns: int, head: SeenHead):
        self._count += 1
        someone = _Someone(self._ids.new(), self._count, {}, head.pose, np.zeros(6), stamp_ns)
        self._people.append(someone)
        self._join(camera, stamp_ns, head, someone)

    def _part(self):
        """Faces that do not fit the others of their person leave; the one that came last, to begin anew."""
        for someone in self._people:
            if len(someone.sightings) < 2:
                continue
            at = {name: s.motion.pose_at(self._stamp_ns) for name, s in someone.sightings.items()}
            latest = max(at, key=lambda name: someone.sightings[name].since_ns)
            others = fused([pose for name, pose in at.items() if name != latest])
            strange = distance2(at[latest], others)[0] > LEAVE_DISTANCE2
            if self._lasts(("part", someone.person_id, latest), strange):
                del self._whose[latest, someone.sightings.pop(latest).face_id]

    def _merge(self) -> dict[str, str]:
        """Two people of different cameras in one place are one; younger id -> elder id."""
        merged: dict[str, str] = {}
        seen = [someone for someone in self._people if someone.sightings]
        near = [(a, b) for i, a in enumerate(seen) for b in seen[i + 1 :] if self._fit(a, b)]
        for elder, younger in near:
            alone = sum(elder in pair or younger in pair for pair in near) == 1
            if alone and self._lasts(("merge", elder.person_id, younger.person_id), True):
                elder.sightings |= younger.sightings
                self._whose |= {key: elder for key, someone in self._whose.items() if someone is younger}
                self._people.remove(younger)
                merged[younger.person_id] = elder.person_id
        names = {("merge", a.person_id, b.person_id) for a, b in near}
        self._since_ns = {k: ns for k, ns in self._since_ns.items() if k[0] != "merge" or k in names}
        return merged

    def _fit(self, a: _Someone, b: _Someone) -> bool:
        if a.sightings.keys() & b.sightings.keys():
            return False
        return distance2(a.pose_at(self._stamp_ns), b.pose_at(self._stamp_ns))[0] < JOIN_DISTANCE2

    def _lasts(self, what: tuple[str, ...], holds: bool) -> bool:
        """Whether something has held for regroup_s, this time included; it is forgotten then, and when it does not."""
        since_ns = self._since_ns.pop(what, self._stamp_ns)
        if not holds:
            return False
        if self._ago_s(since_ns) >= self.config.regroup_s:
            return True
        self._since_ns[what] = since_ns
        return False

    def _remember(self):
        """Note where everybody is who is seen."""
        for someone in self._people:
            if someone.sightings:
                latest = max(someone.sightings.values(), key=lambda sighting: sighting.motion.stamp_ns)
                someone.pose, someone.velocity = someone.pose_at(self._stamp_ns), latest.motion.velocity()
                someone.seen_ns = self._stamp_ns
                someone.score = max(sighting.score for sighting in someone.sightings.values())
        oldest_ns = self._stamp_ns - 2e9 * max(self.config.regroup_s, self.config.max_age_s)
        self._since_ns = {what: ns for what, ns in self._since_ns.items() if ns >= oldest_ns}

    def _answers(self) -> tuple[Person, ...]:
        return tuple(self._answer(someone) for someone in self._people)

    def _answer(self, someone: _Someone) -> Person:
        best = sorted(someone.sightings.items(), key=lambda item: float(np.trace(item[1].motion.pose.covariance)))
        faces = {name: sighting.face_id for name, sighting in best}
        left = 1.0 - self._ago_s(someone.seen_ns) / self.config.gap_s if self.config.gap_s > 0.0 else 0.0
        confidence = 1.0 if faces else float(np.clip(left, 0.0, 0.99))
        return Person(someone.person_id, someone.pose, someone.score, faces, confidence)

    def _ago_s(self, stamp_ns: int) -> float:
        return (self._stamp_ns - stamp_ns) * 1e-9


def ids_of(people: Iterable[Person]) -> list[str]:
    """Ids of people, in their order."""
    return [person.person_id for person in people]
