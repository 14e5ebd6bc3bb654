"""The subscriptions of the pose node. rclpy does not manage them: they exist only while the node is active."""

from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image


class PoseInputs:
    """Image and camera_info of one camera, newest only. `image_topic`: where the images come from."""

    def __init__(self, node, config, on_image, on_camera_info):
        self._node = node
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy[config.reliability.upper()])
        kind, topic = Image, "image"
        if config.image_transport == "compressed":  # beside the raw topic, however that is remapped
            kind, topic = CompressedImage, node.resolve_topic_name("image") + "/compressed"
        images = node.create_subscription(kind, topic, on_image, qos)
        self.image_topic = images.topic_name
        self._subscriptions = [images, node.create_subscription(CameraInfo, "camera_info", on_camera_info, qos)]

    def destroy(self):
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
