"""The publishers of the people node and what goes out on them after a message of heads."""

from typing import TYPE_CHECKING

from geometry_msgs.msg import PoseArray, PoseWithCovarianceStamped, TransformStamped
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from hpe_core.people.camera_list import CameraList
from hpe_core.people.people import PeopleNow
from hpe_ros import qos
from hpe_ros.messages import time_from_ns
from hpe_ros.node_config import PeopleNodeConfig
from hpe_ros.optional import HAS_HRI_MSGS, HAS_VISION_MSGS
from hpe_ros.people import messages
from hpe_ros.people.persons import PersonsOutputs
from hpe_ros.pose.messages import detections, face_poses, pose_array, primary_pose

if TYPE_CHECKING or HAS_VISION_MSGS:  # without it the node refuses to be configured
    from vision_msgs.msg import Detection3DArray

DEPTH = 10


class PeopleOutputs:
    """Lifecycle publishers of a node; silent while the node is not active."""

    def __init__(self, node: LifecycleNode, config: PeopleNodeConfig, cameras: CameraList):
        self._node, self._fixed_frame, self._tf_prefix = node, cameras.fixed_frame, config.tf_prefix
        topics: dict[str, type] = {
            "people": Detection3DArray,
            "people_poses": PoseArray,
            "person_pose": PoseWithCovarianceStamped,
        }
        if config.publish_tf:
            topics["/tf"] = TFMessage
        self._publishers = {
            topic: node.create_lifecycle_publisher(kind, topic, DEPTH, event_callbacks=qos.NO_PUBLISHER_EVENTS)
            for topic, kind in topics.items()
        }
        self._persons = PersonsOutputs(node, cameras) if config.publish_humans and HAS_HRI_MSGS else None
        self._newest: PeopleNow | None = None

    def publish(self, now: PeopleNow) -> None:
        """Everything about the people; empty arrays when nobody is seen."""
        self._newest = now
        header = Header(stamp=time_from_ns(now.stamp_ns), frame_id=self._fixed_frame)
        heads = [messages.as_head(person) for person in now.seen]
        poses = face_poses(heads)
        self._publishers["people"].publish(detections(heads, poses, header))
        self._publishers["people_poses"].publish(pose_array(poses, header))
        nearest = primary_pose(heads, poses, header)
        if nearest is not None:
            self._publishers["person_pose"].publish(nearest)
        if "/tf" in self._publishers:
            self._publishers["/tf"].publish(TFMessage(transforms=self._transforms(now, header)))
        if self._persons is not None:
            self._persons.publish(now, header)

    def _transforms(self, now: PeopleNow, header: Header) -> list[TransformStamped]:
        """REP-155: person_<id> also of those whom nobody sees, where they were, while they may be there."""
        there = [person for person in now.people if person.confidence > 0.0]
        poses = face_poses([messages.as_head(person) for person in there])
        return [
            messages.person_transform(person.person_id, pose, header, self._tf_prefix)
            for person, pose in zip(there, poses, strict=True)
        ]

    def publish_nobody(self) -> None:
        """Nobody is known to be there, for when the input is gone; once, until somebody is there again."""
        if self._newest is not None:
            self.publish(PeopleNow(self._newest.stamp_ns, ()))
            self._newest = None

    def destroy(self) -> None:
        """Take the topics off the graph."""
        if self._persons is not None:
            self._persons.destroy()
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)  # pyright: ignore[reportArgumentType]
        self._publishers = {}
