"""The camera node: endless frames from hand-made sources, CameraInfo from files, and a video on a real graph."""

import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.io.frame import Frame, Source
from hpe_ros.camera.frames import EndlessFrames, source_name

CALIBRATION = """image_width: 320
image_height: 240
camera_name: hand_made
camera_matrix: {rows: 3, cols: 3, data: [300.0, 0.0, 160.5, 0.0, 301.0, 120.25, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.01, 0.001, 0.002, 0.0]}
rectification_matrix: {rows: 3, cols: 3, data: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]}
projection_matrix: {rows: 3, cols: 4, data: [290.0, 0.0, 161.0, 0.0, 0.0, 291.0, 121.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
"""


class Fake(Source):
    """A source of a given kind with frames at the given stamps; None is a frame that cannot be decoded."""

    def __init__(self, kind, stamps_s):
        super().__init__("fake")
        self.kind, self._stamps_s, self.closed = kind, stamps_s, False

    def __iter__(self):
        for index, stamp_s in enumerate(self._stamps_s):
            image = None if stamp_s is None else np.zeros((2, 2, 3), np.uint8)
            yield Frame(image, round((stamp_s or 0) * 1e9), "lens", index, "fake")

    def close(self):
        self.closed = True


class Timeless(threading.Event):
    """An event with a clock of its own: waiting for it takes no time, the clock alone goes on."""

    now_s = 0.0

    def clock(self):
        return self.now_s

    def wait(self, timeout):
        self.now_s += timeout
        return self.is_set()


def frames_of(sources, loop=True, device="0", timeless=None):
    """EndlessFrames over a list of sources, opened in turn; an HpeError in the list is raised instead."""
    waiting, timeless = iter(sources), timeless or Timeless()

    def opened(_):
        source = next(waiting)
        if isinstance(source, HpeError):
            raise source
        return source

    return EndlessFrames(device, loop, timeless, opened, retry_s=0.01, clock=timeless.clock)


def take(frames, count):
    """The indices of the first frames."""
    found = []
    for frame in frames:
        found.append(frame.index)
        if len(found) == count:
            break
    return found


def shown_at(stamps_s, late_s=None, rounds=1):
    """Seconds at which the frames of a file come; late_s: dict index -> how long the taker is busy with that frame."""
    timeless, found = Timeless(), []
    frames = frames_of([Fake("video", stamps_s) for _ in range(rounds)], rounds > 1, timeless=timeless)
    for frame in frames:
        found.append(round(timeless.now_s, 6))
        timeless.now_s += (late_s or {}).get(frame.index, 0.0)
        if len(found) == rounds * len(stamps_s):
            break
    return found


def test_a_file_is_played_at_the_speed_of_its_stamps_and_then_again():
    assert shown_at([5.0, 5.1, 5.3], rounds=2) == [0.0, 0.1, 0.3, 0.3, 0.4, 0.6]
    frames = frames_of([Fake("video", [0.0, 0.1, 0.2]), Fake("video", [0.0, 0.1, 0.2])])
    assert take(frames, 6) == [0, 1, 2, 0, 1, 2]
    assert frames.lost == 0


def test_time_that_the_taker_needs_does_not_delay_a_file_and_lost_time_is_not_made_up_for():
    assert shown_at([0.0, 0.1, 0.2, 0.3], late_s={0: 0.08}) == [0.0, 0.1, 0.2, 0.3]
    assert shown_at([0.0, 0.1, 0.2, 0.3], late_s={0: 0.25}) == [0.0, 0.25, 0.35, 0.45]


def test_a_file_that_is_not_repeated_ends():
    first = Fake("video", [0.0, 0.01])
    assert [frame.index for frame in frames_of([first], loop=False)] == [0, 1]
    assert first.closed


def test_a_gap_of_a_year_in_a_file_is_played_as_a_second_and_a_jump_back_as_nothing():
    assert shown_at([0.0, 3.2e7, 1.0, 1.1]) == [0.0, 1.0, 1.0, 1.1]


