"""What every node turns into ROS messages and back: times, vectors and diagnostics."""

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import Header

from hpe_ros.status import Status

_LEVELS = {
    "ok": DiagnosticStatus.OK,
    "warn": DiagnosticStatus.WARN,
    "error": DiagnosticStatus.ERROR,
    "stale": DiagnosticStatus.STALE,
}


def ns_from_time(stamp: Time) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def time_from_ns(stamp_ns: int) -> Time:
    """builtin_interfaces/Time of nanoseconds."""
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)


def point(vector_m: np.ndarray) -> Point:
    """geometry_msgs/Point of (3,) metres."""
    x, y, z = vector_m.tolist()
    return Point(x=x, y=y, z=z)


def vector3(vector: np.ndarray) -> Vector3:
    """geometry_msgs/Vector3 of (3,), in its unit."""
    x, y, z = vector.tolist()
    return Vector3(x=x, y=y, z=z)


def diagnostic_array(statuses: Sequence[Status], stamp: Time, node_name: str) -> DiagnosticArray:
    """diagnostic_msgs/DiagnosticArray of Status values, under the node's full name."""
    lines = [
        DiagnosticStatus(
            level=_LEVELS[status.level],
            name=f"{node_name.lstrip('/')}: {status.name}",
            message=status.message,
            hardware_id=node_name,
            values=[KeyValue(key=key, value=str(value)) for key, value in status.values.items()],
        )
        for status in statuses
    ]
    return DiagnosticArray(header=Header(stamp=stamp), status=lines)
