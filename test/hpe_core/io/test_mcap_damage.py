"""One damaged bit, wherever it lies, costs the part that it lies in and nothing else, and the loss is counted."""

import struct
import tracemalloc
import zlib
from itertools import chain

import lz4.frame
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionMode

from hpe_core.errors import HpeError
from hpe_core.io import mcap_scan
from hpe_core.io.bags import Bag
from hpe_core.io.mcap_records import MAGIC
from hpe_core.io.mcap_scan import McapScan

try:
    from compression import zstd
except ImportError:
    from backports import zstd

PACK = {"": bytes, "lz4": lz4.frame.compress, "zstd": zstd.compress}
TOPICS = {1: ("/chatter", "std_msgs/msg/String"), 2: ("/other", "std_msgs/msg/Empty")}
CHUNKS, PER_CHUNK = 4, 3
CHANNEL_HEAD = struct.pack("<BQHH", 4, 27, 1, 1)  # of the record of channel 1; the last one is behind the data
INDEX_HEAD = struct.pack("<BQH", 7, 22, 1)  # of a message index of channel 1
EVERY_BYTE = 3  # every third byte, each with another of its bits: quick, and every field is met


def record(opcode, content):
    return struct.pack("<BQ", opcode, len(content)) + content


def string(text):
    return struct.pack("<I", len(text)) + text.encode()


def definitions():
    schemas = [
        record(3, struct.pack("<H", i) + string(t) + string("ros2msg") + string("")) for i, (_, t) in TOPICS.items()
    ]
    channels = [
        record(4, struct.pack("<HH", i, i) + string(topic) + string("cdr") + struct.pack("<I", 0))
        for i, (topic, _) in TOPICS.items()
    ]
    return b"".join(schemas + channels)


def messages_of(chunk):
    """[(channel, log time, data)] of a chunk."""
    rng = np.random.default_rng(chunk)
    return [(1 + i % 2, 100 * chunk + i, rng.integers(0, 4, 40, np.uint8).tobytes()) for i in range(PER_CHUNK)]


TRUE = [[(*TOPICS[c], time_ns, data) for c, time_ns, data in messages_of(chunk)] for chunk in range(CHUNKS)]

ALL = list(chain.from_iterable(TRUE))


def whole_file(compression, checksum):
    """An indexed MCAP; schemas and channels are in its first chunk and behind the data, as recorders write them."""
    out, index, counts = MAGIC + record(1, string("ros2") + string("test")), [], {1: 0, 2: 0}
    for chunk in range(CHUNKS):
        records = definitions() if chunk == 0 else b""
        for channel, time_ns, data in messages_of(chunk):
            records += record(5, struct.pack("<HIQQ", channel, 0, time_ns, time_ns) + data)
            counts[channel] += 1
        packed = PACK[compression](records)
        times = struct.pack("<QQ", 100 * chunk, 100 * chunk + PER_CHUNK - 1)
        head = times + struct.pack("<QI", len(records), zlib.crc32(records)) + string(compression)
        whole = record(6, head + struct.pack("<Q", len(packed)) + packed)
        of_channels = struct.pack("<I", 20) + struct.pack("<HQHQ", 1, 0, 2, 0)
        sizes = string(compression) + struct.pack("<QQ", len(packed), len(records))
        index.append(record(8, times + struct.pack("<QQ", len(out), len(whole)) + of_channels + bytes(8) + sizes))
        out += whole
        for channel in TOPICS:
            out += record(7, struct.pack("<HIQQ", channel, 16, 0, 0))
    out += record(15, bytes(4))
    numbers = b"".join(struct.pack("<HQ", *item) for item in counts.items())
    statistics = struct.pack("<QHIIIIQQI", sum(counts.values()), 2, 2, 0, 0, CHUNKS, 0, 1, len(numbers)) + numbers
    summary = definitions() + b"".join(index) + record(11, statistics)
    footer = struct.pack("<BQQQ", 2, 20, len(out), 0)
    crc = zlib.crc32(summary + footer) if checksum else 0
    return out + summary + footer + struct.pack("<I", crc) + MAGIC


def read(path):
    """What a bag gives of both topics, and its losses."""
    bag = Bag(path)
    try:
        return list(bag.messages({topic for topic, _ in TOPICS.values()})), bag.losses
    finally:
        bag.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.mcap"


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("compression", PACK)
def test_a_whole_file_is_read_through_its_index_without_a_loss(path, compression, checksum):
    path.write_bytes(whole_file(compression, checksum))
    scan = McapScan(path)
    assert scan.counts == {"/chatter": 8, "/other": 4} and (scan.problem, scan.lost_bytes) == ("", 0)
    assert read(path) == (ALL, {})


@pytest.mark.parametrize("state", ["index with checksum", "index without checksum", "no footer"])
@pytest.mark.parametrize("compression", PACK)
def test_one_flipped_bit_costs_one_chunk_at_most_and_is_counted(path, compression, state):
    data = whole_file(compression, state == "index with checksum")
    if state == "no footer":
        data = data[: -len(MAGIC) - 29]  # the copies of schemas and channels are still there
    for position in range(len(MAGIC), len(data), EVERY_BYTE):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position // EVERY_BYTE) % 8
        path.write_bytes(damaged)
        found, losses = read(path)
        where = f"byte {position} of {len(data)}"
        assert all(message in ALL for message in found), where
        hurt = [chunk for chunk in TRUE if any(message not in found for message in chunk)]
        assert len(hurt) <= 1 and len(found) == len(set(found)), where
        if hurt:
            assert losses, where


