"""Errors between estimated and true head poses; every frame is accounted for."""

from dataclasses import dataclass

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry import euler, frames, so3


@dataclass(frozen=True, eq=False)
class Poses:
    """N stamped poses of the REP-155 face frame. stamp_ns (N,) int; quat (N, 4) x, y, z, w; t_m (N, 3)."""

    stamp_ns: np.ndarray
    quat: np.ndarray
    t_m: np.ndarray

    @property
    def R_camera_head(self):
        """Rotations (N, 3, 3) of the head frame."""
        return frames.head_from_face(so3.matrix_from_quat(self.quat))


@dataclass(frozen=True, eq=False)
class PoseErrors:
    """Errors of the M estimates whose stamps are in the truth; `missed` true stamps have no estimate.

    geodesic_deg (M,); euler_deg (M, 3): absolute yaw, pitch, roll, AFLW2000 convention; t_m (M, 3): signed, camera
    frame; depth_m (M,): signed, along the true line of sight; range_m (M,): true distance.
    """

    geodesic_deg: np.ndarray
    euler_deg: np.ndarray
    t_m: np.ndarray
    depth_m: np.ndarray
    range_m: np.ndarray
    truth_count: int

    @property
    def missed(self):
        """True poses without an estimate."""
        return self.truth_count - len(self.geodesic_deg)


def pose_errors(estimated, true):
    """PoseErrors of estimated against true Poses, paired by equal stamps.

    Raises HpeError when either is empty or no stamp is shared.
    """
    if len(true.stamp_ns) == 0 or len(estimated.stamp_ns) == 0:
        raise HpeError(f"nothing to compare: {len(estimated.stamp_ns)} estimates, {len(true.stamp_ns)} true poses")
    _, e, t = np.intersect1d(estimated.stamp_ns, true.stamp_ns, return_indices=True)
    if len(e) == 0:
        raise HpeError("no estimate shares a stamp with a true pose")
    R_estimated, R_true = estimated.R_camera_head[e], true.R_camera_head[t]
    a, b = euler.aflw2000.from_matrix(R_estimated), euler.aflw2000.from_matrix(R_true)
    t_error = estimated.t_m[e] - true.t_m[t]
    range_m = np.linalg.norm(true.t_m[t], axis=-1)
    depth = np.sum(t_error * true.t_m[t], -1) / range_m
    return PoseErrors(
        np.degrees(so3.geodesic_angle(R_estimated, R_true)),
        np.abs(np.stack([a.yaw - b.yaw, a.pitch - b.pitch, a.roll - b.roll], -1)),
        t_error,
        depth,
        range_m,
        len(true.stamp_ns),
    )


def read_poses(bag_path, topic):
    """Poses of a PoseStamped or PoseWithCovarianceStamped topic of a rosbag2, in message order.

    Raises HpeError when the bag cannot be read or has no such topic (it lists those it has).
    """
    from rosbags.highlevel import AnyReader, AnyReaderError
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    rows = []
    try:
        with AnyReader([bag_path], default_typestore=store) as reader:
            connections = [c for c in reader.connections if c.topic == topic]
            if not connections:
                raise HpeError(f"{bag_path} has no topic '{topic}', it has: {', '.join(sorted(reader.topics))}")
            for connection, _, data in reader.messages(connections):
                message = reader.deserialize(data, connection.msgtype)
                pose = message.pose.pose if hasattr(message.pose, "pose") else message.pose
                stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
                q, p = pose.orientation, pose.position
                rows.append((stamp, (q.x, q.y, q.z, q.w), (p.x, p.y, p.z)))
    except AnyReaderError as error:
        raise HpeError(f"cannot read bag {bag_path}: {error}") from error
    stamps, quats, ts = zip(*rows, strict=True) if rows else ((), (), ())
    return Poses(np.array(stamps, np.int64), np.array(quats).reshape(-1, 4), np.array(ts).reshape(-1, 3))
