"""A live source read in a thread: whoever is slower than the camera gets the latest image, not a growing queue."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from hpe_core.io.frame import Frame, Source


def latest(source: Source) -> Iterator[tuple[Frame, int]]:
    """Frames of a live source, each with how many before it were overtaken since the last one."""
    mailbox = _Mailbox()
    reader = threading.Thread(target=_read, args=(source, mailbox), name="hpe camera", daemon=True)
    reader.start()
    try:
        while (taken := mailbox.take()) is not None:
            yield taken
    finally:
        mailbox.closed = True
        reader.join()  # before the camera is given back


class _Mailbox:
    """Room for one frame. closed: nobody will take another one; ended: nobody will put one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._overtaken = 0
        self._error: BaseException | None = None
        self._ended = False
        self.closed = False

    def put(self, frame: Frame) -> None:
        with self._changed:
            self._overtaken += self._frame is not None
            self._frame = frame
            self._changed.notify()

    def end(self, error: BaseException | None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify()

    def take(self) -> tuple[Frame, int] | None:
        """The frame, as soon as there is one; None at the end. Raises what the source raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._ended)
            if self._frame is None:
                if self._error is not None:
                    raise self._error
                return None
            taken = self._frame, self._overtaken
            self._frame, self._overtaken = None, 0
            return taken


def _read(source: Source, mailbox: _Mailbox) -> None:
    error: BaseException | None = None
    try:
        for frame in source:
            mailbox.put(frame)
            if mailbox.closed:
                break
    except Exception as raised:  # handed on to whoever takes
        error = raised
    mailbox.end(error)
