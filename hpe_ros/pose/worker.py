"""One thread that always works on the newest frame; older frames that it has no time for are counted and dropped."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LatestFrameWorker(Generic[Item]):
    """Calls `handle(item)` in its own thread with the latest item that was put; a mailbox, never a queue.

    An exception in `handle` goes to `on_error(exception)` and the next item is taken. `on_superseded()` is called for
    every item that was replaced before its turn came.
    """

    def __init__(
        self,
        handle: Callable[[Item], object],
        on_error: Callable[[Exception], object],
        on_superseded: Callable[[], object],
    ):
        self._handle, self._on_error, self._on_superseded = handle, on_error, on_superseded
        self._changed = threading.Condition()
        self._waiting: list[Item] = []  # the newest item, or none
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="frame_worker", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over an item; returns at once."""
        with self._changed:
            superseded = bool(self._waiting)
            self._waiting = [item]
            self._changed.notify()
        if superseded:
            self._on_superseded()

    def stop(self) -> None:
        """Finish the item in hand, drop the one that waits, and end the thread."""
        with self._changed:
            self._waiting, self._stopping = [], True
            self._changed.notify()
        self._thread.join()

    def _run(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._waiting)
                if self._stopping:
                    return
                item = self._waiting.pop()
            try:
                self._handle(item)
            except Exception as error:  # whatever a frame does, the stream goes on
                self._on_error(error)