def test_a_lost_camera_is_counted_closed_and_opened_again_until_it_is_back():
    first, gone = Fake("camera", [0.0]), HpeError("camera 0 cannot be opened")
    frames = frames_of([first, gone, gone, Fake("camera", [0.0, 0.0])])
    problems = []
    for frame in frames:
        problems.append((frame.index, frames.lost, frames.problem))
        if len(problems) == 3:
            break
    assert problems == [(0, 0, ""), (0, 1, ""), (1, 1, "")]
    assert first.closed


def test_a_lost_camera_says_so_until_it_is_back():
    frames = frames_of([Fake("camera", [0.0]), HpeError("camera 0 cannot be opened"), Fake("camera", [0.0])])
    stream = iter(frames)
    next(stream)
    seen = []
    frames._stopped = SimpleNamespace(is_set=lambda: False, wait=lambda _: seen.append(frames.problem))
    next(stream)
    assert seen == ["0 stopped delivering images", "camera 0 cannot be opened"]


def test_a_file_without_a_single_frame_is_not_tried_in_a_hurry():
    frames = frames_of([Fake("video", []), Fake("video", [0.0])])
    assert take(frames, 1) == [0]
    assert frames.lost == 1


def test_frames_that_cannot_be_decoded_are_counted():
    frames = frames_of([Fake("images", [0.0, None, 0.0])], loop=False)
    assert [frame.index for frame in frames] == [0, 2]
    assert frames.unreadable == 1


def test_a_device_that_cannot_be_opened_at_first_is_an_error():
    with pytest.raises(HpeError, match="camera 7 cannot be opened"):
        frames_of([HpeError("camera 7 cannot be opened")])


@pytest.mark.parametrize(
    ("device", "name"), [("2", "2"), ("/dev/video12", "12"), ("/dev/null", "/dev/null"), ("talk.mp4", "talk.mp4")]
)
def test_a_video_device_is_its_index(device, name):
    assert source_name(device) == name


@pytest.fixture
def calibration_file(tmp_path):
    path = tmp_path / "head cam.yaml"
    path.write_text(CALIBRATION)
    return path


@pytest.mark.ros
@pytest.mark.parametrize("prefix", ["", "file://"])
def test_camera_info_holds_every_number_of_the_calibration(calibration_file, prefix):
    from std_msgs.msg import Header

    from hpe_ros.camera import messages

    url = prefix + (str(calibration_file).replace(" ", "%20") if prefix else str(calibration_file))
    info = messages.camera_info(Header(frame_id="lens"), 320, 240, messages.calibration_from_url(url))
    assert (info.width, info.height, info.distortion_model, info.header.frame_id) == (320, 240, "plumb_bob", "lens")
    assert info.k.tolist() == [300.0, 0.0, 160.5, 0.0, 301.0, 120.25, 0.0, 0.0, 1.0]
    assert list(info.d) == [-0.1, 0.01, 0.001, 0.002, 0.0]
    assert info.r.tolist() == np.eye(3).ravel().tolist()
    assert info.p.tolist() == [290.0, 0.0, 161.0, 0.0, 0.0, 291.0, 121.0, 0.0, 0.0, 0.0, 1.0, 0.0]


