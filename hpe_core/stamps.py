"""Time is what the stamps of images and messages say, in nanoseconds."""

MAX_BACKWARDS_S = 0.5
BEFORE_ALL_NS = -(1 << 63)  # older than any stamp


def jumped_back(stamp_ns: int, newest_ns: int) -> bool:
    """Whether a stamp begins a new time, as of a bag that loops; one that is a little older is only out of order."""
    return stamp_ns < newest_ns - MAX_BACKWARDS_S * 1e9
