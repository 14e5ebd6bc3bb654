"""Synthetic bags: a head that moves in a known way, and estimates with errors that are known too."""

from types import SimpleNamespace

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from hpe_core.geometry import euler, frames, so3
from hpe_core.io.message_types import extended_typestore

START_NS = 1_700_000_000_000_000_000
RATE_HZ = 30


def motion(seconds, rate_hz=RATE_HZ, centre=(0.0, 0.0, 1.0), phase=0.0):
    """Stamps (N,), R_camera_head (N, 3, 3), t_m (N, 3) of a head that looks around."""
    stamps = START_NS + np.round(np.arange(int(seconds * rate_hz)) * 1e9 / rate_hz).astype(np.int64)
    return (stamps, *head_at(stamps, centre, phase))


def head_at(stamps, centre=(0.0, 0.0, 1.0), phase=0.0):
    t = (stamps - START_NS) * 1e-9 + phase
    angles = euler.EulerDeg(
        yaw=35 * np.sin(0.7 * t) + 8 * np.sin(1.9 * t), pitch=15 * np.sin(0.9 * t + 1), roll=8 * np.sin(0.5 * t)
    )
    place = np.asarray(centre) + 0.05 * np.stack([np.sin(0.6 * t), np.cos(0.8 * t), np.sin(0.4 * t)], -1)
    return euler.aflw2000.to_matrix(angles), place


def make(name, *values):
    return extended_typestore().types[name](*values)


def header(stamp_ns, frame_id="camera"):
    time = make("builtin_interfaces/msg/Time", int(stamp_ns) // 10**9, int(stamp_ns) % 10**9)
    return make("std_msgs/msg/Header", time, frame_id)


def geometry_pose(R, t, quat=None):
    quat = so3.quat_from_matrix(frames.face_from_head(R)) if quat is None else quat
    point = make("geometry_msgs/msg/Point", *(float(v) for v in t))
    return make("geometry_msgs/msg/Pose", point, make("geometry_msgs/msg/Quaternion", *(float(v) for v in quat)))


def pose_stamped(stamp, R, t, frame_id="camera", quat=None):
    return make("geometry_msgs/msg/PoseStamped", header(stamp, frame_id), geometry_pose(R, t, quat))


def pose_with_covariance(stamp, R, t, covariance, frame_id="camera"):
    pose = make("geometry_msgs/msg/PoseWithCovariance", geometry_pose(R, t), np.asarray(covariance, float).ravel())
    return make("geometry_msgs/msg/PoseWithCovarianceStamped", header(stamp, frame_id), pose)


def pose_array(stamp, poses, frame_id="camera"):
    return make("geometry_msgs/msg/PoseArray", header(stamp, frame_id), [geometry_pose(R, t) for R, t in poses])


def odometry(stamp, R, t, frame_id="camera"):
    zero = make("geometry_msgs/msg/Vector3", 0.0, 0.0, 0.0)
    twist = make("geometry_msgs/msg/TwistWithCovariance", make("geometry_msgs/msg/Twist", zero, zero), np.zeros(36))
    pose = make("geometry_msgs/msg/PoseWithCovariance", geometry_pose(R, t), np.zeros(36))
    return make("nav_msgs/msg/Odometry", header(stamp, frame_id), "head", pose, twist)


def detections(stamp, faces, frame_id="camera"):
    """faces: list of (id, R, t)."""
    out = []
    for name, R, t in faces:
        pose = make("geometry_msgs/msg/PoseWithCovariance", geometry_pose(R, t), np.eye(6).ravel() * 1e-4)
        hypothesis = make("vision_msgs/msg/ObjectHypothesis", "head", 0.9)
        box = make(
            "vision_msgs/msg/BoundingBox3D", geometry_pose(R, t), make("geometry_msgs/msg/Vector3", 0.2, 0.2, 0.2)
        )
        result = make("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis, pose)
        out.append(make("vision_msgs/msg/Detection3D", header(stamp, frame_id), [result], box, name))
    return make("vision_msgs/msg/Detection3DArray", header(stamp, frame_id), out)


def transform(stamp, parent, child, R_parent_child, t, quat=None):
    """geometry_msgs/TransformStamped; R_parent_child as it is, not of a head."""
    quat = so3.quat_from_matrix(R_parent_child) if quat is None else quat
    vector = make("geometry_msgs/msg/Vector3", *(float(v) for v in t))
    rotation = make("geometry_msgs/msg/Quaternion", *(float(v) for v in quat))
    moved = make("geometry_msgs/msg/Transform", vector, rotation)
    return make("geometry_msgs/msg/TransformStamped", header(stamp, parent), child, moved)


def tf(*transforms):
    return make("tf2_msgs/msg/TFMessage", list(transforms))


@pytest.fixture
def synthetic():
    """Namespace of the functions above."""
    names = "motion head_at make header pose_stamped pose_with_covariance pose_array odometry detections transform tf"
    return SimpleNamespace(**{name: globals()[name] for name in names.split()}, START_NS=START_NS, RATE_HZ=RATE_HZ)


@pytest.fixture
def write_bag(tmp_path):
    """write_bag([(topic, log time ns, message)]) -> path of a rosbag2 folder."""

    def write(entries, name="bag", plugin=StoragePlugin.MCAP, mode=CompressionMode.NONE):
        writer = Writer(tmp_path / name, version=9, storage_plugin=plugin)
        writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            connections = {}
            for topic, time_ns, content in entries:
                kind = content.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=extended_typestore())
                writer.write(connections[topic], int(time_ns), extended_typestore().serialize_cdr(content, kind))
        return tmp_path / name

    return write


@pytest.fixture
def pose_bag(write_bag):
    """pose_bag({topic: (stamps, R, t)}, delay_s) -> bag of PoseStamped topics, logged `delay_s` after their stamps."""

    def write(topics, delay_s=0.0, **options):
        entries = [
            (topic, stamp + round(delay_s * 1e9), pose_stamped(stamp, R, t))
            for topic, (stamps, rotations, places) in topics.items()
            for stamp, R, t in zip(stamps, rotations, places, strict=True)
        ]
        return write_bag(sorted(entries, key=lambda entry: entry[1]), **options)

    return write


@pytest.fixture
def evaluated():
    """evaluated(bag, estimate="/est", truth="/truth", **options) -> summary of that estimate."""
    from hpe_core.evaluation.streams.bag_evaluation import Job, evaluate_bag
    from hpe_core.evaluation.streams.evaluate import Options

    def run(bag, estimate="/est", truth="/truth", job=None, **options):
        result = evaluate_bag(
            bag, Job(estimates=(f"e={estimate}",), truth=truth, options=Options(**options), **(job or {}))
        )
        return result.summary["estimates"]["e"] | {
            "rows": result.evaluated["e"].rows,
            "ground_truth": result.summary["ground_truth"],
        }

    return run
