import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from hpe_core import HeadPose, HpeError
from hpe_core.api.latest import latest
from hpe_core.face_id import FaceId
from hpe_core.io.frame import Frame, Source

BAG = str(Path(__file__).parents[3] / "assets" / "sample_bag")
STEP_NS = 33_000_000


def blank(value=0):
    return np.full((48, 64, 3), value, np.uint8)


def test_a_video_is_tracked_with_its_stamps_and_faces_keep_their_ids(est, folder):
    frames = list(est.track(folder / "talk.avi"))
    assert [frame.index for frame in frames] == list(range(20))
    assert [round(frame.stamp_ns / 40e6) for frame in frames] == list(range(20))
    (face_id,) = {face.id for frame in frames for face in frame.faces}
    assert FaceId(face_id).face_frame() == face_id
    assert {frame.dropped for frame in frames} == {0} and frames[3].source == "talk.avi"
    assert frames[3].image.shape == (480, 640, 3)
    assert repr(frames[0]) == f"<frame 0 at {frames[0].stamp_ns} ns: 1 face>"


def test_a_bag_is_tracked_with_its_own_camera(est):
    with est.track(BAG) as track:
        frame = next(track)
    assert not frame.faces.camera.assumed and frame.stamp_ns > 1e18
    assert list(track) == []  # it has been closed


def test_images_with_stamps_give_what_the_source_they_came_from_gives(est, frames):
    with est.track(BAG, topic="/camera/image/compressed") as bag:
        expected = [next(bag) for _ in range(10)]
    camera = expected[0].faces.camera
    known = HeadPose(camera=camera, backend="onnxruntime")
    for one, other in zip(known.track(iter(frames[:10])), expected, strict=True):
        assert one.stamp_ns == other.stamp_ns
        np.testing.assert_array_equal(one.faces[0].R, other.faces[0].R)


def test_images_without_stamps_get_them_from_fps(est, frames):
    images = [image for image, _ in frames[:5]]
    for given in (images, iter(images), np.stack(images)):
        assert [frame.stamp_ns for frame in est.track(given, fps=20)] == [i * 50_000_000 for i in range(5)]


@pytest.mark.parametrize("name", ["photos", "photos/*.png", "**/photos/*.png"])
def test_a_folder_and_a_pattern_are_unrelated_photos_unless_fps_is_said(est, folder, name):
    alone = [faces[0].R for faces in est.predict(sorted((folder / "photos").iterdir()))]
    frames = list(est.track(folder / name))
    for frame, R in zip(frames, alone, strict=True):
        np.testing.assert_array_equal(frame.faces[0].R, R)
        assert frame.faces[0].id is None
    assert [frame.source for frame in frames] == ["0.png", "1.png", "2.png"]
    stream = list(est.track(folder / name, fps=10))
    assert [frame.stamp_ns for frame in stream] == [0, 100_000_000, 200_000_000]
    assert len({frame.faces[0].id for frame in stream}) == 1


def test_what_cannot_be_read_is_counted_with_the_frame_after_it_and_in_the_track(est, tmp_path):
    for index, data in enumerate([None, b"no image", b"none either", None, b""]):
        path = tmp_path / f"{index}.png"
        if data is None:
            cv2.imwrite(str(path), blank())
        else:
            path.write_bytes(data)
    track = est.track(tmp_path)
    assert [(frame.index, frame.dropped) for frame in track] == [(0, 0), (3, 2)]
    assert sum(track.dropped.values()) == 3


