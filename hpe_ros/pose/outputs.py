"""The publishers of the pose node and what goes out on them for one frame."""

import numpy as np
from geometry_msgs.msg import PoseArray, PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.output.blur import HeadBlur
from hpe_core.output.choices import MESHES
from hpe_core.output.overlay import draw
from hpe_core.types import FrameResult
from hpe_ros import images, qos
from hpe_ros.node_config import NodeConfig
from hpe_ros.optional import HAS_FOXGLOVE_MSGS, HAS_HRI_MSGS, HAS_VISION_MSGS
from hpe_ros.people.humans import HumansOutputs
from hpe_ros.pose import flat_messages, messages, shape_messages

DEPTH = 10


class PoseOutputs:
    """Lifecycle publishers of a node; silent while the node is not active."""

    def __init__(self, node: LifecycleNode, config: NodeConfig, tells_shape: bool = False):
        """tells_shape: whether the model tells expressions and meshes. Raises HpeError when overlay_parts need them and
        it does not."""
        asked = [part for part in config.overlay_parts if part in MESHES]
        if asked and not tells_shape:
            raise HpeError(f"overlay_parts: '{asked[0]}' needs a model that tells the shape of faces, such as dense")
        self._node, self._tf_prefix, self._overlay = node, config.tf_prefix, config.overlay
        self._overlay_parts = config.overlay_parts
        self._by_slot = config.tf_names == "slot" or (config.tf_names == "auto" and not HAS_HRI_MSGS)
        self._blur_faces, self._blur = config.blur_faces, HeadBlur()
        topics: dict[str, type] = {"head_pose": PoseWithCovarianceStamped, "head_poses": PoseArray}
        topics |= {"markers": MarkerArray, "landmarks": MarkerArray, "overlay": Image}
        if tells_shape:
            topics |= {"expressions": JointState, "meshes": MarkerArray}
        if config.publish_tf:
            topics["/tf"] = TFMessage
        if HAS_VISION_MSGS:
            topics |= {"heads": messages.Detection3DArray, "faces_2d": flat_messages.Detection2DArray}
        if HAS_FOXGLOVE_MSGS:
            topics["annotations"] = flat_messages.ImageAnnotations
        options = {"event_callbacks": qos.NO_PUBLISHER_EVENTS, "qos_overriding_options": qos.OVERRIDABLE}
        with qos.overrides():
            self._publishers = {
                topic: node.create_lifecycle_publisher(kind, topic, DEPTH, **options) for topic, kind in topics.items()
            }
        self._humans = HumansOutputs(node, config.tf_prefix) if config.publish_humans and HAS_HRI_MSGS else None

    def reconfigure(self, config: NodeConfig) -> None:
        """Take over the options of a NodeConfig that change at run time."""
        self._overlay, self._blur_faces = config.overlay, config.blur_faces

    def publish(self, result: FrameResult, camera: CameraModel, header: Header) -> None:
        """Poses of one FrameResult of a camera under the image's header; without a face, empty arrays.

        What nobody subscribes to is not made: each message costs 0.1 to 0.3 ms.
        """
        faces, poses = result.faces, messages.face_poses(result.faces)
        if self._wanted("head_poses"):
            self._publishers["head_poses"].publish(messages.pose_array(poses, header))
        if faces and self._wanted("head_pose"):
            self._publishers["head_pose"].publish(messages.primary_pose(faces, poses, header))
        if faces and header.frame_id and self._wanted("/tf"):  # tf2 refuses a transform without a parent
            self._publishers["/tf"].publish(messages.transforms(faces, poses, header, self._tf_prefix, self._by_slot))
        if self._wanted("heads"):
            self._publishers["heads"].publish(messages.detections(faces, poses, header, self._by_slot))
        if self._wanted("faces_2d"):
            self._publishers["faces_2d"].publish(flat_messages.detections(faces, header))
        if self._wanted("annotations"):
            self._publishers["annotations"].publish(flat_messages.annotations(faces, camera, header))
        if self._wanted("markers"):
            self._publishers["markers"].publish(messages.markers(faces, poses, header))
        if self._wanted("landmarks"):
            self._publishers["landmarks"].publish(messages.landmark_markers(faces, header))
        if self._wanted("expressions"):
            self._publishers["expressions"].publish(shape_messages.expressions(faces, header))
        if self._humans is not None:
            self._humans.publish(faces, camera, header)

    def publish_pictures(self, image_bgr: np.ndarray, camera: CameraModel, result: FrameResult, header: Header) -> None:
        """The image (H, W, 3) uint8 with the faces drawn on it, meshes, and each face cut out, only while somebody
        looks."""
        if self._overlay and self._wanted("overlay"):
            shown = self._blur.hide(image_bgr, camera, result) if self._blur_faces else image_bgr
            picture = draw(shown, camera, result.faces, parts=self._overlay_parts)
            self._publishers["overlay"].publish(images.image_from_bgr(picture, header))
        if self._wanted("meshes"):
            self._publishers["meshes"].publish(shape_messages.mesh_markers(result.faces, header))
        if self._humans is not None and not self._blur_faces:
            self._humans.publish_pictures(image_bgr, result.faces, camera, header)

    def _wanted(self, topic: str) -> bool:
        return topic in self._publishers and self._publishers[topic].get_subscription_count() > 0

    def qos_problems(self) -> dict[str, str]:
        """Dict from topic to why a subscription that is there now gets nothing; empty when all fits."""
        problems = [qos.subscriptions_that_do_not_fit(self._node, publisher) for publisher in self._publishers.values()]
        return dict(item for of_topic in problems for item in of_topic.items())

    def destroy(self) -> None:
        """Take the topics off the graph."""
        if self._humans is not None:
            self._humans.destroy()
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)  # pyright: ignore[reportArgumentType]
        self._publishers = {}
