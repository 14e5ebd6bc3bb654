"""A rosbag2 of images with CameraInfo and ground truth, as every reader of ROS 2 takes it; no ROS needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpe_core.geometry import frames, so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.bags import COMPRESSED, typestore
from hpe_core.io.message_types import camera_info

POSE = "geometry_msgs/msg/PoseStamped"
IMAGE_TOPIC, INFO_TOPIC, TRUTH_TOPIC = "/camera/image/compressed", "/camera/camera_info", "/truth/head_pose"
FRAME_ID = "camera_optical_frame"
Pose = tuple[np.ndarray, np.ndarray]  # R_camera_head (3, 3), t_m (3,)
Message = Any  # rosbags makes the classes of messages while it runs


class ImageBag:
    """rosbag2 folder (MCAP). Images are kept as the bytes they came in; the ground truth is the REP-155 face frame."""

    def __init__(self, folder: Path) -> None:
        from rosbags.rosbag2 import StoragePlugin, Writer

        self._store = typestore()
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._connections: dict[str, Any] = {}  # topic -> Connection

    def write(
        self, stamp_ns: int, data: bytes, kind: str, camera: CameraModel | None = None, pose: Pose | None = None
    ) -> None:
        """One image: encoded bytes, their kind (jpeg, png), CameraModel and pose (R_camera_head, t_m) or None."""
        header = self._header(stamp_ns)
        image = self._store.types[COMPRESSED](header, kind, np.frombuffer(data, np.uint8))
        if camera is not None:
            self._send(INFO_TOPIC, stamp_ns, camera_info(self._store.types, header, camera))
        self._send(IMAGE_TOPIC, stamp_ns, image)
        if pose is not None:
            self.write_truth(stamp_ns, pose)

    def write_truth(self, stamp_ns: int, pose: Pose) -> None:
        """One true pose (R_camera_head, t_m)."""
        R, t_m = pose
        types = self._store.types
        quat = so3.quat_from_matrix(frames.face_from_head(R))
        orientation = types["geometry_msgs/msg/Quaternion"](*map(float, quat))
        content = types["geometry_msgs/msg/Pose"](types["geometry_msgs/msg/Point"](*map(float, t_m)), orientation)
        self._send(TRUTH_TOPIC, stamp_ns, types[POSE](self._header(stamp_ns), content))

    def close(self) -> None:
        """Finish the bag."""
        self._writer.close()

    def __enter__(self) -> ImageBag:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _send(self, topic: str, stamp_ns: int, message: Message) -> None:
        kind = message.__msgtype__
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._store)
        self._writer.write(self._connections[topic], stamp_ns, self._store.serialize_cdr(message, kind))

    def _header(self, stamp_ns: int) -> Message:
        types = self._store.types
        stamp = types["builtin_interfaces/msg/Time"](*divmod(int(stamp_ns), 1_000_000_000))
        return types["std_msgs/msg/Header"](stamp, FRAME_ID)