def test_a_source_without_any_image_that_can_be_read_is_an_error(est, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(HpeError, match="has no image that can be read: compressed image of 8 bytes"):
        list(est.track(tmp_path))
    with pytest.raises(HpeError, match="images has no image that can be read"):
        list(est.track([], fps=30))


@pytest.mark.parametrize(
    "items, words",
    [
        ([blank()], r"image 0 has no stamp: track takes pairs \(image, stamp_ns\), or fps=30"),
        ([(blank(), None)], "image 0 has no stamp"),
        (
            [(blank(), 0), (blank(), 0)],
            "image 1 has stamp 0 ns, the one before 0 ns: stamps are nanoseconds and increase",
        ),
        ([(blank(), STEP_NS), (blank(), 0)], "of unrelated photos ask predict, for a new stream call track again"),
        ([(blank(), 0), (blank(), 1)], "image 1 has stamp 1 ns, the one before 0 ns: stamps are nanoseconds"),
        ([(blank(), 0.5)], r"must be a whole number of nanoseconds, got 0.5; of seconds make int\(seconds \* 1e9\)"),
        ([(blank(), True)], "must be a whole number of nanoseconds, got True"),
        ([(blank(), "now")], "got 'now'"),
        ([(blank(), 1 << 63)], "must be a whole number"),
        ([("missing.png", 0)], "missing.png does not exist"),
        ([(None, 0)], "got NoneType"),
    ],
)
def test_images_without_usable_stamps_are_refused_with_what_to_do(est, items, words):
    with pytest.raises(HpeError, match=words) as raised:
        list(est.track(items))
    assert "\n" not in str(raised.value)


def test_numpys_whole_numbers_are_stamps(est):
    stamps = np.arange(3, dtype=np.int64) * STEP_NS
    assert [frame.stamp_ns for frame in est.track((blank(), stamp) for stamp in stamps)] == [0, STEP_NS, 2 * STEP_NS]


@pytest.mark.parametrize(
    "source, options, words",
    [
        ("missing.mp4", {}, "missing.mp4 does not exist"),
        ("frames/*.png", {}, r"no image \(.*\) has a name like frames/\*.png"),
        ("file:///etc/passwd", {}, "an address must begin with rtsp://, .*, got file://"),
        (BAG, {"fps": 30}, "a bag has stamps of its own: leave fps out"),
        (BAG, {"topic": "/none"}, "has no image topic /none"),
        ([(blank(), 0)], {"fps": 30}, "image 0 has a stamp of its own: leave fps out"),
        ([blank()], {"fps": 0}, r"fps must lie in \[0.001, 10000\], got 0"),
        ([blank()], {"fps": "30"}, "fps must lie in"),
        ([blank()], {"topic": "/image"}, "topic /image needs a rosbag2, got list"),
        (blank(), {}, "track takes a stream of images: of a single one ask predict"),
        (-1, {}, r"a camera's index must lie in \[0, 999\], got -1"),
        (997, {}, "camera 997 cannot be opened"),
        (None, {}, "got NoneType"),
        (True, {}, "got bool"),
    ],
)
def test_what_is_no_stream_is_named_in_one_line(est, source, options, words):
    with pytest.raises(HpeError, match=words) as raised:
        list(est.track(source, **options))
    assert "\n" not in str(raised.value)


def test_a_stream_whose_source_repeats_a_stamp_is_refused(est):
    class Twice(Source):
        kind = "bag"

        def __iter__(self):
            for index in range(2):
                yield Frame(blank(), 5, "camera", index, "/image")

    track = est.track([blank()], fps=30)
    track._stream.source = Twice("bag")
    with pytest.raises(HpeError, match=r"/image: image 1 has the stamp of the image before, 5 ns: give the images"):
        list(track)


def test_with_rgb_true_images_come_back_as_rgb(frames):
    rgb = HeadPose(backend="onnxruntime", rgb=True)
    (frame,) = rgb.track([frames[0][0][:, :, ::-1]], fps=1)
    np.testing.assert_array_equal(frame.image, frames[0][0][:, :, ::-1])
    np.testing.assert_array_equal(frame.faces.draw(frame.image).bgr, frame.faces.draw(frame.image).rgb[:, :, ::-1])


def test_leaving_the_loop_gives_the_source_back(est):
    given_back = []

    def images():
        try:
            for index in range(100):
                yield blank(), index * STEP_NS
        finally:
            given_back.append(True)

    for frame in est.track(images()):
        if frame.index == 3:
            break
    assert given_back == [True]


def test_an_error_of_the_program_that_gives_the_images_is_its_own(est):
    def images():
        yield blank(), 0
        raise RuntimeError("the grabber broke")

    with pytest.raises(RuntimeError, match="the grabber broke"):
        list(est.track(images()))


def test_two_tracks_at_once_do_not_touch_each_other(est, frames):
    forward, backward = frames[:8], [(frames[40 - i][0], frames[i][1]) for i in range(8)]
    alone = [[frame.faces[0].R for frame in est.track(each)] for each in (forward, backward)]
    together = zip(est.track(forward), est.track(backward), strict=True)
    for i, pair in enumerate(together):
        for frame, Rs in zip(pair, alone, strict=True):
            np.testing.assert_array_equal(frame.faces[0].R, Rs[i])


class Live(Source):
    """A camera that gives its frames as soon as the test says so."""

    kind = "camera"

    def __init__(self, steps):
        super().__init__("live")
        self._steps, self.goes_on, self.given = steps, threading.Event(), threading.Event()

    def __iter__(self):
        for index in range(self._steps):
            if index == 1:
                self.goes_on.wait()
            yield Frame(blank(), index * STEP_NS, "camera", index, "live")
        self.given.set()


def test_of_a_live_camera_the_latest_image_comes_and_the_overtaken_are_counted():
    camera = Live(5)
    frames = latest(camera)
    assert next(frames)[0].index == 0
    camera.goes_on.set()
    camera.given.wait()  # frames 1 to 4 came while nobody took one
    frame, overtaken = next(frames)
    assert (frame.index, overtaken) == (4, 3)
    assert list(frames) == []


def test_a_live_camera_that_is_left_is_read_no_further():
    camera = Live(1000)
    camera.goes_on.set()
    frames = latest(camera)
    next(frames)
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "hpe camera"]


def test_an_error_of_a_live_camera_reaches_whoever_reads_it():
    class Broken(Source):
        def __iter__(self):
            yield Frame(blank(), 0, "camera", 0, "broken")
            raise HpeError("the cable is out")

    with pytest.raises(HpeError, match="the cable is out"):
        list(latest(Broken("broken")))
