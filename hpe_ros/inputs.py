"""The subscriptions of the pose node. rclpy does not manage them: they exist only while the node is active."""

from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible, qos_policy_name_from_kind
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks


class PoseInputs:
    """Image and camera_info of one camera, newest only. `image_topic`: where the images come from.

    on_qos_mismatch(text) hears at once of a publisher that asks for another quality of service; `qos_problems` says
    which such publishers there are now.
    """

    def __init__(self, node, config, on_image, on_camera_info, on_qos_mismatch):
        self._node, self._on_qos_mismatch = node, on_qos_mismatch
        self._qos = QoSProfile(depth=1, reliability=ReliabilityPolicy[config.reliability.upper()])
        kind, topic = Image, "image"
        if config.image_transport == "compressed":  # beside the raw topic, however that is remapped
            kind, topic = CompressedImage, node.resolve_topic_name("image") + "/compressed"
        images = self._subscription(kind, topic, on_image)
        self.image_topic = images.topic_name
        self._subscriptions = [images, self._subscription(CameraInfo, "camera_info", on_camera_info)]

    def _subscription(self, kind, topic, callback):
        name = self._node.resolve_topic_name(topic)

        def on_incompatible(event):
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            self._on_qos_mismatch(f"{name}: a publisher's {policy} does not fit, its messages do not arrive")

        events = SubscriptionEventCallbacks(incompatible_qos=on_incompatible)
        return self._node.create_subscription(kind, topic, callback, self._qos, event_callbacks=events)

    def qos_problems(self):
        """Dict from topic to why messages of a publisher that is there now do not arrive; empty when all fits."""
        problems = {}
        for subscription in self._subscriptions:
            for publisher in self._node.get_publishers_info_by_topic(subscription.topic_name):
                fit, reason = qos_check_compatible(publisher.qos_profile, self._qos)
                if fit == QoSCompatibility.ERROR:
                    sender = f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
                    reason = reason.removeprefix("ERROR: ").rstrip("; ")
                    problems[subscription.topic_name] = f"{reason}; the publisher is {sender}"
        return problems

    def destroy(self):
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
