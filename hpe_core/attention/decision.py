"""From poses to decisions: who looks at what, since when, and when nobody can tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeGuard

import numpy as np

from hpe_core.attention.config import AttentionConfig
from hpe_core.attention.probability import gaze_offset, probability_within
from hpe_core.attention.targets import PlacedTarget
from hpe_core.stamps import jumped_back
from hpe_core.types import FACE_SEEN_FROM, HeadPose

# why nothing can be said
NOT_SEEN = "not seen"
NO_TRANSFORM = "no transform to the target"
NO_COVARIANCE = "pose without covariance"
SMALL = "face too small"
UNCERTAIN = "direction too uncertain"
HIDDEN = "face turned away"
RESTARTED = "stamps jumped back"


class State(Enum):
    """UNKNOWN is no answer, never a no."""

    LOOKING = "looking"
    AWAY = "away"
    UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Head:
    """A head of one frame; face_px: narrower side of its box in pixels, None when that cannot be known;
    face_visibility: as in Face.
    """

    face_id: str
    pose: HeadPose
    face_px: float | None = None
    face_visibility: float | None = None


@dataclass(frozen=True)
class View:
    """What one frame alone says about one head and one target.

    probability: that the gaze is within the enter angle; staying: within the exit angle. Both and angle_deg are NaN
    when `problem` says why nothing can be said.
    """

    angle_deg: float = np.nan
    probability: float = np.nan
    staying: float = np.nan
    problem: str = ""


@dataclass(frozen=True)
class Judgement:
    """State of one head and one target after a frame; since_ns: stamp from which it counts, None while UNKNOWN."""

    face_id: str
    target: str
    state: State
    view: View
    since_ns: int | None


@dataclass(frozen=True)
class Event:
    """Looking `started` or `stopped`, decided at stamp_ns after the dwell; it counts from since_ns.

    reason: why looking stopped when that is not because the head turned away.
    """

    kind: str
    stamp_ns: int
    since_ns: int
    face_id: str
    target: str
    reason: str = ""


def view_of(head: Head, target: PlacedTarget, config: AttentionConfig) -> View:
    """What one frame alone says about a head and a target.

    A head whose face cannot be seen never looks at the target: it looks elsewhere, or nobody can tell.
    """
    if target.point_camera_m is None:
        return View(problem=NO_TRANSFORM)
    if head.face_px is not None and head.face_px < config.min_face_px:
        return View(problem=SMALL)
    if head.pose.covariance is None:
        return View(problem=NO_COVARIANCE)
    offset = gaze_offset(head.pose, target)
    if not offset.std_deg <= config.max_std_deg:
        return View(problem=UNCERTAIN)
    enter, leave = (probability_within(offset, np.radians(deg)) for deg in (config.enter_deg, config.exit_deg))
    hidden = head.face_visibility is not None and head.face_visibility < FACE_SEEN_FROM
    if hidden and max(enter, leave) >= config.min_probability:
        return View(problem=HIDDEN)
    return View(float(np.degrees(offset.angle_rad)), enter, leave)


class Attention:
    """Remembers every head and target between frames. The same stamps and poses always give the same decisions.

    Looking starts when the gaze has been within the enter angle for start_dwell_s, and stops when it has been outside
    the exit angle for stop_dwell_s. Frames that say nothing are bridged for stale_s, then the state is UNKNOWN.
    """

    def __init__(self, config: AttentionConfig):
        self.config = config  # may be replaced between frames
        self._pairs: dict[tuple[str, str], _Pair] = {}  # by face id and target
        self._stamp_ns: int | None = None

    def update(
        self, stamp_ns: int, heads: Sequence[Head], targets: Sequence[PlacedTarget]
    ) -> tuple[tuple[Judgement, ...], tuple[Event, ...]]:
        """Judgements and events after a frame with heads (of distinct ids).

        Judgements cover every head of the frame, and heads that vanished as long as their state is bridged.
        """
        events: list[Event] = []
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            if not jumped_back(stamp_ns, self._stamp_ns):
                return self._judgements({}), ()
            events += self.forget(RESTARTED)
        self._stamp_ns = stamp_ns
        views = {(h.face_id, t.name): view_of(h, t, self.config) for h in heads for t in targets}
        for key in sorted(self._pairs.keys() | views.keys()):
            view = views.get(key, View(problem=NOT_SEEN))
            pair = self._pairs.setdefault(key, _Pair())
            events += [
                Event(kind, stamp_ns, since_ns, *key, reason)
                for kind, since_ns, reason in pair.update(view, stamp_ns, self.config)
            ]
            if key not in views and pair.usable_ns is None:
                del self._pairs[key]
        return self._judgements(views), tuple(events)

    def forget(self, reason: str) -> tuple[Event, ...]:
        """Events that stop everything at the last stamp, for when no more frames come; then start again."""
        events = tuple(
            Event("stopped", self._stamp_ns, pair.usable_ns, *key, reason)
            for key, pair in sorted(self._pairs.items())
            if pair.state is State.LOOKING and pair.usable_ns is not None and self._stamp_ns is not None
        )
        self._pairs, self._stamp_ns = {}, None
        return events

    def _judgements(self, views: Mapping[tuple[str, str], View]) -> tuple[Judgement, ...]:
        return tuple(
            Judgement(*key, pair.state, views.get(key, View(problem=NOT_SEEN)), pair.since_ns)
            for key, pair in sorted(self._pairs.items())
        )


def focus_of(judgements: Sequence[Judgement]) -> dict[str, str]:
    """By face id: the name of the one target it looks at, the most probable of several."""
    looking = [j for j in judgements if j.state is State.LOOKING]
    looking.sort(key=lambda j: -np.inf if np.isnan(j.view.probability) else j.view.probability)
    return {j.face_id: j.target for j in looking}


class _Pair:
    """One head and one target over time; stamps in nanoseconds, None where nothing has begun."""

    def __init__(self):
        self._reset()

    def _reset(self):
        self.state = State.UNKNOWN
        self.since_ns: int | None = None
        self.usable_ns: int | None = None
        self._inside_ns: int | None = None
        self._outside_ns: int | None = None

    def update(self, view: View, stamp_ns: int, config: AttentionConfig) -> list[tuple[str, int, str]]:
        """Changes (kind, since_ns, reason) that this view brings about."""
        changes: list[tuple[str, int, str]] = []
        if self.usable_ns is not None and stamp_ns - self.usable_ns > config.stale_s * 1e9:
            if self.state is State.LOOKING:
                changes.append(("stopped", self.usable_ns, view.problem or NOT_SEEN))
            self._reset()
        if view.problem:
            return changes
        self.usable_ns = stamp_ns
        inside = view.probability >= config.min_probability
        outside = (view.staying if self.state is State.LOOKING else view.probability) < config.min_probability
        self._inside_ns = _begun(self._inside_ns, inside, stamp_ns)
        self._outside_ns = _begun(self._outside_ns, outside, stamp_ns)
        if self.state is not State.LOOKING and _lasted(self._inside_ns, stamp_ns, config.start_dwell_s):
            self.state, self.since_ns = State.LOOKING, self._inside_ns
            changes.append(("started", self.since_ns, ""))
        elif self.state is not State.AWAY and _lasted(self._outside_ns, stamp_ns, config.stop_dwell_s):
            if self.state is State.LOOKING:
                changes.append(("stopped", self._outside_ns, ""))
            self.state, self.since_ns = State.AWAY, self._outside_ns
        return changes


def _begun(since_ns: int | None, holds: bool, stamp_ns: int) -> int | None:
    """Since when something holds that held since `since_ns`; None when it does not."""
    return (stamp_ns if since_ns is None else since_ns) if holds else None


def _lasted(since_ns: int | None, stamp_ns: int, dwell_s: float) -> TypeGuard[int]:
    """Whether something has held for so long, since since_ns."""
    return since_ns is not None and stamp_ns - since_ns >= dwell_s * 1e9
