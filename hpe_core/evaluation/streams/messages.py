"""Poses in ROS messages (as rosbags reads them): one function per type, in one table. No ROS needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hpe_core.io.bags import stamp_ns_of

Message = Any  # rosbags makes the classes of messages while it runs
Found = tuple[tuple[float, ...], tuple[float, ...], str, Any]  # quaternion x y z w, position m, id, covariance or None

TF = "tf2_msgs/msg/TFMessage"


def _numbers(position: Message, orientation: Message) -> tuple[tuple[float, ...], tuple[float, ...]]:
    quat = (orientation.x, orientation.y, orientation.z, orientation.w)
    return quat, (position.x, position.y, position.z)


def _pose(message: Message) -> Iterator[Found]:
    yield (*_numbers(message.pose.position, message.pose.orientation), "", None)


def _pose_with_covariance(message: Message) -> Iterator[Found]:
    pose = message.pose.pose
    yield (*_numbers(pose.position, pose.orientation), "", message.pose.covariance)


def _pose_array(message: Message) -> Iterator[Found]:
    for pose in message.poses:
        yield (*_numbers(pose.position, pose.orientation), "", None)


def _transform(message: Message) -> Iterator[Found]:
    transform = message.transform
    yield (*_numbers(transform.translation, transform.rotation), message.child_frame_id, None)


def _detections(message: Message) -> Iterator[Found]:
    for detection in message.detections:
        for result in detection.results[:1]:
            pose = result.pose.pose
            yield (*_numbers(pose.position, pose.orientation), detection.id, result.pose.covariance)


# message type -> (its poses as (quaternion, position, id, covariance), whether the ids are the source's own)
READERS = {
    "geometry_msgs/msg/PoseStamped": (_pose, True),
    "geometry_msgs/msg/PoseWithCovarianceStamped": (_pose_with_covariance, True),
    "geometry_msgs/msg/PoseArray": (_pose_array, False),
    "geometry_msgs/msg/TransformStamped": (_transform, True),
    "nav_msgs/msg/Odometry": (_pose_with_covariance, True),
    "vision_msgs/msg/Detection3DArray": (_detections, True),
}


def header_of(message: Message) -> tuple[int, str]:
    """Stamp in ns and frame_id of a message with a header."""
    return stamp_ns_of(message.header.stamp), message.header.frame_id
