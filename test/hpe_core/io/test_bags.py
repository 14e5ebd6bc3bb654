import os
import shutil
import sqlite3
from itertools import pairwise

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from hpe_core.errors import HpeError
from hpe_core.io.sources import open_source
from hpe_core.io.sources.bag import BagSource

BOTH = [StoragePlugin.MCAP, StoragePlugin.SQLITE3]


def frames_of(path, topic=None):
    with open_source(str(path), topic) as source:
        return list(source), source


def brightness(frames):
    return [int(frame.image_bgr[0, 0, 0]) for frame in frames]


@pytest.mark.parametrize("plugin", BOTH)
@pytest.mark.parametrize("bare", [True, False])
def test_folder_and_bare_file_give_images_with_header_stamp_frame_and_camera(
    write_bag, stream, start_ns, step_ns, plugin, bare
):
    bag = write_bag(stream(5), plugin=plugin)
    frames, source = frames_of(next(p for p in bag.iterdir() if p.suffix in (".mcap", ".db3")) if bare else bag)
    assert (source.kind, source.name, source.total, source.topic) == ("bag", "bag", 5, "/cam/image_raw")
    assert brightness(frames) == [0, 10, 20, 30, 40]
    assert [frame.stamp_ns for frame in frames] == [start_ns + i * step_ns for i in range(5)]
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert {frame.frame_id for frame in frames} == {"lens"}
    assert all(frame.camera.K[0, 0] == 30.0 and not frame.camera.assumed for frame in frames)
    assert not source.losses and not source.notices


@pytest.mark.parametrize("plugin", BOTH)
@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_compressed_bags_are_read(write_bag, stream, plugin, mode):
    frames, source = frames_of(write_bag(stream(3), plugin=plugin, mode=mode))
    assert brightness(frames) == [0, 10, 20] and not source.losses


def test_bare_file_with_compressed_messages_is_read(write_bag, stream):
    bag = write_bag(stream(3), plugin=StoragePlugin.SQLITE3, mode=CompressionMode.MESSAGE)
    assert brightness(frames_of(bag / "bag.db3")[0]) == [0, 10, 20]


def test_compressed_images_are_decoded(write_bag, make, start_ns):
    data = cv2.imencode(".png", np.full((24, 32, 3), 80, np.uint8))[1].ravel()
    packed = make.message("sensor_msgs/msg/CompressedImage", make.header(start_ns), "png", data)
    bag = write_bag(
        [("/cam/image_raw/compressed", start_ns, packed), ("/cam/camera_info", start_ns, make.camera_info(start_ns))]
    )
    frames, _ = frames_of(bag)
    assert brightness(frames) == [80] and frames[0].camera.K[0, 0] == 30.0


def test_damaged_image_is_a_frame_with_its_reason(write_bag, make, stream, start_ns):
    entries = stream(3)
    broken = make.image(start_ns + 1, np.zeros((24, 32, 3), np.uint8), data=np.zeros(10, np.uint8))
    entries.insert(2, ("/cam/image_raw", start_ns + 3000, broken))
    frames, _ = frames_of(write_bag(entries))
    assert len(frames) == 4 and frames[1].image_bgr is None
    assert "data is 10 bytes but 24 rows of step 96 make 2304" in frames[1].error


def test_unknown_encoding_of_the_stream_lists_the_allowed(write_bag, make, start_ns):
    depth = make.image(start_ns, np.zeros((24, 32, 4), np.uint8), encoding="32FC1")
    with pytest.raises(HpeError, match=r"/cam/image: image encoding '32FC1' is unknown, allowed: .*bgr8"):
        frames_of(write_bag([("/cam/image", start_ns, depth)]))


def test_bag_without_images_lists_its_topics(write_bag, make, start_ns):
    bag = write_bag([("/cam/camera_info", start_ns, make.camera_info(start_ns))])
    with pytest.raises(HpeError, match=r"no image topic; it has: /cam/camera_info \(sensor_msgs/msg/CameraInfo\)"):
        open_source(str(bag))


