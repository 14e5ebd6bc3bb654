"""Where images come from: camera, video, image, folder of images, rosbag2. All look the same from outside."""

import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hpe_core.errors import HpeError, printable
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.files import check_regular, plain_path, read_regular
from hpe_core.pixels.encodings import bgr_from_compressed
from hpe_core.pixels.image_header import MAX_FILE_BYTES, MAX_PIXELS

DEFAULT_FRAME_ID = "camera_optical_frame"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
BAG_SUFFIXES = (".mcap", ".db3")
NOMINAL_IMAGE_STEP_NS = 1_000_000_000
NOMINAL_FPS = 30.0
MAX_FAILED_GRABS = 30


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a stream, or, with image_bgr None, the `error` why it could not be decoded.

    image_bgr: (H, W, 3) uint8; frame_id: of the camera optical frame; index: from 0 in its stream; source: file or
    topic for people; camera: as the stream itself says, None when it does not.
    """

    image_bgr: np.ndarray | None
    stamp_ns: int
    frame_id: str
    index: int
    source: str
    camera: CameraModel | None = None
    error: str | None = None


class Source:
    """An iterator of Frames. Use it in a `with` block, or call `close`.

    name: for folder names; kind: camera, video, images or bag; total: number of frames or None; notices: lines for
    the user; losses: Counter of reason -> count of what the source should have had but could not be read; files: paths
    that are read.
    """

    kind = ""
    files = ()

    def __init__(self, name, total=None):
        self.name, self.total = name, total
        self.losses, self.notices = Counter(), []

    def __iter__(self):
        raise NotImplementedError

    def close(self):
        """Give back files and devices."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class CameraSource(Source):
    """A camera by its index; stamps are the time of arrival (system clock), it never ends by itself."""

    kind = "camera"

    def __init__(self, number):
        super().__init__(f"camera{number}")
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise HpeError(f"camera {number} cannot be opened")

    def __iter__(self):
        index = failed = 0
        while failed < MAX_FAILED_GRABS:
            got, image = self._capture.read()
            if got:
                yield Frame(image, time.time_ns(), DEFAULT_FRAME_ID, index, self.name)
                index, failed = index + 1, 0
            else:
                failed += 1
                time.sleep(0.01)
        self.losses["the camera stopped delivering images"] += 1

    def close(self):
        self._capture.release()


