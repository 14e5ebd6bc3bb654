"""The subscriptions of the pose node. rclpy does not manage them: they exist only while the node is active."""

from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hpe_ros import qos


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

        events = qos.SubscriptionEventCallbacks(incompatible_qos=on_incompatible)
        return self._node.create_subscription(kind, topic, callback, self._qos, event_callbacks=events)

    def qos_problems(self):
        """Dict from topic to why messages of a publisher that is there now do not arrive; empty when all fits."""
        found = [qos.publishers_that_do_not_fit(self._node, subscription) for subscription in self._subscriptions]
        return dict(item for problems in found for item in problems.items())

    def destroy(self):
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