def test_first_of_several_topics_is_taken_with_a_notice_and_depth_comes_last(write_bag, stream, make, start_ns):
    depth = make.image(start_ns, np.zeros((24, 32, 2), np.uint8), encoding="16UC1")
    bag = write_bag([("/depth/image", start_ns, depth), *stream(2), *stream(2, False, "/other/image_raw")])
    _, source = frames_of(bag)
    assert source.topic == "/cam/image_raw"
    assert source.notices == [
        "using image topic /cam/image_raw; the bag also has /other/image_raw, /depth/image (choose with --topic)"
    ]
    for topic in ("/other/image_raw", "other/image_raw"):
        assert frames_of(bag, topic)[1].topic == "/other/image_raw"


def test_wrong_topic_lists_what_there_is(write_bag, stream):
    with pytest.raises(HpeError, match=r"no image topic /nix; it has: /cam/camera_info .*, /cam/image_raw"):
        open_source(str(write_bag(stream(1))), "/nix")


def test_camera_info_of_another_namespace_counts_when_it_alone_has_the_frame(write_bag, stream, make, start_ns):
    infos = [
        ("/left/camera_info", start_ns, make.camera_info(start_ns, focal=50.0)),
        ("/right/camera_info", start_ns, make.camera_info(start_ns, focal=70.0, frame_id="right")),
    ]
    frames, _ = frames_of(write_bag([*infos, *stream(1, info=False)]))
    assert frames[0].camera.K[0, 0] == 50.0


def test_bag_without_camera_info_says_so(write_bag, stream):
    frames, source = frames_of(write_bag(stream(1, info=False)))
    assert frames[0].camera is None and source.notices == ["the bag has no CameraInfo for /cam/image_raw"]


def test_camera_info_is_followed_when_it_changes_with_the_image_of_its_stamp(write_bag, make, start_ns, step_ns):
    entries = []
    for i, focal in enumerate([30.0, 30.0, 45.0]):
        stamp = start_ns + i * step_ns
        entries.append(("/cam/image_raw", stamp, make.image(stamp, np.zeros((24, 32, 3), np.uint8))))
        entries.append(("/cam/camera_info", stamp + 1, make.camera_info(stamp, focal=focal)))
    frames, _ = frames_of(write_bag(entries))
    assert [frame.camera.K[0, 0] for frame in frames] == [30.0, 30.0, 45.0]
    assert frames[0].camera is frames[1].camera


def test_uncalibrated_camera_info_gives_no_camera_and_one_notice(write_bag, stream, make, start_ns):
    entries = stream(2, info=False)
    entries += [("/cam/camera_info", start_ns + i, make.camera_info(start_ns + i, focal=0.0)) for i in range(2)]
    frames, source = frames_of(write_bag(entries))
    assert [frame.camera for frame in frames] == [None, None]
    assert len(source.notices) == 1 and "/cam/camera_info cannot be used: camera_info is uncalib" in source.notices[0]


def test_rectified_topic_takes_p(write_bag, make, start_ns):
    p = [20.0, 0, 15, 0, 0, 20, 11, 0, 0, 0, 1, 0]
    picture = make.image(start_ns, np.zeros((24, 32, 3), np.uint8))
    info = make.camera_info(start_ns, p=p)
    frames, _ = frames_of(write_bag([("/cam/image_rect", start_ns, picture), ("/cam/camera_info", start_ns, info)]))
    assert frames[0].camera.K[0, 0] == 20.0


def test_headers_without_stamp_take_the_time_of_recording(write_bag, make):
    picture = make.image(0, np.zeros((24, 32, 3), np.uint8), frame_id="")
    frames, source = frames_of(write_bag([("/image", 5_000, picture), ("/image", 9_000, picture)]))
    assert [frame.stamp_ns for frame in frames] == [5_000, 9_000]
    assert frames[0].frame_id == "camera_optical_frame"
    assert any("without a stamp" in notice for notice in source.notices)


