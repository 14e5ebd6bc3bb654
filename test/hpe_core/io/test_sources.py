import os
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core import registry
from hpe_core.errors import HpeError
from hpe_core.io import sources
from hpe_core.io.files import natural_key
from hpe_core.io.sources import open_source, video
from hpe_core.io.sources.video import later_stamp_ns


@pytest.fixture
def write_image(tmp_path):
    def write(name, value, folder="photos"):
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((6, 8, 3), value, np.uint8))
        return path

    return write


@pytest.fixture
def write_video(tmp_path):
    def write(count, fps=25.0, name="clip.avi"):
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (64, 48))
        for i in range(count):
            writer.write(np.full((48, 64, 3), 20 * i % 256, np.uint8))
        writer.release()
        return path

    return write


@pytest.fixture
def encode_video(tmp_path):
    """encode_video(name, stamps in ms) -> path of a video with a frame of 64x48 at each; audio_s: silence beside it."""

    def encode(name, stamps_ms, codec="libx264", audio_s=0, container=None):
        path = tmp_path / name
        with av.open(str(path), "w", format=container) as file:
            stream = file.add_stream(codec, rate=10)
            stream.width, stream.height = 64, 48
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000)
            for i, stamp_ms in enumerate(stamps_ms):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * i, np.uint8), format="bgr24")
                frame.pts, frame.time_base = stamp_ms, Fraction(1, 1000)
                file.mux(stream.encode(frame))
            if audio_s:
                sound = file.add_stream("pcm_s16le", rate=8000, layout="mono")
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000 * audio_s), np.int16), "s16", "mono")
                frame.sample_rate, frame.pts = 8000, 0
                file.mux([*stream.encode(None), *sound.encode(frame), *sound.encode(None)])
            else:
                file.mux(stream.encode(None))
        return path

    return encode


def test_every_file_of_a_source_is_asked_what_a_text_names():
    asked = [opened.__module__.rpartition(".")[2] for opened in sources.KINDS]
    assert sorted(asked) == registry.available(sources.__name__)


def test_numbers_in_names_sort_as_numbers():
    names = ["b.png", "a10.png", "a2.png", "a02b.png", "A1.png"]
    assert sorted(names, key=natural_key) == ["A1.png", "a2.png", "a02b.png", "a10.png", "b.png"]


def test_folder_of_images_comes_in_natural_order_one_second_apart(write_image):
    for name, value in (("img10.png", 100), ("img2.png", 20), ("img1.png", 10)):
        write_image(name, value)
    (write_image("img3.png", 30).parent / "notes.txt").write_text("no image")
    with open_source(str(write_image("img1.png", 10).parent)) as source:
        frames = list(source)
    assert (source.kind, source.name, source.total) == ("images", "photos", 4)
    assert [frame.source for frame in frames] == ["img1.png", "img2.png", "img3.png", "img10.png"]
    assert [frame.stamp_ns for frame in frames] == [0, 10**9, 2 * 10**9, 3 * 10**9]
    assert frames[0].frame_id == "camera_optical_frame" and frames[0].camera is None


def test_one_damaged_image_is_a_frame_with_its_reason(write_image):
    good = write_image("a.png", 10)
    (good.parent / "b.png").write_bytes(good.read_bytes()[:40])
    frames = list(open_source(str(good.parent)))
    assert frames[0].image_bgr is not None
    assert frames[1].image_bgr is None and "cut off after 40 bytes" in frames[1].error


def test_single_image_is_a_stream_of_one(write_image):
    frames = list(open_source(str(write_image("a.png", 10))))
    assert [(frame.source, frame.index) for frame in frames] == [("a.png", 0)]


def test_video_frames_carry_the_time_of_the_container(write_video):
    with open_source(str(write_video(10, fps=25.0))) as source:
        frames = list(source)
    assert (source.kind, source.name, source.total, len(frames)) == ("video", "clip", 10, 10)
    assert [frame.stamp_ns for frame in frames] == [i * 40_000_000 for i in range(10)]
    assert [int(frame.image_bgr.mean().round(-1)) for frame in frames[:4]] == [0, 20, 40, 60]
    assert not source.losses


