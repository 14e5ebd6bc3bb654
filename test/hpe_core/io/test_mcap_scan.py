import struct

import lz4.frame
import pytest
from rosbags.rosbag2 import CompressionMode, Reader

from hpe_core.errors import HpeError
from hpe_core.io.mcap_records import CHANNEL, MAGIC, define
from hpe_core.io.mcap_scan import McapScan


def record(opcode, content):
    return struct.pack("<BQ", opcode, len(content)) + content


def string(text):
    return struct.pack("<I", len(text)) + text.encode()


def schema_and_channel():
    schema = struct.pack("<H", 1) + string("std_msgs/msg/String") + string("ros2msg") + string("")
    channel = struct.pack("<HH", 7, 1) + string("/chatter") + string("cdr") + struct.pack("<I", 0)
    return record(3, schema) + record(4, channel)


def message(time_ns, data):
    return record(5, struct.pack("<HIQQ", 7, 0, time_ns, time_ns) + data)


def chunk(records, compression="", crc=0):
    packed = lz4.frame.compress(records) if compression == "lz4" else records
    head = struct.pack("<QQQI", 0, 9, len(records), crc) + string(compression) + struct.pack("<Q", len(packed))
    return record(6, head + packed)


def saved(tmp_path, *parts):
    path = tmp_path / "x.mcap"
    path.write_bytes(MAGIC + record(1, string("ros2") + string("")) + b"".join(parts))
    return path


def texts(scan):
    return [data for _, _, _, data in scan.messages({"/chatter"})]


@pytest.mark.parametrize("mode", [CompressionMode.NONE, CompressionMode.STORAGE])
def test_whole_file_gives_what_rosbags_gives(write_bag, stream, mode):
    bag = write_bag(stream(40), mode=mode)
    with Reader(bag) as reader:
        expected = [(c.topic, c.msgtype, time_ns, bytes(data)) for c, time_ns, data in reader.messages()]
    scan = McapScan(bag / "bag.mcap")
    assert list(scan.messages({"/cam/image_raw", "/cam/camera_info"})) == expected
    assert (scan.complete, scan.lost_bytes) == (True, 0)
    assert scan.topics == {"/cam/image_raw": "sensor_msgs/msg/Image", "/cam/camera_info": "sensor_msgs/msg/CameraInfo"}
    assert scan.counts == {"/cam/image_raw": 40, "/cam/camera_info": 40}


def test_messages_outside_chunks_are_read_up_to_the_cut(tmp_path):
    path = saved(tmp_path, schema_and_channel(), message(1, b"one"), message(2, b"two")[:-1])
    scan = McapScan(path)
    assert texts(scan) == [b"one"] and scan.topics == {"/chatter": "std_msgs/msg/String"}
    assert (scan.complete, scan.lost_bytes, scan.problem) == (False, 9 + 22 + 2, "is cut off")


def test_cut_chunk_keeps_its_whole_messages(tmp_path):
    whole = chunk(schema_and_channel() + message(1, b"one") + message(2, b"two"))
    scan = McapScan(saved(tmp_path, whole[:-2]))
    assert texts(scan) == [b"one"] and scan.lost_bytes > 0


def test_cut_lz4_chunk_keeps_what_was_packed_before_the_cut(tmp_path):
    noise = [bytes((i * j * 31 + j) % 251 for j in range(70_000)) for i in range(8)]
    whole = chunk(schema_and_channel() + b"".join(message(i, data) for i, data in enumerate(noise)), "lz4")
    assert texts(McapScan(saved(tmp_path, whole))) == noise
    kept = texts(McapScan(saved(tmp_path, whole[: len(whole) * 3 // 4])))
    assert 0 < len(kept) < 8 and kept == noise[: len(kept)]


def test_chunk_with_a_wrong_checksum_is_left_out_and_the_next_one_is_read(tmp_path):
    bad = chunk(schema_and_channel() + message(1, b"bad"), crc=12345)
    good = chunk(schema_and_channel() + message(2, b"good"))
    scan = McapScan(saved(tmp_path, bad, good))
    assert texts(scan) == [b"good"] and scan.lost_bytes == len(bad)


def test_unknown_records_are_skipped(tmp_path):
    path = saved(tmp_path, record(0x80, b"private"), schema_and_channel(), message(1, b"one"))
    assert texts(McapScan(path)) == [b"one"]


def test_an_empty_index_between_chunks_is_no_damage(tmp_path):
    first, second = chunk(schema_and_channel() + message(1, b"one")), chunk(message(2, b"two"))
    scan = McapScan(saved(tmp_path, first, record(7, struct.pack("<HI", 7, 0)), second))
    assert texts(scan) == [b"one", b"two"] and scan.lost_bytes == 0


def test_a_message_of_a_channel_that_nobody_described_is_lost_with_all_its_bytes(tmp_path):
    path = saved(
        tmp_path, schema_and_channel(), message(1, b"one"), record(5, struct.pack("<HIQQ", 8, 0, 2, 2) + b"two")
    )
    scan = McapScan(path)
    assert texts(scan) == [b"one"] and scan.lost_bytes == 9 + 22 + 3


def test_a_name_may_end_with_its_record_but_not_behind_it():
    channels = {}
    define(CHANNEL, struct.pack("<HH", 7, 1) + string("/chatter"), {1: "std_msgs/msg/String"}, channels)
    assert channels == {7: ("/chatter", "std_msgs/msg/String")}
    with pytest.raises(ValueError, match="string reaches past its record"):
        define(CHANNEL, struct.pack("<HH", 7, 1) + string("/chatter")[:-1], {}, channels)


def test_zeros_after_the_last_record_are_lost_bytes(tmp_path):
    scan = McapScan(saved(tmp_path, schema_and_channel(), message(1, b"one"), bytes(4096)))
    assert texts(scan) == [b"one"] and scan.lost_bytes == 4096


@pytest.mark.parametrize("content", [b"", MAGIC[:5], b"hello world"])
def test_file_without_the_magic_is_refused(tmp_path, content):
    path = tmp_path / "x.mcap"
    path.write_bytes(content)
    with pytest.raises(HpeError, match=r"x\.mcap is not an MCAP file"):
        McapScan(path)