def test_cut_mcap_gives_its_readable_images_and_counts_the_loss(write_bag, stream, tmp_path):
    bag = write_bag(stream(10))
    data = (bag / "bag.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(data[: data.index(b"MCAP", 20) * 6 // 10])
    frames, source = frames_of(tmp_path / "cut.mcap")
    assert 1 <= len(frames) < 10 and source.total == len(frames)
    assert brightness(frames) == [10 * i for i in range(len(frames))]
    assert source.losses["rosbag2 file is cut off"] == 1
    assert source.losses["bytes of the rosbag2 not readable"] > 0
    assert f"{sum(source._bag.counts.values())} messages are readable" in source.notices[0]


def test_cut_mcap_with_metadata_knows_how_many_images_are_missing(write_bag, stream):
    bag = write_bag(stream(10))
    data = (bag / "bag.mcap").read_bytes()
    (bag / "bag.mcap").write_bytes(data[: data.index(b"MCAP", 20) * 6 // 10])
    frames, source = frames_of(bag)
    assert source.losses["messages of /cam/image_raw not readable"] == 10 - len(frames) > 0


def test_recording_without_metadata_is_read_file_by_file(write_bag, stream, tmp_path):
    bag = write_bag(stream(4))
    folder = tmp_path / "crashed"
    folder.mkdir()
    for number in (2, 10):
        shutil.copy(bag / "bag.mcap", folder / f"crashed_{number}.mcap")
    frames, source = frames_of(folder)
    assert brightness(frames) == [0, 10, 20, 30, 0, 10, 20, 30] and source.total == 8


def test_damage_behind_a_good_index_ends_the_stream_and_is_counted(write_bag, stream):
    bag = write_bag(stream(10), mode=CompressionMode.STORAGE)
    data = bytearray((bag / "bag.mcap").read_bytes())
    start = data.index(b"\x28\xb5\x2f\xfd")  # zstd frame of the only chunk
    data[start : start + 4] = bytes(4)
    (bag / "bag.mcap").write_bytes(data)
    frames, source = frames_of(bag)
    assert frames == [] and source.losses["messages of /cam/image_raw not readable"] == 10
    assert source.losses["rosbag2 file is damaged"] == 1


def test_cut_sqlite_is_one_line(write_bag, stream, tmp_path):
    bag = write_bag(stream(10), plugin=StoragePlugin.SQLITE3)
    data = (bag / "bag.db3").read_bytes()
    (tmp_path / "cut.db3").write_bytes(data[:5000])
    with pytest.raises(HpeError, match=r"cut\.db3 is not a readable rosbag2"):
        BagSource(tmp_path / "cut.db3")


def test_folder_whose_metadata_names_missing_files_is_one_line(write_bag, stream):
    bag = write_bag(stream(1))
    (bag / "bag.mcap").unlink()
    with pytest.raises(HpeError, match="is not a readable rosbag2: Some database files are missing"):
        BagSource(bag)


def test_a_sqlite_bag_whose_quality_of_service_grows_without_measure_is_refused(write_bag, stream):
    bag = write_bag(stream(1), plugin=StoragePlugin.SQLITE3)
    lines = ["- &a {x: 1}", *(f"- &{new} {{<<: [{','.join(['*' + old] * 9)}]}}" for old, new in pairwise("abcdefghi"))]
    with sqlite3.connect(bag / "bag.db3") as database:
        database.execute("UPDATE topics SET offered_qos_profiles = ?", ("\n".join(lines),))
    with pytest.raises(HpeError, match="offered_qos_profiles has aliases that stand for more than 1000000 values"):
        open_source(str(bag))


@pytest.mark.parametrize("plugin", BOTH)
def test_a_bag_whose_name_is_no_text_is_read(write_bag, stream, tmp_path, plugin):
    bag = write_bag(stream(2), plugin=plugin)
    name = os.path.join(os.fsencode(tmp_path), b"\xe9 %d?")
    os.rename(bag, name)
    assert brightness(frames_of(os.fsdecode(name))[0]) == [0, 10]