TENTHS_MS = [100 * i for i in range(10)]
UNEVEN_MS = [0, 40, 100, 130, 500, 1000]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_stamps_of_a_variable_frame_rate_are_those_of_the_container(encode_video, name):
    with open_source(str(encode_video(name, UNEVEN_MS))) as source:
        assert [frame.stamp_ns for frame in source] == [stamp_ms * 1_000_000 for stamp_ms in UNEVEN_MS]
    assert not source.losses


def test_a_container_without_stamps_gives_nominal_ones(encode_video):
    path = encode_video("clip.h264", TENTHS_MS, container="h264")
    capture = cv2.VideoCapture(str(path))
    assert [capture.read() and capture.get(cv2.CAP_PROP_POS_MSEC) for _ in range(10)] == [0.0] * 10
    fps = capture.get(cv2.CAP_PROP_FPS)
    with open_source(str(path)) as source:
        assert [frame.stamp_ns for frame in source] == [round(i / fps * 1e9) for i in range(10)]


@pytest.mark.parametrize(
    "container_ns, before_ns, index, expected",
    [
        (0, -1, 0, 0),  # the first frame
        (500, -1, 0, 500),  # a video that begins later
        (40, 0, 1, 40),
        (0, 0, 1, 100_000_000),  # no stamps: nominal ones at 10 Hz
        (0, 100_000_000, 2, 200_000_000),
        (400_000_000, 100_000_000, 2, 400_000_000),
        (400_000_000, 400_000_000, 3, 400_000_001),  # the same again, and the nominal one lies before
        (300_000_000, 400_000_001, 3, 400_000_002),  # one that goes back
        (-7, -1, 0, 0),
    ],
)
def test_a_stamp_is_the_containers_unless_it_does_not_advance(container_ns, before_ns, index, expected):
    assert later_stamp_ns(container_ns, before_ns, index, 10.0) == expected


@given(st.lists(st.integers(-(2**40), 2**40), max_size=20), st.floats(0.1, 1000.0))
def test_stamps_always_increase_and_are_never_negative(container_ns, fps):
    stamp_ns, stamps = -1, []
    for index, value in enumerate(container_ns):
        stamp_ns = later_stamp_ns(value, stamp_ns, index, fps)
        stamps.append(stamp_ns)
    assert stamps == sorted(set(stamps)) and (not stamps or stamps[0] >= 0)


def test_a_duration_longer_than_the_pictures_announces_no_frames(encode_video):
    path = encode_video("clip.mkv", TENTHS_MS, audio_s=3)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 30  # what OpenCV makes of it
    with open_source(str(path)) as source:
        assert len(list(source)) == 10
    assert source.total is None and not source.losses


def test_pauses_of_an_avi_are_no_lost_frames(encode_video):
    path = encode_video("clip.avi", UNEVEN_MS, codec="mjpeg")
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) > 1000  # one for each millisecond
    with open_source(str(path)) as source:
        assert len(list(source)) == len(UNEVEN_MS)
    assert source.total == len(UNEVEN_MS) and not source.losses


def test_the_frames_of_an_mp4_are_known_before(encode_video):
    with open_source(str(encode_video("clip.mp4", UNEVEN_MS))) as source:
        assert source.total == len(UNEVEN_MS)


