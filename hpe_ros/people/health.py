"""What the people node says in /diagnostics, as plain values."""

import time
from collections import Counter
from collections.abc import Sequence

from hpe_core.people.people import PeopleNow
from hpe_ros.status import Level, Status, described

SILENCE_S = 2.0  # no heads of a camera for so long is a warning

# why heads of a camera do not count
NO_TF = "without TF"
APART = "stamps apart"
LATE = "too late"
UNUSABLE = "unusable"
FAILED = "internal error"


class PeopleHealth:
    """Counts since activation, by camera, and the latest people."""

    def __init__(self):
        self._problem = ""
        self.restart()

    def restart(self, cameras: Sequence[str] = ()) -> None:
        """Zero everything; cameras: those from which heads are expected, none while the node is not active."""
        now_s = time.monotonic()
        self._received = Counter(dict.fromkeys(cameras, 0))
        self._faces = Counter(dict.fromkeys(cameras, 0))
        self._left_out = {camera: Counter[str]() for camera in cameras}
        self._problems = dict.fromkeys(cameras, "")
        self._arrived_s = dict.fromkeys(cameras, now_s)
        self._seen = self._known = self._undecided = self._merged = 0
        self._last_error = ""

    def problem(self, text: str) -> None:
        """Why a transition failed; empty when it did not."""
        self._problem = text

    def received(self, camera: str) -> None:
        """A message of a camera came."""
        self._received[camera] += 1
        self._arrived_s[camera] = time.monotonic()

    def left_out(self, camera: str, reason: str, text: str) -> bool:
        """A message of a camera does not count. True when the text is news."""
        self._left_out[camera][reason] += 1
        news, self._problems[camera] = self._problems[camera] != text, text
        return news

    def processed(self, camera: str, faces: int, now: PeopleNow, problems: Sequence[str]) -> None:
        """A message of a camera counts; problems: why detections were left out of it."""
        self._faces[camera], self._problems[camera] = faces, ""
        self._left_out[camera][UNUSABLE] += len(problems)
        self._seen, self._known = len(now.seen), len(now.people)
        self._undecided += now.undecided
        self._merged += len(now.merged)
        self._last_error = problems[-1] if problems else self._last_error

    def failed(self, camera: str, error: BaseException) -> str:
        """A message raised an exception. Text for the log."""
        self._left_out[camera][FAILED] += 1
        self._last_error, text = described(error)
        return text

    def nobody(self) -> None:
        """No camera sends anything."""
        self._seen = self._known = 0

    def statuses(self) -> list[Status]:
        """Of the people and of each camera."""
        values: dict[str, object] = {"seen": self._seen, "known": self._known}
        values |= {"heads undecided": self._undecided, "people merged": self._merged}
        if self._last_error:
            values["last_error"] = self._last_error
        level, message = "ok", f"{self._seen} seen"
        if self._problem:
            level, message = "error", self._problem
        elif not self._received:
            level, message = "stale", "not active"
        return [Status("people", level, message, values), *(self._of(camera) for camera in self._received)]

    def _of(self, camera: str) -> Status:
        values: dict[str, object] = {"received": self._received[camera], "faces": self._faces[camera]}
        values |= {f"left out, {reason}": count for reason, count in sorted(self._left_out[camera].items())}
        silence_s = time.monotonic() - self._arrived_s[camera]
        level: Level = "ok"
        message = "heads are coming in"
        if silence_s > SILENCE_S:
            level, message = "warn", f"no heads for {silence_s:.0f} s"
        elif self._problems[camera]:
            level, message = "error", self._problems[camera]
        return Status(f"camera {camera}", level, message, values)
