"""What exists only while the attention node is active: subscriptions, TF, and the way of one message of heads."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from hpe_core.attention.config import AttentionConfig
from hpe_core.attention.decision import Attention
from hpe_core.attention.targets import Target
from hpe_ros import qos
from hpe_ros.attention.camera import NewestCamera
from hpe_ros.attention.health import AttentionHealth
from hpe_ros.attention.messages import heads_from_detections
from hpe_ros.attention.outputs import AttentionOutputs
from hpe_ros.attention.places import TargetPlaces
from hpe_ros.health_topic import steady_clock
from hpe_ros.messages import ns_from_time
from hpe_ros.node_config import AttentionNodeConfig
from hpe_ros.optional import HAS_VISION_MSGS

if TYPE_CHECKING or HAS_VISION_MSGS:  # without it the node refuses to be configured
    from vision_msgs.msg import Detection3DArray


class AttentionStream:
    """Runs from its making to `stop`; what happens to heads stands in `_process`, from top to bottom."""

    def __init__(
        self,
        node: LifecycleNode,
        config: AttentionNodeConfig,
        decision: AttentionConfig,
        targets: Sequence[Target],
        outputs: AttentionOutputs,
        health: AttentionHealth,
    ):
        self._node, self._outputs, self._health = node, outputs, health
        self._attention, self._camera = Attention(decision), NewestCamera()
        self._header: Header | None = None  # of the newest heads, None while there are none
        self._places = TargetPlaces(node, targets, config.tf_tolerance_s)
        self._watchdog = node.create_timer(config.input_timeout_s, self._on_silence, clock=steady_clock())
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        with qos.overrides():
            self._subscriptions = [
                self._subscription(Detection3DArray, "heads", self._on_heads, 10),
                self._subscription(CameraInfo, "camera_info", self._on_camera_info, newest),
            ]

    def _subscription(self, kind: type, topic: str, callback: Callable[..., None], profile: QoSProfile | int):
        override = qos.OVERRIDABLE
        return self._node.create_subscription(kind, topic, callback, profile, qos_overriding_options=override)

    def reconfigure(self, decision: AttentionConfig) -> None:
        """Decide by these from the next message on."""
        self._attention.config = decision

    def end_looks(self, reason: str) -> None:
        """Nobody is known to look any more: stop every look and say so once."""
        if self._header is not None:
            self._outputs.publish_events(self._attention.forget(reason), self._header.frame_id)
            self._outputs.publish_nobody(self._header)
            self._header = None

    def stop(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._node.destroy_timer(self._watchdog)
        self._places.destroy()

    def _on_camera_info(self, message: CameraInfo):
        if problem := self._camera.add(message):
            self._node.get_logger().warning(f"camera_info: {problem}; face sizes in the image are not checked")

    def _on_heads(self, message: "Detection3DArray"):
        self._watchdog.reset()
        try:
            self._process(message)
        except Exception as error:  # whatever a message holds, the next one is worked on
            text = self._health.failed(error)
            self._node.get_logger().error(f"heads dropped: {text}", throttle_duration_sec=5.0)

    def _process(self, message: "Detection3DArray"):
        """The heads of one image."""
        self._header = message.header
        heads, problems = heads_from_detections(message, self._camera.of(message.header.frame_id))
        placed = self._places.placed(message.header)
        judgements, events = self._attention.update(ns_from_time(message.header.stamp), heads, placed)
        self._outputs.publish(message, heads, placed, judgements, events)
        self._health.processed(judgements, events, problems)

    def _on_silence(self):
        self.end_looks("no heads")
        self._health.silent()
