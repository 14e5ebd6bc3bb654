"""Real bags, written with rosbags into tmp_path."""

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000


def message(name, *values):
    return STORE.types[name](*values)


def header(stamp_ns, frame_id="lens"):
    time = message("builtin_interfaces/msg/Time", stamp_ns // 10**9, stamp_ns % 10**9)
    return message("std_msgs/msg/Header", time, frame_id)


def image(stamp_ns, pixels, encoding="bgr8", frame_id="lens", data=None):
    """sensor_msgs/Image of pixels (H, W, C) uint8."""
    height, width, samples = pixels.shape
    data = pixels.ravel() if data is None else data
    return message(
        "sensor_msgs/msg/Image", header(stamp_ns, frame_id), height, width, encoding, 0, width * samples, data
    )


def camera_info(stamp_ns, width=32, height=24, focal=30.0, frame_id="lens", binning=0, p=None):
    k = np.array([focal, 0.0, 15.5, 0.0, focal, 11.5, 0.0, 0.0, 1.0])
    roi = message("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
    p = np.zeros(12) if p is None else np.asarray(p, float)
    fields = (height, width, "plumb_bob", np.zeros(5), k, np.eye(3).ravel(), p, binning, binning, roi)
    return message("sensor_msgs/msg/CameraInfo", header(stamp_ns, frame_id), *fields)


@pytest.fixture
def make():
    """Namespace of message makers: make.image, make.camera_info, make.header, make.message."""

    class Make:
        pass

    for maker in (image, camera_info, header, message):
        setattr(Make, maker.__name__, staticmethod(maker))
    return Make


@pytest.fixture
def write_bag(tmp_path):
    """write_bag([(topic, receive time ns, message)], ...) -> path of the rosbag2 folder."""

    def write(entries, name="bag", plugin=StoragePlugin.MCAP, mode=CompressionMode.NONE):
        writer = Writer(tmp_path / name, version=9, storage_plugin=plugin)
        writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            connections = {}
            for topic, time_ns, content in entries:
                kind = content.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
                writer.write(connections[topic], time_ns, STORE.serialize_cdr(content, kind))
        return tmp_path / name

    return write


@pytest.fixture
def stream():
    """stream(n) -> entries of n images (24, 32, 3) of constant brightness 10 i and their CameraInfo, 10 Hz."""

    def entries(n, info=True, topic="/cam/image_raw"):
        out = []
        for i in range(n):
            stamp = START_NS + i * STEP_NS
            out.append((topic, stamp + 1000, image(stamp, np.full((24, 32, 3), 10 * i % 256, np.uint8))))
            if info:
                out.append(("/cam/camera_info", stamp + 2000, camera_info(stamp)))
        return out

    return entries


@pytest.fixture
def start_ns():
    return START_NS


@pytest.fixture
def step_ns():
    return STEP_NS
