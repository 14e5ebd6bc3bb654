"""Whether the cameras' stamps are of one time."""

from collections.abc import Mapping


def stamps_apart(ahead_ns: Mapping[str, int], tolerance_s: float) -> dict[str, float]:
    """By camera: seconds (later is positive) by which its stamps are off those of the others, where that is too much.

    ahead_ns: by camera, stamp minus the clock of whoever received it, at that moment. Right is the camera nearest to
    that clock; with a bag replayed without a clock all are far from it, and alike.
    """
    if not ahead_ns:
        return {}
    right = min(sorted(ahead_ns), key=lambda camera: abs(ahead_ns[camera]))
    off_s = {camera: (ahead - ahead_ns[right]) * 1e-9 for camera, ahead in ahead_ns.items()}
    return {camera: seconds for camera, seconds in off_s.items() if abs(seconds) > tolerance_s}
