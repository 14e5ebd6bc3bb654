import cv2
import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.io.sources import natural_key, open_source


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


def test_cut_video_counts_the_frames_that_it_had_announced(write_video, tmp_path):
    data = write_video(30).read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    with open_source(str(tmp_path / "cut.avi")) as source:
        frames = list(source)
    assert 0 < len(frames) < 30
    if source.total:
        assert source.losses["video frames announced by the file but not readable"] == source.total - len(frames)


@pytest.mark.parametrize(
    "name, content", [("a.txt", b"hello\n" * 100), ("a.mp4", bytes(range(256)) * 50), ("a.mp4", b""), ("a", b"x")]
)
def test_files_that_are_nothing_known_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HpeError, match=f"{name} is not an image, a video or a rosbag2"):
        list(open_source(str(tmp_path / name)))


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