class VideoSource(Source):
    """A video file; stamps are the container's, nanoseconds from the start of the video, and always increase.

    total: number of frames where the container tells it; many (MKV, WebM) tell a duration only.
    """

    kind = "video"

    def __init__(self, path):
        with plain_path(path) as name:
            self._capture = cv2.VideoCapture(name)
            announced = _announced_frames(name)
        # FFmpeg opens any text as ANSI art, and raw bytes as a codec without a name
        codec = int(self._capture.get(cv2.CAP_PROP_FOURCC)) if self._capture.isOpened() else 0
        if codec <= 0 or codec.to_bytes(4, "little") == b"ansi":
            raise HpeError(f"{path} is not an image, a video or a rosbag2, or it is damaged")
        width, height = (self._capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise HpeError(f"{path} has frames of {width:.0f}x{height:.0f}, allowed: {MAX_PIXELS} pixels")
        super().__init__(path.stem, announced)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._fps = fps if 0.1 < fps < 10_000 else NOMINAL_FPS
        self._file, self.files = path.name, (path,)

    def __iter__(self):
        index, stamp_ns = 0, -1
        while True:
            got, image = self._capture.read()
            if not got:
                break
            container_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
            stamp_ns = later_stamp_ns(container_ns, stamp_ns, index, self._fps)
            yield Frame(image, stamp_ns, DEFAULT_FRAME_ID, index, self._file)
            index += 1
        if index == 0:
            raise HpeError(f"{self._file} is not an image, a video or a rosbag2, or it is damaged")
        if self.total and index < self.total:
            self.losses["video frames announced by the file but not readable"] += self.total - index

    def close(self):
        self._capture.release()


def later_stamp_ns(container_ns: int, before_ns: int, index: int, fps: float) -> int:
    """Stamp of frame `index`: the container's when it lies after `before_ns`, the stamp of the frame before (-1 for
    the first); else, as in containers without stamps, the nominal one, but never the same or an earlier one."""
    if container_ns > before_ns:
        return container_ns
    return max(before_ns + 1, round(index / fps * 1e9))


def _announced_frames(name):
    """Number of frames that a video's container tells, None when it tells none (OpenCV guesses from the duration)."""
    try:
        import av
    except ImportError:
        return None
    try:
        with av.open(name) as container:
            stream = container.streams.video[0]
            # AVI counts a pause as empty frames, which its index knows; of a file that is cut off the index is too
            indexed = sum(entry.size > 0 for entry in stream.index_entries) if _is_whole_avi(name) else 0
            return indexed or stream.frames or None
    except (av.FFmpegError, IndexError, ValueError):  # what is no video is refused where it is opened
        return None


def _is_whole_avi(name):
    with open(name, "rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
    return head[:4] == b"RIFF" and head[8:] == b"AVI " and int.from_bytes(head[4:8], "little") + 8 <= size


class ImagesSource(Source):
    """Image files, unrelated photographs; stamps are nominal, one second apart from 0."""

    kind = "images"

    def __init__(self, name, paths):
        super().__init__(name, len(paths))
        self.files = self._paths = paths

    def __iter__(self):
        for index, path in enumerate(self._paths):
            image = error = None
            try:
                image = bgr_from_compressed(read_regular(path, MAX_FILE_BYTES))
            except HpeError as reason:
                error = str(reason).removeprefix(f"{printable(path)} ")  # the frame names its file
            yield Frame(image, index * NOMINAL_IMAGE_STEP_NS, DEFAULT_FRAME_ID, index, path.name, error=error)


def natural_key(text):
    """Sort key with numbers as numbers: img2 before img10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in re.split(r"(\d+)", text)]


def open_source(text, topic=None):
    """The Source that `text` names: a camera index, or the path of a video, an image, a folder of images, a rosbag2.

    topic: image topic of a bag; refused for anything else. Raises HpeError when there is no such source.
    """
    path = Path(text)
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:  # e.g. a name that is too long, or holds a NUL
        raise HpeError(f"{text[:200]!r} cannot be a file name: {error}") from error
    if not exists and re.fullmatch(r"[0-9]{1,3}", text):
        _refuse_topic(topic, "a camera")
        return CameraSource(int(text))
    if not exists:
        raise HpeError(f"{text} does not exist")
    suffix = path.suffix.lower()
    if (is_folder and is_bag_folder(path)) or (not is_folder and suffix in BAG_SUFFIXES):
        from hpe_core.io.bags import BagSource

        return BagSource(path, topic)
    if is_folder:
        _refuse_topic(topic, "a folder of images")
        paths = [child for child in path.iterdir() if child.suffix.lower() in IMAGE_SUFFIXES]
        if not paths:
            raise HpeError(f"folder {text} holds neither images ({' '.join(IMAGE_SUFFIXES)}) nor a rosbag2")
        return ImagesSource(path.resolve().name or "root", sorted(paths, key=lambda p: natural_key(p.name)))
    if suffix == ".bag":
        raise HpeError(f"{text} is a ROS 1 bag; convert it with: rosbags-convert --src {text} --dst {path.stem}")
    _refuse_topic(topic, "a file that is no bag")
    check_regular(path)
    if suffix in IMAGE_SUFFIXES:
        return ImagesSource(path.stem, [path])
    return VideoSource(path)


def is_bag_folder(path):
    return (path / "metadata.yaml").exists() or any(child.suffix in BAG_SUFFIXES for child in path.iterdir())


def _refuse_topic(topic, what):
    if topic is not None:
        raise HpeError(f"--topic {topic} needs a rosbag2, got {what}")
