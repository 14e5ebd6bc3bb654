"""What goes out for a frame, and what is not even computed while nobody subscribes."""

import numpy as np
import pytest

from hpe_core.geometry.camera import CameraModel
from hpe_core.types import Face, FrameResult, HeadPose
from hpe_ros.node_config import NodeConfig

pytestmark = pytest.mark.ros

FACE = Face(HeadPose(np.eye(3), [0, 0, 0.8], np.eye(6)), 0.9, np.array([10.0, 20, 30, 40]), "face_a")


class Publisher:
    def __init__(self, subscriptions):
        self.subscriptions, self.sent = subscriptions, []

    def get_subscription_count(self):
        return self.subscriptions

    def publish(self, message):
        self.sent.append(message)


class Node:
    """Makes publishers that have so many subscriptions, and keeps them by topic."""

    def __init__(self, subscriptions):
        self.subscriptions, self.publishers = subscriptions, {}

    def create_publisher(self, kind, topic, depth, **_):
        self.publishers[topic] = Publisher(self.subscriptions)
        return self.publishers[topic]

    create_lifecycle_publisher = create_publisher


def published(subscriptions, faces=(FACE,), frame_id="lens", **config):
    """Dict from topic to what was sent for one frame."""
    from std_msgs.msg import Header

    from hpe_ros.pose.outputs import PoseOutputs

    node, header = Node(subscriptions), Header(frame_id=frame_id)
    outputs, result = PoseOutputs(node, NodeConfig(**config)), FrameResult(0, tuple(faces))
    camera = CameraModel.from_hfov(64, 48, 60.0)
    outputs.publish(result, camera, header)
    outputs.publish_pictures(np.zeros((48, 64, 3), np.uint8), camera, result, header)
    return {topic: publisher.sent for topic, publisher in node.publishers.items()}


def test_with_subscribers_every_topic_gets_one_message():
    sent = published(subscriptions=1)
    assert {"head_pose", "head_poses", "/tf", "markers", "overlay"} <= set(sent)
    assert {len(messages) for messages in sent.values()} == {1}


def test_rep_155_topics_of_the_faces_need_hri_msgs_and_can_be_switched_off():
    from hpe_ros.optional import HAS_HRI_MSGS

    topics = {topic for topic in published(subscriptions=1) if topic.startswith("/humans")}
    of_the_face = {f"/humans/faces/a/{name}" for name in ("roi", "cropped", "aligned")}
    assert topics == (of_the_face | {"/humans/faces/tracked"} if HAS_HRI_MSGS else set())
    assert not [t for t in published(subscriptions=1, publish_humans=False) if t.startswith("/humans")]


def test_what_nobody_subscribes_to_is_not_made():
    assert all(messages == [] for messages in published(subscriptions=0).values())


def test_the_overlay_can_be_switched_off():
    assert published(subscriptions=1, overlay=False)["overlay"] == []


def test_without_a_face_there_is_no_pose_and_no_tf_but_an_empty_array():
    sent = published(subscriptions=1, faces=())
    assert sent["head_pose"] == sent["/tf"] == []
    assert len(sent["head_poses"]) == 1 and not sent["head_poses"][0].poses


def test_tf_needs_a_parent_and_can_be_switched_off():
    assert published(subscriptions=1, frame_id="")["/tf"] == []
    assert "/tf" not in published(subscriptions=1, publish_tf=False)


def test_with_blur_faces_there_is_no_picture_of_a_face():
    sent = published(subscriptions=1, blur_faces=True)
    assert len(sent["overlay"]) == 1
    assert not [topic for topic in sent if topic.endswith(("/cropped", "/aligned")) and sent[topic]]
