"""Poses out: a CSV with one row per face, and a rosbag2 (MCAP) for ros2 bag, RViz and Foxglove; no ROS needed."""

import csv
import time

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.io.text import csv_text, one_line
from hpe_core.types import primary_face

CSV_COLUMNS = (
    *("source", "frame", "stamp_ns", "face_id", "score", "yaw_deg", "pitch_deg", "roll_deg"),
    *("qx", "qy", "qz", "qw", "tx_m", "ty_m", "tz_m", "x0", "y0", "x1", "y1", "rotation_std_deg", "depth_std_m"),
    "error",
)


FLUSH_S = 1.0  # what a bag may lose when its process is killed


class PoseCsv:
    """poses.csv: yaw, pitch, roll as AFLW2000; quaternion and translation of the REP-155 face frame in the camera.

    A frame without a face is one row with an empty face_id; an image that could not be read too, with its `error`.
    """

    def __init__(self, path):
        # by the line: whatever ends the process, every row that was written is in the file, and whole
        self._file = open(path, "w", buffering=1, newline="", encoding="utf-8")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(CSV_COLUMNS)

    def write(self, frame, result):
        """Rows of one Frame and its FrameResult."""
        start = _start(frame)
        if not result.faces:
            self._rows.writerow(start + [""] * (len(CSV_COLUMNS) - len(start)))
        for face in result.faces:
            angles = face.pose.euler_aflw2000
            numbers = [
                _text(face.score, 4),
                *(_text(angle, 4) for angle in (angles.yaw, angles.pitch, angles.roll)),
                *(_text(value, 7) for value in face.pose.quat_camera_face),
                *(_text(value, 5) for value in face.pose.t_camera_head_m),
                *(_text(value, 2) for value in face.box_px),
                _text(face.pose.rotation_std_deg, 3),
                _text(face.pose.depth_std_m, 5),
            ]
            self._rows.writerow([*start, face.face_id, *numbers, ""])

    def write_unreadable(self, frame):
        """The row of a Frame without an image."""
        start = _start(frame)
        self._rows.writerow([*start, *[""] * (len(CSV_COLUMNS) - len(start) - 1), csv_text(one_line(frame.error))])

    def close(self):
        self._file.close()


def _start(frame):
    return [csv_text(frame.source), frame.index, frame.stamp_ns]


def _text(value, digits):
    """A number with so many decimals; empty when it is not known."""
    return f"{value:.{digits}f}" if np.isfinite(value) else ""


class PoseBag:
    """rosbag2 folder (MCAP, ROS 2 Jazzy types) with /head_pose, /head_poses and /tf in the input's stamps.

    /head_pose: the primary face; /head_poses: all faces, an empty array when there is none; /tf: REP-155 face_<id>
    and gaze_<id> under the images' frame.
    """

    def __init__(self, path):
        from rosbags.rosbag2 import StoragePlugin, Writer

        from hpe_core.io.bags import typestore

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

    def write(self, frame, result):
        """Messages of one Frame and its FrameResult."""
        types = self._store.types
        if time.monotonic() - self._flushed_s > FLUSH_S:
            self._flush()
        header = types["std_msgs/msg/Header"](self._stamp(frame.stamp_ns), frame.frame_id)
        poses = [self._pose(face) for face in result.faces]
        self._send("/head_poses", frame.stamp_ns, types["geometry_msgs/msg/PoseArray"](header, poses))
        if not result.faces:
            return
        primary = primary_face(result.faces)
        with_covariance = types["geometry_msgs/msg/PoseWithCovariance"](
            self._pose(primary), primary.pose.covariance_ros
        )
        message = types["geometry_msgs/msg/PoseWithCovarianceStamped"](header, with_covariance)
        self._send("/head_pose", frame.stamp_ns, message)
        transforms = [
            transform
            for face in result.faces
            for transform in (
                self._transform(header, face.face_id, face, face.pose.quat_camera_face),
                self._transform(header, face.face_id.replace("face_", "gaze_", 1), face, face.pose.quat_camera_gaze),
            )
        ]
        self._send("/tf", frame.stamp_ns, types["tf2_msgs/msg/TFMessage"](transforms))

    def close(self):
        self._writer.close()

    def _flush(self):
        """Bring all messages so far into the file, as a chunk of their own."""
        storage = self._writer.storage
        if storage.chunk.msgs:
            storage.close_chunk()
        storage.bio.flush()
        self._flushed_s = time.monotonic()

    def _send(self, topic, stamp_ns, message):
        connection = self._connections[topic]
        self._writer.write(connection, max(0, stamp_ns), self._store.serialize_cdr(message, connection.msgtype))

    def _stamp(self, stamp_ns):
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        if not -(1 << 31) <= seconds < 1 << 31:
            raise HpeError(f"stamp {stamp_ns} ns does not fit a ROS time")
        return self._store.types["builtin_interfaces/msg/Time"](seconds, nanoseconds)

    def _quaternion(self, quat):
        return self._store.types["geometry_msgs/msg/Quaternion"](*map(float, quat))

    def _pose(self, face):
        types = self._store.types
        position = types["geometry_msgs/msg/Point"](*map(float, face.pose.t_camera_head_m))
        return types["geometry_msgs/msg/Pose"](position, self._quaternion(face.pose.quat_camera_face))

    def _transform(self, header, child, face, quat):
        types = self._store.types
        translation = types["geometry_msgs/msg/Vector3"](*map(float, face.pose.t_camera_head_m))
        transform = types["geometry_msgs/msg/Transform"](translation, self._quaternion(quat))
        return types["geometry_msgs/msg/TransformStamped"](header, child, transform)
