"""The subscriptions of the pose node. rclpy does not manage them: they exist only while the node is active."""

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hpe_ros import qos
from hpe_ros.node_config import NodeConfig


class Subscriptions:
    """Subscriptions for the newest message only.

    on_qos_mismatch(text) hears at once of a publisher that asks for another quality of service; `qos_problems` says
    which such publishers there are now.
    """

    def __init__(self, node: Node, reliability: str, on_qos_mismatch: Callable[[str], object]):
        self._node, self._on_qos_mismatch = node, on_qos_mismatch
        self._qos = QoSProfile(depth=1, reliability=ReliabilityPolicy[reliability.upper()])
        self._subscriptions: list[Subscription] = []

    def _subscribe(self, kind, topic, callback):
        name = self._node.resolve_topic_name(topic)

        def on_incompatible(event):
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            self._on_qos_mismatch(f"{name}: a publisher's {policy} does not fit, its messages do not arrive")

        with qos.overrides():
            made = self._node.create_subscription(
                kind,
                topic,
                callback,
                self._qos,
                event_callbacks=qos.SubscriptionEventCallbacks(incompatible_qos=on_incompatible),
                qos_overriding_options=qos.OVERRIDABLE_BUT_RELIABILITY,
            )
        self._subscriptions.append(made)
        return made

    def _subscribe_images(self, topic, transport, on_image):
        """`raw`, or what a transport publishes beside the raw topic, however that is remapped."""
        if transport == "raw":
            return self._subscribe(Image, topic, on_image)
        return self._subscribe(CompressedImage, f"{self._node.resolve_topic_name(topic)}/{transport}", on_image)

    def qos_problems(self) -> dict[str, str]:
        """Dict from topic to why messages of a publisher that is there now do not arrive; empty when all fits."""
        problems = [qos.publishers_that_do_not_fit(self._node, subscription) for subscription in self._subscriptions]
        return dict(item for of_topic in problems for item in of_topic.items())

    def destroy(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []


class PoseInputs(Subscriptions):
    """Image and camera_info of one camera. `image_topic`: where the images come from."""

    def __init__(
        self,
        node: Node,
        config: NodeConfig,
        on_image: Callable[[Image | CompressedImage], object],
        on_camera_info: Callable[[CameraInfo], object],
        on_qos_mismatch: Callable[[str], object],
    ):
        super().__init__(node, config.reliability, on_qos_mismatch)
        self.image_topic = self._subscribe_images("image", config.image_transport, on_image).topic_name
        self._subscribe(CameraInfo, "camera_info", on_camera_info)