@pytest.mark.parametrize("head", [CHANNEL_HEAD, INDEX_HEAD])
def test_a_record_that_a_flipped_bit_turned_into_a_message_is_none(path, head):
    data = bytearray(whole_file("zstd", True))
    data[-1] ^= 1  # the index cannot be relied on
    data[data.rindex(head)] = 5
    path.write_bytes(data)
    found, losses = read(path)
    assert found == ALL and losses["bytes of the rosbag2 not readable"] > 0


def test_an_index_without_checksum_that_names_another_topic_than_the_data_is_not_relied_on(path):
    data = bytearray(whole_file("", False))
    data[data.rindex(b"/chatter") + 1] ^= 1
    path.write_bytes(data)
    scan = McapScan(path)
    assert scan.problem == "has a damaged index" and scan.topics.keys() == {"/chatter", "/other"}
    assert read(path)[0] == ALL


def test_messages_come_in_order_of_their_time_when_chunks_overlap(write_bag, stream):
    entries = stream(80)
    late = [entry for entry in entries if entry[0] == "/cam/camera_info"]
    rest = [entry for entry in entries if entry[0] != "/cam/camera_info"]
    scan = McapScan(write_bag(rest + late, mode=CompressionMode.STORAGE) / "bag.mcap")
    times = [time_ns for _, _, time_ns, _ in scan.messages({"/cam/image_raw", "/cam/camera_info"})]
    assert times == sorted(times) and len(times) == 160


def test_a_damaged_first_chunk_leaves_the_rest_of_the_bag_readable(path):
    data = bytearray(whole_file("zstd", True))
    data[data.index(b"\x28\xb5\x2f\xfd") + 20] ^= 1
    path.write_bytes(data)
    found, losses = read(path)
    assert found == ALL[PER_CHUNK:]
    assert losses["messages of /chatter not readable"] == 2 and losses["messages of /other not readable"] == 1
    assert losses["rosbag2 file is damaged"] == 1 and losses["bytes of the rosbag2 not readable"] > 0


def file_with(*records):
    return MAGIC + record(1, string("ros2") + string("")) + b"".join(records) + record(2, bytes(20)) + MAGIC


def chunk_of(size, compression, packed):
    head = struct.pack("<QQQI", 0, 1, size, 0) + string(compression)
    return record(6, head + struct.pack("<Q", len(packed)) + packed)


@pytest.mark.parametrize("declared", [500_000_000, 1000])  # what the chunk states: its size, or a wrong one
def test_a_chunk_that_unpacks_to_too_much_is_left_out_before_it_fills_the_memory(path, declared):
    packed = zstd.compress(bytes(500_000_000))
    good = definitions() + record(5, struct.pack("<HIQQ", 1, 0, 9, 9) + b"good")
    path.write_bytes(file_with(chunk_of(declared, "zstd", packed), chunk_of(len(good), "", good)))
    tracemalloc.start()
    found, losses = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [(*TOPICS[1], 9, b"good")] and losses["rosbag2 file is damaged"] == 1
    assert peak < 20_000_000


def test_a_message_that_unpacks_to_too_much_is_counted_and_the_next_one_is_read(path):
    def message(time_ns, data):
        return record(5, struct.pack("<HIQQ", 1, 0, time_ns, time_ns) + data)

    bomb = zstd.compress(bytes(100_000_000))
    path.write_bytes(file_with(definitions(), message(1, bomb), message(2, zstd.compress(b"good"))))
    found, losses = read(path)
    assert found == [(*TOPICS[1], 2, b"good")]
    assert losses == {"messages of /chatter that cannot be unpacked": 1}


def test_many_large_chunks_of_the_same_time_are_not_all_open_at_once(path, monkeypatch):
    monkeypatch.setattr(mcap_scan, "MAX_OPEN_BYTES", 1000)
    records = record(5, struct.pack("<HIQQ", 1, 0, 5, 5) + bytes(250))
    chunks = [chunk_of(len(records), "", records) for _ in range(6)]
    defined = definitions()
    path.write_bytes(file_with(chunk_of(len(defined), "", defined), *chunks))
    found, losses = read(path)
    assert len(found) == 3  # of 281 bytes each
    assert losses["messages of /chatter not readable"] == 3


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 255)), max_size=6), st.integers(0, 3000), st.data())
def test_any_damage_gives_messages_and_losses_or_one_error(tmp_path_factory, flips, cut, data):
    compression = data.draw(st.sampled_from(list(PACK)))
    content = bytearray(whole_file(compression, data.draw(st.booleans())))
    for position, bits in flips:
        content[position % len(content)] ^= bits
    path = tmp_path_factory.getbasetemp() / "any.mcap"
    path.write_bytes(content[: len(content) - cut])
    try:
        found, _ = read(path)
    except HpeError as error:
        assert "\n" not in str(error)
        return
    assert len(found) <= 2 * len(ALL)
