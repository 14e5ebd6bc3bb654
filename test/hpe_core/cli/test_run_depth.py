"""`hpe run` on a bag with depth: the sample bag's head before a depth camera that sees a wall where the face is."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from hpe_core.cli.main import main
from hpe_core.io.bags import Bag, typestore

SAMPLE = Path(__file__).parents[3] / "assets" / "sample_bag"
COLOUR, INFO, DEPTH = "/camera/image/compressed", "/camera/camera_info", "/camera/depth/image_raw"
WALL_M = 1.0  # the head is at 0.7 to 0.9 m


@pytest.fixture
def rgbd(tmp_path):
    """rgbd(n, with_depth) -> bag of the sample bag's first n images, the first with_depth of them with depth."""

    def write(n, with_depth):
        store, millimetres = typestore(), np.full(640 * 480, round(1e3 * WALL_M), "<u2")
        with Writer(tmp_path / "rgbd", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            topics, images = {}, 0

            def send(topic, kind, time_ns, data):
                if topic not in topics:
                    topics[topic] = writer.add_connection(topic, kind, typestore=store)
                writer.write(topics[topic], time_ns, data)

            for topic, kind, time_ns, data in Bag(SAMPLE).messages({COLOUR, INFO}):
                images += topic == COLOUR
                if images > n:
                    break
                send(topic, kind, time_ns, data)
                if topic == COLOUR and images <= with_depth:
                    header = store.deserialize_cdr(data, kind).header
                    fields = (480, 640, "16UC1", 0, 1280, millimetres.view(np.uint8))
                    image = store.types["sensor_msgs/msg/Image"](header, *fields)
                    send(DEPTH, image.__msgtype__, time_ns, store.serialize_cdr(image, image.__msgtype__))
        return tmp_path / "rgbd"

    return write


def run(bag, out, *options):
    assert main(["run", str(bag), "--out", str(out), "--no-overlay", *options]) == 0
    rows = list(csv.DictReader((out / "poses.csv").open()))
    places = np.array([[float(row[name]) for name in ("tx_m", "ty_m", "tz_m")] for row in rows])
    return places, rows, json.loads((out / "summary.json").read_text())


def test_the_only_depth_topic_in_the_frame_of_the_images_gives_the_ranges(rgbd, tmp_path, capsys):
    bag = rgbd(8, with_depth=6)
    by_depth, rows, summary = run(bag, tmp_path / "out")
    shown = capsys.readouterr()
    by_size, _, _ = run(bag, tmp_path / "without", "--depth-topic", "none")
    # the sellion stands 10 to 20 mm before the middle of a face that is said to lie in the wall
    assert by_depth[2:6, 2] == pytest.approx(WALL_M - 0.015, abs=0.02)
    assert np.all(by_size[:, 2] < 0.95)
    np.testing.assert_allclose(by_depth[:, :2] / by_depth[:, 2:], by_size[:, :2] / by_size[:, 2:], atol=0.01)
    assert by_depth[6:, 2] == pytest.approx(WALL_M - 0.015, abs=0.05), "the learnt size goes on without depth"
    assert float(rows[5]["depth_std_m"]) < 0.02 < float(rows[7]["depth_std_m"])
    assert summary["depth"] == {"measured": 6, "unusable": 0}
    assert (summary["depth_images"]["topic"], summary["depth_images"]["used"]) == (DEPTH, 6)
    assert summary["depth_images"]["without"] == {"no depth image of its time": 2}
    assert f"\ndepth     6 images with a face, from {DEPTH}\n" in shown.out
    assert "\nno depth  no depth image of its time: 2\n" in shown.out
    assert f"ranges from depth topic {DEPTH}" in shown.err


def test_without_depth_nothing_of_it_is_shown_or_written(rgbd, tmp_path, capsys):
    _, _, summary = run(rgbd(2, with_depth=0), tmp_path / "out")
    assert "\ndepth " not in capsys.readouterr().out
    assert not {"depth", "depth_images"} & set(summary)


def test_a_depth_topic_that_is_not_there_is_one_line(rgbd, tmp_path, capsys):
    assert main(["run", str(rgbd(1, with_depth=1)), "--out", str(tmp_path / "o"), "--depth-topic", "/other"]) == 2
    assert f"rgbd has no depth image topic /other; it has: {DEPTH}\n" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--depth-topic", "--depth-camera-info-topic"])
def test_depth_of_a_photo_is_refused(tmp_path, capsys, option):
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((8, 8, 3), np.uint8))
    assert main(["run", str(tmp_path / "photo.png"), "--out", str(tmp_path / "o"), option, "/depth"]) == 2
    assert capsys.readouterr().err == f"hpe: error: {option} /depth needs a rosbag2, got {tmp_path}/photo.png\n"
