"""Where the targets are when heads are seen: TF at the stamp of the heads, else the newest that is near it."""

from collections.abc import Sequence

import numpy as np
from rclpy.node import Node
from std_msgs.msg import Header

from hpe_core.attention.targets import PlacedTarget, Target
from hpe_core.geometry import so3
from hpe_ros.messages import ns_from_time
from hpe_ros.transforms import Transforms


class TargetPlaces:
    """Listens to TF for the targets. tolerance_s: how far from a stamp the newest transform may be."""

    def __init__(self, node: Node, targets: Sequence[Target], tolerance_s: float):
        self._targets = targets
        self._transforms = Transforms(node, tolerance_s) if any(target.frame_id for target in targets) else None

    def placed(self, header: Header) -> list[PlacedTarget]:
        """The targets in the header's frame at its stamp."""
        if self._transforms is not None:
            self._transforms.notice(ns_from_time(header.stamp))
        return [PlacedTarget(target.name, self._point(target, header), target.radius_m) for target in self._targets]

    def _point(self, target: Target, header: Header) -> np.ndarray | None:
        if self._transforms is None or target.frame_id in ("", header.frame_id):
            return np.array(target.point_m)
        transform = self._transforms.into(header, target.frame_id)
        if transform is None:
            return None
        p, q = transform.translation, transform.rotation
        return so3.matrix_from_quat([q.x, q.y, q.z, q.w]) @ target.point_m + [p.x, p.y, p.z]

    def destroy(self) -> None:
        """Stop listening."""
        if self._transforms is not None:
            self._transforms.destroy()
