"""Where the time of one image goes."""

from __future__ import annotations

import time


class Stopwatch:
    """Seconds per stage, from when it is made; a stage may come several times: `with watch("inference"): ...`."""

    def __init__(self):
        self.stage_s: dict[str, float] = {}
        self._made = time.perf_counter()
        self._stage, self._start = "", 0.0

    def __call__(self, stage: str) -> Stopwatch:
        self._stage = stage
        return self

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.stage_s[self._stage] = self.stage_s.get(self._stage, 0.0) + time.perf_counter() - self._start

    def rest(self, stage: str) -> None:
        """All time since it was made that went to no stage yet goes to this one."""
        self.stage_s[stage] = time.perf_counter() - self._made - sum(self.stage_s.values())
