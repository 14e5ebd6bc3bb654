"""Poses as a rosbag2 (MCAP) for ros2 bag, RViz and Foxglove; no ROS needed."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.face_id import FaceId
from hpe_core.io.bags import typestore
from hpe_core.io.frame import Frame
from hpe_core.types import Face, FrameResult, primary_face

FLUSH_S = 1.0  # what a bag may lose when its process is killed


class PoseBag:
    """rosbag2 folder (MCAP, ROS 2 Jazzy types) with /head_pose, /head_poses and /tf in the input's stamps.

    /head_pose: the primary face; /head_poses: all faces, an empty array when there is none; /tf: REP-155 face_<id>
    and gaze_<id> under the images' frame.
    """

    def __init__(self, path: Path):
        from rosbags.rosbag2 import StoragePlugin, Writer

        self._store = typestore()
        self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._connections = {
            topic: self._writer.add_connection(topic, msgtype, typestore=self._store)
            for topic, msgtype in (
                ("/head_pose", "geometry_msgs/msg/PoseWithCovarianceStamped"),
                ("/head_poses", "geometry_msgs/msg/PoseArray"),
                ("/tf", "tf2_msgs/msg/TFMessage"),
            )
        }
        self._flush()

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Messages of one Frame and its FrameResult."""
        types: dict[str, Any] = self._store.types
        if time.monotonic() - self._flushed_s > FLUSH_S:
            self._flush()
        header = types["std_msgs/msg/Header"](self._stamp(frame.stamp_ns), frame.frame_id)
        poses = [self._pose(face) for face in result.faces]
        self._send("/head_poses", frame.stamp_ns, types["geometry_msgs/msg/PoseArray"](header, poses))
        primary = primary_face(result.faces)
        if primary is None:
            return
        with_covariance = types["geometry_msgs/msg/PoseWithCovariance"](
            self._pose(primary), primary.pose.covariance_ros
        )
        message = types["geometry_msgs/msg/PoseWithCovarianceStamped"](header, with_covariance)
        self._send("/head_pose", frame.stamp_ns, message)
        transforms = [
            transform
            for face in result.faces
            for transform in (
                self._transform(header, FaceId(face.face_id).face_frame, face, face.pose.quat_camera_face),
                self._transform(header, FaceId(face.face_id).gaze_frame, face, face.pose.quat_camera_gaze),
            )
        ]
        self._send("/tf", frame.stamp_ns, types["tf2_msgs/msg/TFMessage"](transforms))

    def close(self) -> None:
        self._writer.close()

    def _flush(self) -> None:
        """Bring all messages so far into the file, as a chunk of their own."""
        storage: Any = self._writer.storage  # the MCAP writer, whose parts rosbags does not declare
        if storage.chunk.msgs:
            storage.close_chunk()
        storage.bio.flush()
        self._flushed_s = time.monotonic()

    def _send(self, topic: str, stamp_ns: int, message: Any) -> None:
        connection = self._connections[topic]
        self._writer.write(connection, max(0, stamp_ns), self._store.serialize_cdr(message, connection.msgtype))

    def _stamp(self, stamp_ns: int) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        if not -(1 << 31) <= seconds < 1 << 31:
            raise HpeError(f"stamp {stamp_ns} ns does not fit a ROS time")
        return self._store.types["builtin_interfaces/msg/Time"](seconds, nanoseconds)

    def _quaternion(self, quat: np.ndarray) -> Any:
        return self._store.types["geometry_msgs/msg/Quaternion"](*map(float, quat))

    def _pose(self, face: Face) -> Any:
        types: dict[str, Any] = self._store.types
        position = types["geometry_msgs/msg/Point"](*map(float, face.pose.t_camera_head_m))
        return types["geometry_msgs/msg/Pose"](position, self._quaternion(face.pose.quat_camera_face))

    def _transform(self, header: Any, child: str, face: Face, quat: np.ndarray) -> Any:
        types: dict[str, Any] = self._store.types
        translation = types["geometry_msgs/msg/Vector3"](*map(float, face.pose.t_camera_head_m))
        transform = types["geometry_msgs/msg/Transform"](translation, self._quaternion(quat))
        return types["geometry_msgs/msg/TransformStamped"](header, child, transform)
