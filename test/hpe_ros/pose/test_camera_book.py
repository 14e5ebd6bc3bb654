"""Which camera holds for an image: exact pairs, the newest otherwise, flagged fallbacks. No ROS needed."""

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from hpe_core.io.camera_info import content_of
from hpe_ros.pose.camera_book import CameraBook

TYPES = get_typestore(Stores.ROS2_JAZZY).types
SECOND_NS = 10**9


def camera_info(focal_px, width=640, height=480, frame_id="lens", binning=0, p_focal_px=0.0, d=()):
    """sensor_msgs/CameraInfo; rosbags' has the fields of rclpy's."""
    stamp = TYPES["builtin_interfaces/msg/Time"](0, 0)
    header = TYPES["std_msgs/msg/Header"](stamp, frame_id)
    k = np.array([focal_px, 0, (width - 1) / 2, 0, focal_px, (height - 1) / 2, 0, 0, 1.0])
    p = np.array([p_focal_px, 0, 300, 0, 0, p_focal_px, 200, 0, 0, 0, 1, 0.0])
    roi = TYPES["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    rest = (height, width, "plumb_bob", np.array(d, float), k, np.eye(3).ravel(), p, binning, binning, roi)
    return TYPES["sensor_msgs/msg/CameraInfo"](header, *rest)


@pytest.fixture
def book():
    return CameraBook(rectified=False, hfov_deg=60.0, wait_s=1.0)


def test_exact_stamp_beats_the_newest(book):
    book.add(camera_info(500.0), 1)
    book.add(camera_info(600.0), 2)
    choice = book.camera_for("lens", 1, 640, 480)
    assert (choice.camera.K[0, 0], choice.source, choice.problem) == (500.0, "exact stamp", "")
    choice = book.camera_for("lens", 3, 640, 480)
    assert (choice.camera.K[0, 0], choice.source) == (600.0, "newest")


def test_newest_of_the_same_frame_and_size_is_taken_when_two_cameras_share_the_topic(book):
    book.add(camera_info(500.0), 1)
    book.add(camera_info(700.0, frame_id="other"), 2)
    book.add(camera_info(800.0, width=1280, height=720), 3)
    assert book.camera_for("lens", 9, 640, 480).camera.K[0, 0] == 500.0
    assert book.camera_for("other", 9, 640, 480).camera.K[0, 0] == 700.0


def test_binned_images_use_half_the_focal_length(book):
    book.add(camera_info(500.0, binning=2), 1)
    choice = book.camera_for("lens", 1, 320, 240)
    assert (choice.camera.K[0, 0], choice.problem) == (250.0, "")


def test_a_resized_image_uses_the_resized_camera(book):
    book.add(camera_info(500.0), 1)
    choice = book.camera_for("lens", 1, 320, 240)
    assert (choice.camera.K[0, 0], choice.source) == (250.0, "resized")


def test_the_resized_camera_of_the_images_own_stamp_counts_more_than_an_older_one_of_its_size(book):
    book.add(camera_info(300.0, width=320, height=240), 1)
    book.add(camera_info(500.0), 2)
    choice = book.camera_for("lens", 2, 320, 240)
    assert (choice.camera.K[0, 0], choice.source) == (250.0, "resized")
    assert book.camera_for("lens", 3, 320, 240).camera.K[0, 0] == 300.0


@pytest.mark.parametrize(
    "change",
    [
        {"width": 641},
        {"height": 481},
        {"distortion_model": "equidistant"},
        {"k": np.full(9, 2.0)},
        {"d": np.zeros(5)},
        {"p": np.full(12, 2.0)},
        {"binning_x": 2},
        {"binning_y": 2},
        *({"roi": (name, 1)} for name in ("x_offset", "y_offset", "width", "height")),
    ],
    ids=str,
)
def test_a_change_of_any_part_of_the_camera_is_another_content_and_a_new_stamp_is_not(change):
    before, after = camera_info(500.0), camera_info(500.0)
    after.header.stamp.sec = 7
    assert content_of(before) == content_of(after)
    for name, value in change.items():
        if name == "roi":
            setattr(after.roi, *value)
        else:
            setattr(after, name, value)
    assert content_of(before) != content_of(after)


def test_rectified_images_use_p_and_no_distortion():
    book = CameraBook(rectified=True, hfov_deg=60.0, wait_s=1.0)
    book.add(camera_info(500.0, p_focal_px=450.0, d=(0.1, 0, 0, 0, 0)), 1)
    camera = book.camera_for("lens", 1, 640, 480).camera
    assert camera.K[0, 0] == 450.0
    assert len(camera.D) == 0


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (camera_info(0.0), "uncalibrated"),
        (camera_info(500.0, d=(0.1, 0.2)), "2 coefficients"),
        (camera_info(500.0, width=1280, height=720), "1280x720 but the image is 640x480"),
        (camera_info(500.0, frame_id="other"), "'other' but the image has 'lens'"),
    ],
    ids=["zero K", "bad distortion", "other size", "other frame"],
)
def test_without_a_usable_camera_info_the_field_of_view_is_assumed_and_the_reason_told(book, info, why):
    book.add(info, 1)
    choice = book.camera_for("lens", 7, 640, 480)
    assert choice.source == "assumed"
    assert choice.camera.assumed
    assert choice.camera.K[0, 0] == pytest.approx(320.0 / np.tan(np.radians(30.0)))
    assert why in choice.problem


def test_the_reason_is_about_the_images_own_camera_when_two_share_the_topic(book):
    book.add(camera_info(500.0, width=1280, height=720), 1)
    book.add(camera_info(0.0, frame_id="other"), 2)
    assert "1280x720 but the image is 640x480" in book.camera_for("lens", 7, 640, 480).problem


def test_frames_wait_one_second_of_stamps_for_the_first_camera_info(book):
    assert book.camera_for("lens", 5 * SECOND_NS, 640, 480).camera is None
    assert book.camera_for("lens", 5 * SECOND_NS + SECOND_NS // 2, 640, 480).source == "waiting"
    assert book.camera_for("lens", 6 * SECOND_NS, 640, 480).source == "assumed"
    book.add(camera_info(500.0), 1)
    assert book.camera_for("lens", 6 * SECOND_NS, 640, 480).source == "newest"


def test_a_new_calibration_holds_from_its_message_on(book):
    book.add(camera_info(0.0), 1)
    assert book.camera_for("lens", 1, 640, 480).camera.assumed
    book.add(camera_info(500.0), 2)
    assert book.camera_for("lens", 3, 640, 480).camera.K[0, 0] == 500.0
    book.add(camera_info(0.0), 4)
    assert book.camera_for("lens", 5, 640, 480).camera.assumed


def test_intrinsics_that_change_with_every_frame_do_not_pile_up(book):
    for stamp in range(1000):
        book.add(camera_info(500.0 + stamp), stamp)
        assert book.camera_for("lens", stamp, 640, 480).camera.K[0, 0] == 500.0 + stamp
    assert len(book._read) <= 30
