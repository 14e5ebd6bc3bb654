"""Transforms of TF at a stamp, else the newest one that is near it."""

from geometry_msgs.msg import Transform
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header
from tf2_ros import (
    Buffer,
    ExtrapolationException,  # pyright: ignore[reportAttributeAccessIssue] compiled
    TransformException,  # pyright: ignore[reportAttributeAccessIssue] compiled
    TransformListener,
)

from hpe_core.stamps import jumped_back
from hpe_ros.messages import ns_from_time


class Transforms:
    """Listens to TF from its making to `destroy`. tolerance_s: how far from a stamp the newest transform may be."""

    def __init__(self, node: Node, tolerance_s: float):
        self._tolerance_ns, self._stamp_ns = tolerance_s * 1e9, 0
        self._buffer = Buffer()
        self._listener: TransformListener | None = TransformListener(self._buffer, node)

    def notice(self, stamp_ns: int) -> None:
        """Begin anew when stamps have jumped back: tf2 ignores what is older than what it has, as of a looped bag."""
        if jumped_back(stamp_ns, self._stamp_ns):
            self._buffer.clear()
        self._stamp_ns = stamp_ns

    def into(self, header: Header, frame_id: str) -> Transform | None:
        """From frame_id to the header's frame at its stamp; None when TF has none that is near enough."""
        return self._between(header.frame_id, frame_id, header)

    def out_of(self, header: Header, frame_id: str) -> Transform | None:
        """From the header's frame to frame_id at its stamp; None when TF has none that is near enough."""
        return self._between(frame_id, header.frame_id, header)

    def _between(self, target: str, source: str, header: Header) -> Transform | None:
        try:
            return self._buffer.lookup_transform(target, source, Time.from_msg(header.stamp)).transform
        except ExtrapolationException:
            return self._newest(target, source, ns_from_time(header.stamp))
        except TransformException:
            return None

    def _newest(self, target: str, source: str, stamp_ns: int) -> Transform | None:
        try:
            newest = self._buffer.lookup_transform(target, source, Time())
        except TransformException:
            return None
        near = abs(ns_from_time(newest.header.stamp) - stamp_ns) <= self._tolerance_ns
        return newest.transform if near else None

    def destroy(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.unregister()
        self._listener = None
