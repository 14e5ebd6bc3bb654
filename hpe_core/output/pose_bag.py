"""Poses as a rosbag2 (MCAP) for ros2 bag, RViz and Foxglove; no ROS needed."""

import time
from pathlib import Path
from typing import Any

from hpe_core.geometry.camera import CameraModel
from hpe_core.io.bags import CAMERA_INFO, COMPRESSED
from hpe_core.io.frame import Frame
from hpe_core.io.message_types import Message, camera_info, extended_typestore
from hpe_core.output.annotations import image_annotations
from hpe_core.output.bag_messages import Messages
from hpe_core.types import FrameResult, primary_face

FLUSH_S = 1.0  # what a bag may lose when its process is killed
IMAGE_TOPIC, INFO_TOPIC = "/camera/image/compressed", "/camera/camera_info"
TOPICS = {
    "/head_pose": "geometry_msgs/msg/PoseWithCovarianceStamped",
    "/head_angles": "geometry_msgs/msg/Vector3Stamped",
    "/head_poses": "geometry_msgs/msg/PoseArray",
    "/heads": "vision_msgs/msg/Detection3DArray",
    "/landmarks": "sensor_msgs/msg/PointCloud2",
    "/annotations": "foxglove_msgs/msg/ImageAnnotations",
    "/tf": "tf2_msgs/msg/TFMessage",
}
SHAPE_TOPICS = {"/expressions": "sensor_msgs/msg/JointState"}
IMAGE_TOPICS = {IMAGE_TOPIC: COMPRESSED, INFO_TOPIC: CAMERA_INFO}


class PoseBag:
    """rosbag2 folder (MCAP, ROS 2 Jazzy types) in the input's stamps, under the images' frame.

    /head_pose, /head_angles (degrees): the nearest face; /head_poses, /heads, /landmarks: all faces, empty when there
    is none; /annotations: what Foxglove draws on the image; /tf: REP-155 face_<id> and gaze_<id>. With `image` the
    images too, as JPEG, and their CameraInfo; with `shapes` /expressions of all faces.
    """

    def __init__(self, path: Path, image: bool = False, shapes: bool = False):
        from rosbags.rosbag2 import StoragePlugin, Writer

        self._store = extended_typestore()
        self._messages = Messages(self._store.types)
        self._image, self._shapes = image, shapes
        self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._connections = {
            topic: self._writer.add_connection(topic, msgtype, typestore=self._store)
            for topic, msgtype in (TOPICS | (SHAPE_TOPICS if shapes else {}) | (IMAGE_TOPICS if image else {})).items()
        }
        self._flush()

    def write(self, frame: Frame, result: FrameResult, camera: CameraModel) -> None:
        """Messages of one Frame, its FrameResult and CameraModel."""
        if time.monotonic() - self._flushed_s > FLUSH_S:
            self._flush()
        make, faces = self._messages, result.faces
        header = make.header(frame.stamp_ns, frame.frame_id)
        poses = make.poses(faces)
        sent = {
            "/head_poses": make.pose_array(header, poses),
            "/heads": make.heads(header, faces, poses),
            "/landmarks": make.landmarks(header, faces),
            "/annotations": make.annotations(header, image_annotations(camera, faces)),
        }
        primary = primary_face(faces)
        if primary is not None:
            sent["/head_pose"] = make.primary(header, primary, poses[faces.index(primary)])
            sent["/head_angles"] = make.angles(header, primary)
            sent["/tf"] = make.transforms(header, faces, poses)
        if self._shapes:
            sent["/expressions"] = make.expressions(header, faces)
        if self._image and frame.image_bgr is not None:
            sent[INFO_TOPIC] = camera_info(self._store.types, header, camera)
            sent[IMAGE_TOPIC] = make.image(header, frame.image_bgr)
        for topic, message in sent.items():
            self._send(topic, frame.stamp_ns, message)

    def close(self) -> None:
        self._writer.close()

    def _flush(self) -> None:
        """Bring all messages so far into the file, as a chunk of their own."""
        storage: Any = self._writer.storage  # the MCAP writer, whose parts rosbags does not declare
        if storage.chunk.msgs:
            storage.close_chunk()
        storage.bio.flush()
        self._flushed_s = time.monotonic()

    def _send(self, topic: str, stamp_ns: int, message: Message) -> None:
        connection = self._connections[topic]
        self._writer.write(connection, max(0, stamp_ns), self._store.serialize_cdr(message, connection.msgtype))
