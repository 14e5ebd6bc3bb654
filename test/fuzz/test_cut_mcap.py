"""Every prefix of a bag gives images and a counted loss, or one HpeError; never another exception."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from hpe_core.errors import HpeError
from hpe_core.io.mcap_records import MAGIC
from hpe_core.io.sources.bag import BagSource

STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
COUNT = 2


def cdr_messages():
    """[(topic, type, time ns, CDR)] of COUNT images of 4x4 pixels, each with its CameraInfo."""
    T = STORE.types
    roi = T["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    for i in range(COUNT):
        header = T["std_msgs/msg/Header"](T["builtin_interfaces/msg/Time"](1, i), "lens")
        image = T[IMAGE](header, 4, 4, "mono8", 0, 4, np.full(16, i, np.uint8))
        k = np.array([4.0, 0, 2, 0, 4, 2, 0, 0, 1])
        info = T[INFO](header, 4, 4, "plumb_bob", np.zeros(5), k, np.eye(3).ravel(), np.zeros(12), 0, 0, roi)
        yield "/image", IMAGE, 10 * i, STORE.serialize_cdr(image, IMAGE)
        yield "/camera_info", INFO, 10 * i + 1, STORE.serialize_cdr(info, INFO)


def record(opcode, content):
    return struct.pack("<BQ", opcode, len(content)) + content


def string(text):
    return struct.pack("<I", len(text)) + text.encode()


def unindexed_mcap():
    """A small MCAP without chunks and with short schemas, so that every single prefix can be tried."""
    parts = [MAGIC, record(1, string("ros2") + string("fuzz"))]
    for number, (topic, kind) in enumerate((("/image", IMAGE), ("/camera_info", INFO)), 1):
        parts.append(record(3, struct.pack("<H", number) + string(kind) + string("ros2msg") + string("")))
        channel = struct.pack("<HH", number, number) + string(topic) + string("cdr") + struct.pack("<I", 0)
        parts.append(record(4, channel))
    for topic, _, time_ns, data in cdr_messages():
        number = 1 if topic == "/image" else 2
        parts.append(record(5, struct.pack("<HIQQ", number, 0, time_ns, time_ns) + bytes(data)))
    parts += [record(15, struct.pack("<I", 0)), record(2, struct.pack("<QQI", 0, 0, 0)), MAGIC]
    return b"".join(parts)


def read(path):
    """Number of decoded images and losses, or None when the bag was refused."""
    try:
        with BagSource(path) as source:
            frames = list(source)
    except HpeError as error:
        assert "\n" not in str(error)
        return None
    for frame in frames:
        assert (frame.image_bgr is None) == (frame.error is not None)
    return sum(frame.image_bgr is not None for frame in frames), source.losses


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("cut") / "cut.mcap"


@pytest.fixture(scope="module", params=[CompressionMode.NONE, CompressionMode.STORAGE], ids=["plain", "zstd"])
def indexed_mcap(request, tmp_path_factory):
    """Bytes of an MCAP as rosbags writes it, with chunks and summary."""
    folder = tmp_path_factory.mktemp("whole") / "bag"
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(request.param, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, kind, time_ns, data in cdr_messages():
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], time_ns, data)
    return (folder / "bag.mcap").read_bytes()


def test_every_prefix_gives_the_images_that_it_holds(path):
    whole = unindexed_mcap()
    found = []
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        outcome = read(path)
        found.append(0 if outcome is None else outcome[0])
        if outcome and length < len(whole) - len(MAGIC) - 29:  # before the footer
            assert outcome[1]["rosbag2 file is cut off"] == 1
    assert found == sorted(found)  # a longer prefix never holds less
    assert (found[0], found[-1], set(found)) == (0, COUNT, {0, 1, 2})


@given(st.floats(0.0, 1.0))
def test_any_prefix_of_an_indexed_bag_is_read_or_refused(path, indexed_mcap, part):
    path.write_bytes(indexed_mcap[: round(part * len(indexed_mcap))])
    outcome = read(path)
    assert outcome is None or 0 <= outcome[0] <= COUNT


@given(st.lists(st.tuples(st.floats(0.0, 0.9999), st.integers(1, 255)), min_size=1, max_size=5))
def test_any_flipped_bytes_of_an_indexed_bag_are_read_or_refused(path, indexed_mcap, flips):
    data = bytearray(indexed_mcap)
    for part, bits in flips:
        data[int(part * len(data))] ^= bits
    path.write_bytes(data)
    read(path)


@given(st.lists(st.tuples(st.floats(0.0, 0.9999), st.integers(1, 255)), min_size=1, max_size=5))
def test_any_flipped_bytes_of_a_plain_file_are_read_or_refused(path, flips):
    data = bytearray(unindexed_mcap())
    for part, bits in flips:
        data[int(part * len(data))] ^= bits
    path.write_bytes(data)
    read(path)