@pytest.mark.parametrize("name", [b"caf\xe9.mp4", "café.mp4".encode(), b"clip%03d.mp4", b"data:clip.mp4"])
def test_a_video_of_any_name_is_read(encode_video, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.rename(encode_video("clip.mp4", TENTHS_MS), name)
    with open_source(os.fsdecode(name)) as source:
        assert len(list(source)) == 10


def test_a_video_has_no_more_pixels_than_an_image(write_video, monkeypatch):
    path = str(write_video(1))
    monkeypatch.setattr(video, "MAX_PIXELS", 64 * 48)
    with open_source(path) as source:
        assert len(list(source)) == 1
    monkeypatch.setattr(video, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(HpeError, match="has frames of 64x48, allowed: 3071 pixels"):
        open_source(path)


def test_cut_video_counts_the_frames_that_it_had_announced(write_video, tmp_path):
    data = write_video(30).read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    with open_source(str(tmp_path / "cut.avi")) as source:
        frames = list(source)
    assert 0 < len(frames) < 30 and source.total == 30
    assert source.losses["video frames announced by the file but not readable"] == 30 - len(frames)


@pytest.mark.parametrize(
    "name, content", [("a.txt", b"hello\n" * 100), ("a.mp4", bytes(range(256)) * 50), ("a.mp4", b""), ("a", b"x")]
)
def test_files_that_are_nothing_known_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HpeError, match=f"{name} is not an image, a video or a rosbag2"):
        open_source(str(tmp_path / name))  # before any frame is asked for


def test_missing_source_camera_and_empty_folder_are_named(tmp_path):
    with pytest.raises(HpeError, match=r"nix\.mp4 does not exist"):
        open_source(str(tmp_path / "nix.mp4"))
    with pytest.raises(HpeError, match="camera 97 cannot be opened"):
        open_source("97")
    with pytest.raises(HpeError, match=r"holds neither images .* nor a rosbag2"):
        open_source(str(tmp_path))
    for text in ("a\0b", "x" * 5000):
        with pytest.raises(HpeError, match=r"cannot be a file name|does not exist"):
            open_source(text)


def test_ros1_bag_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(HpeError, match="ROS 1 bag; convert it with: rosbags-convert"):
        open_source(str(tmp_path / "old.bag"))


def test_topic_without_a_bag_is_refused(write_image):
    with pytest.raises(HpeError, match="--topic /image needs a rosbag2"):
        open_source(str(write_image("a.png", 1)), "/image")


def test_a_pipe_is_refused_in_one_line_and_never_waited_for(tmp_path):
    for name in ("x.jpg", "x.mp4", "x.mcap", "x.db3"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(HpeError, match=rf"{name} cannot be read: a named pipe, not a file"):
            open_source(str(tmp_path / name))
    with pytest.raises(HpeError, match="/dev/null cannot be read: a device, not a file"):
        open_source("/dev/null")


def test_what_only_looks_like_an_image_in_a_folder_is_counted_and_named(write_image):
    folder = write_image("a.png", 10).parent
    os.mkfifo(folder / "b.jpg")
    (folder / "c.jpg").symlink_to(folder / "nix")
    (folder / "d.jpg").mkdir()
    frames = list(open_source(str(folder)))
    assert [(frame.source, frame.error) for frame in frames] == [
        ("a.png", None),
        ("b.jpg", "cannot be read: a named pipe, not a file"),
        ("c.jpg", "cannot be read: No such file or directory"),
        ("d.jpg", "cannot be read: a folder, not a file"),
    ]


def test_images_of_any_name_are_read(write_image):
    folder = write_image("a.png", 10).parent
    os.rename(folder / "a.png", os.path.join(os.fsencode(folder), b"\xe9.png"))
    (frame,) = open_source(str(folder))
    assert frame.image_bgr is not None and os.fsencode(frame.source) == b"\xe9.png"


def test_a_pattern_names_images_in_natural_order_and_nothing_else(write_image, tmp_path):
    for name, value in (("img10.png", 100), ("img2.png", 20), ("other.png", 30)):
        write_image(name, value)
    (write_image("img1.png", 10).parent / "img3.txt").write_text("no image")
    with open_source(str(tmp_path / "photos" / "img*")) as source:
        assert [frame.source for frame in source] == ["img1.png", "img2.png", "img10.png"]
        assert (source.kind, source.name) == ("images", "photos")
    with open_source(str(tmp_path / "**" / "*2.png")) as source:
        assert [frame.source for frame in source] == ["img2.png"]


def test_a_pattern_without_images_and_one_with_a_topic_are_refused(tmp_path):
    with pytest.raises(HpeError, match=r"no image \(.*\) has a name like"):
        open_source(str(tmp_path / "*.png"))
    with pytest.raises(HpeError, match="needs a rosbag2, got a pattern"):
        open_source(str(tmp_path / "*.png"), "/image")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(write_image):
    with open_source(str(write_image("img[1].png", 10))) as source:
        assert source.total == 1
