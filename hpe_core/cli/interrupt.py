"""Signals that end a run."""

import signal
import threading
from types import FrameType


class Interrupt:
    """Turns the first SIGINT, SIGTERM or SIGHUP into a flag, so that files can be finished; the second one acts as
    usual. A SIGHUP that is ignored, as under nohup, stays ignored. An ignored SIGINT does not: shells ignore it for
    what they start in the background, where `kill -INT` is meant all the same. In threads other than the main one, as
    those of a Dask worker, there are no signals and so no flag."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self.requested = False

    def __enter__(self) -> "Interrupt":
        nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        handled = [number for number in self.SIGNALS if not (nohup and number == signal.SIGHUP)]
        if threading.current_thread() is not threading.main_thread():
            handled = []
        self._before = {number: signal.signal(number, self._on_signal) for number in handled}
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        for handled in self._before:
            signal.signal(handled, signal.default_int_handler if handled == signal.SIGINT else signal.SIG_DFL)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
