"""Where the targets are when heads are seen: TF at the stamp of the heads, else the newest that is near it."""

from collections.abc import Sequence

import numpy as np
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

from hpe_core.attention.targets import PlacedTarget, Target
from hpe_core.geometry import so3
from hpe_core.stamps import jumped_back
from hpe_ros.messages import ns_from_time


class TargetPlaces:
    """Listens to TF for the targets. tolerance_s: how far from a stamp the newest transform may be."""

    def __init__(self, node: Node, targets: Sequence[Target], tolerance_s: float):
        self._targets, self._tolerance_ns = targets, tolerance_s * 1e9
        self._buffer, self._stamp_ns = Buffer(), 0
        self._listener: TransformListener | None = None
        if any(target.frame_id for target in targets):
            self._listener = TransformListener(self._buffer, node)

    def placed(self, header: Header) -> list[PlacedTarget]:
        """The targets in the header's frame at its stamp."""
        stamp_ns = ns_from_time(header.stamp)
        if jumped_back(stamp_ns, self._stamp_ns):
            self._buffer.clear()  # tf2 ignores what is older than what it has, so a looped bag would find no transform
        self._stamp_ns = stamp_ns
        return [PlacedTarget(target.name, self._point(target, header), target.radius_m) for target in self._targets]

    def _point(self, target: Target, header: Header) -> np.ndarray | None:
        if target.frame_id in ("", header.frame_id):
            return np.array(target.point_m)
        try:
            transform = self._transform(target.frame_id, header)
        except TransformException:
            return None
        if transform is None:
            return None
        p, q = transform.translation, transform.rotation
        return so3.matrix_from_quat([q.x, q.y, q.z, q.w]) @ target.point_m + [p.x, p.y, p.z]

    def _transform(self, frame_id: str, header: Header) -> Transform | None:
        """From frame_id to the header's frame, or None when the newest is too far off."""
        try:
            return self._buffer.lookup_transform(header.frame_id, frame_id, Time.from_msg(header.stamp)).transform
        except ExtrapolationException:
            newest = self._buffer.lookup_transform(header.frame_id, frame_id, Time())
        near = abs(ns_from_time(newest.header.stamp) - ns_from_time(header.stamp)) <= self._tolerance_ns
        return newest.transform if near else None

    def destroy(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.unregister()
        self._listener = None
