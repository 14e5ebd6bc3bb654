"""Which images are taken when there are more than wanted: by their stamps, so a replayed bag gives the same ones."""


class RateLimit:
    """At most max_hz (0: no limit) per second, evenly; a stamp before the last one taken starts again."""

    def __init__(self, max_hz: float):
        self.max_hz = max_hz
        self._slot_ns: float | None = None
        self._taken_ns = 0

    def takes(self, stamp_ns: int) -> bool:
        """Whether the image of this stamp is wanted."""
        if self.max_hz == 0:
            return True
        period_ns = 1e9 / self.max_hz
        if self._slot_ns is None or stamp_ns < self._taken_ns:
            self._slot_ns = stamp_ns
        elif stamp_ns < self._slot_ns + period_ns:
            return False
        else:  # slots follow each other without drift; after a gap half a period is left against jitter
            self._slot_ns = max(self._slot_ns + period_ns, stamp_ns - period_ns / 2)
        self._taken_ns = stamp_ns
        return True
