"""Whether the cameras' stamps are of one time."""

from collections import deque
from collections.abc import Mapping

import numpy as np

WINDOW_NS = 2_000_000_000  # how long a message counts, so also a camera that has gone silent


class CameraClocks:
    """Compares the stamps of cameras as their messages arrive. The median of each counts, not one that was held up."""

    def __init__(self):
        self._ahead: dict[str, deque[tuple[int, int]]] = {}  # by camera: stamp minus clock, when it came; ns

    def apart_s(self, camera: str, ahead_ns: int, arrived_ns: int, tolerance_s: float) -> float:
        """Seconds (later is positive) by which a camera's stamps are off those of the others, 0 where it is allowed.

        ahead_ns: of a message that has just come, its stamp minus the receiver's clock; arrived_ns: by a steady clock.
        """
        self._ahead.setdefault(camera, deque()).append((ahead_ns, arrived_ns))
        for messages in self._ahead.values():
            while messages and arrived_ns - messages[0][1] > WINDOW_NS:
                messages.popleft()
        usual_ns = {c: float(np.median([ns for ns, _ in m])) for c, m in self._ahead.items() if m}
        return stamps_apart(usual_ns, tolerance_s).get(camera, 0.0)


def stamps_apart(ahead_ns: Mapping[str, float], tolerance_s: float) -> dict[str, float]:
    """By camera: seconds (later is positive) by which its stamps are off those of the others, where that is too much.

    ahead_ns: by camera, stamp minus the clock of whoever received it. Right is the camera nearest to that clock; with a
    bag replayed without a clock all are far from it, and alike.
    """
    if not ahead_ns:
        return {}
    right = min(sorted(ahead_ns), key=lambda camera: abs(ahead_ns[camera]))
    off_s = {camera: (ahead - ahead_ns[right]) * 1e-9 for camera, ahead in ahead_ns.items()}
    return {camera: seconds for camera, seconds in off_s.items() if abs(seconds) > tolerance_s}
