"""Frames of a camera or a file without end: files at the speed of their stamps, cameras opened again when lost."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator

from hpe_core.errors import HpeError
from hpe_core.io.frame import Frame, Source
from hpe_core.io.sources import open_source

RETRY_S = 1.0
LONGEST_STEP_S = 1.0  # a gap in a file is played no longer than this


class EndlessFrames:
    """Iterate it, in one thread, for Frames with an image; it ends when `stopped` is set.

    A file ends too unless `loop`. lost: how often the source was lost; unreadable: Frames without an image;
    problem: why there are no frames just now, else "". clock() -> seconds, steady, by which a file is played.
    Raises HpeError when the device cannot be opened at first.
    """

    def __init__(
        self,
        device: str,
        loop: bool,
        stopped: threading.Event,
        opened: Callable[[str], Source] = open_source,
        retry_s: float = RETRY_S,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._name, self._loop, self._stopped, self._clock = source_name(device), loop, stopped, clock
        self._opened, self._retry_s = opened, retry_s
        self.lost, self.unreadable, self.problem = 0, 0, ""
        self._source = opened(self._name)

    def __iter__(self) -> Iterator[Frame]:
        while not self._stopped.is_set():
            endless, count = self._source.kind == "camera", 0
            try:
                with self._source:
                    for frame in self._paced():
                        self.problem, count = "", count + 1
                        yield frame
                reason = f"{self._name} stopped delivering images" if endless or not count else ""
            except HpeError as error:
                reason = str(error)
            if self._stopped.is_set() or not (reason or self._loop):
                return
            self._open_again(reason)

    def _paced(self) -> Iterator[Frame]:
        """Readable frames of the open source; those of a file no faster than their stamps."""
        due_s = self._clock()
        before_ns: int | None = None
        for frame in self._source:
            if self._source.kind != "camera":
                step_s = 0.0 if before_ns is None else (frame.stamp_ns - before_ns) * 1e-9
                due_s, before_ns = due_s + min(max(step_s, 0.0), LONGEST_STEP_S), frame.stamp_ns
                now_s = self._clock()
                due_s = max(due_s, now_s)  # frames that come late are not caught up with
                self._stopped.wait(due_s - now_s)
            if self._stopped.is_set():
                return
            if frame.image_bgr is None:
                self.unreadable += 1
            else:
                yield frame

    def _open_again(self, reason: str):
        """Wait until the source can be opened; reason: why it was lost, "" when a file is to be played again."""
        self.lost += bool(reason)
        while not self._stopped.is_set():
            if reason:
                self.problem = reason
                self._stopped.wait(self._retry_s)
            try:
                self._source = self._opened(self._name)
                return
            except HpeError as error:
                self.lost += not reason
                reason = str(error)


def source_name(device: str) -> str:
    """What open_source wants: the index of a video device, also of its names under /dev, else the text itself."""
    video = re.fullmatch(r"/dev/video([0-9]+)", os.path.realpath(device)) if device.startswith("/dev/") else None
    return video[1] if video else device