@pytest.mark.ros
def test_without_a_calibration_k_is_zero_and_a_wrong_one_is_named(calibration_file):
    from std_msgs.msg import Header

    from hpe_ros.camera import messages

    assert not messages.camera_info(Header(), 320, 240).k.any()
    broken = CALIBRATION.replace("[290.0, 0.0, 161.0, 0.0,", "[290.0, 0.0,")
    calibration_file.write_text(broken)
    with pytest.raises(HpeError, match=r"projection_matrix\.data must be 12 numbers"):
        messages.calibration_from_url(str(calibration_file))
    with pytest.raises(HpeError, match=r"https://example\.com"):
        messages.calibration_from_url("https://example.com/cam.yaml")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A video file: 320x240, 30 Hz, 20 frames, each of one grey that says which."""
    return write_video(tmp_path_factory.mktemp("video") / "greys.avi")


def write_video(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (320, 240))
    assert writer.isOpened()
    for index in range(20):
        writer.write(np.full((240, 320, 3), 10 * index + 20, np.uint8))
    writer.release()
    return path


@pytest.fixture
def camera_node(start, ros_environment):
    """camera_node(namespace, **parameters) -> Process of the installed camera_node."""
    import json
    import os

    def begin(namespace, **parameters):
        prefix = ros_environment["AMENT_PREFIX_PATH"].split(os.pathsep)[0]
        command = [f"{prefix}/lib/hpe_ros/camera_node", "--ros-args", "-r", f"__ns:={namespace}"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={json.dumps(value)}"]
        return start(command)

    return begin


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.mark.ros
def test_a_video_becomes_images_with_camera_info_of_the_same_stamp_no_faster_than_its_own_rate(
    camera_node, graph, video, calibration_file
):
    from sensor_msgs.msg import CameraInfo, Image

    images, infos = graph.record(Image, "/film/image"), graph.record(CameraInfo, "/film/camera_info")
    before_ns = time.time_ns()
    camera_node("/film", device=str(video), camera_info_url=str(calibration_file), frame_id="film_lens")
    graph.until(lambda: len(images) > 45, 60.0, "two rounds of the video")
    known = {stamp_ns(info): info for info in list(infos)}
    shown = [image for image in list(images) if stamp_ns(image) in known]
    assert len(shown) > 40
    for image in shown:
        assert image.header.frame_id == known[stamp_ns(image)].header.frame_id == "film_lens"
        assert (image.width, image.height, image.encoding) == (320, 240, "bgr8")
        assert known[stamp_ns(image)].k[4] == 301.0
    stamps = np.array([stamp_ns(image) for image in shown])
    assert before_ns < stamps[0] and stamps[-1] <= time.time_ns()
    assert (np.diff(stamps) > 0).all()
    # 19 of 20 steps take 1/30 s: a slow machine needs longer, an unpaced node a tenth
    assert stamps[-1] - stamps[0] > 0.5 * len(stamps) / 30.0 * 1e9
    greys = [round((image.data[0] - 20) / 10) for image in shown]
    assert set(greys) == set(range(20))


@pytest.mark.ros
def test_a_device_that_does_not_exist_ends_the_node_with_one_line(camera_node):
    for device, complaint in (("/nowhere/talk.mp4", "does not exist"), ("97", "camera 97 cannot be opened")):
        node = camera_node("/none", device=device)
        assert node.wait(60.0) == 2
        assert complaint in node.text
        assert "Traceback" not in node.text


@pytest.mark.ros
def test_a_source_that_vanishes_is_named_in_diagnostics_and_taken_up_when_it_is_back(camera_node, graph, tmp_path):
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import Image

    path = write_video(tmp_path / "film.avi")
    images, health = graph.record(Image, "/vanishing/image"), graph.record(DiagnosticArray, "/diagnostics")
    node = camera_node("/vanishing", device=str(path))

    def newest():
        found = [s for m in list(health) for s in m.status if s.name == "vanishing/camera_node: source"]
        return (ord(found[-1].level), found[-1].message, {v.key: v.value for v in found[-1].values}) if found else None

    graph.until(lambda: images and newest() and newest()[0] == 0, 60.0, "images")
    path.rename(tmp_path / "away.avi")
    level, message, values = graph.until(lambda: newest()[0] == 2 and newest(), 30.0, "loss in diagnostics")
    assert (level, values["lost"]) == (2, "1") and "does not exist" in message
    (tmp_path / "away.avi").rename(path)
    graph.until(lambda: newest()[0] == 0, 30.0, "recovery in diagnostics")
    count = len(images)
    graph.until(lambda: len(images) > count, 30.0, "images again")
    assert int(newest()[2]["published"]) > 0
    assert node.stop() == 0
    assert "Traceback" not in node.text
