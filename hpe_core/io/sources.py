"""Where images come from: camera, video, image, folder of images, rosbag2. All look the same from outside."""

import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.images import bgr_from_compressed

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
    """A video file; stamps are the container's, nanoseconds from the start of the video."""

    kind = "video"

    def __init__(self, path):
        self._capture = cv2.VideoCapture(str(path))
        # FFmpeg opens any text as ANSI art, and raw bytes as a codec without a name
        codec = int(self._capture.get(cv2.CAP_PROP_FOURCC)) if self._capture.isOpened() else 0
        if codec <= 0 or codec.to_bytes(4, "little") == b"ansi":
            raise HpeError(f"{path} is not an image, a video or a rosbag2, or it is damaged")
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        super().__init__(path.stem, int(count) if 0 < count < 1e9 else None)
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
            advances = container_ns > stamp_ns and (index == 0 or container_ns > 0)
            stamp_ns = container_ns if advances else max(stamp_ns + 1, round(index / self._fps * 1e9))
            yield Frame(image, stamp_ns, DEFAULT_FRAME_ID, index, self._file)
            index += 1
        if index == 0:
            raise HpeError(f"{self._file} is not an image, a video or a rosbag2, or it is damaged")
        if self.total and index < self.total:
            self.losses["video frames announced by the file but not readable"] += self.total - index

    def close(self):
        self._capture.release()


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
                image = bgr_from_compressed(path.read_bytes())
            except HpeError as reason:
                error = str(reason)
            except OSError as reason:
                error = f"cannot be read: {reason.strerror}"
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
        paths = [child for child in path.iterdir() if child.suffix.lower() in IMAGE_SUFFIXES and child.is_file()]
        if not paths:
            raise HpeError(f"folder {text} holds neither images ({' '.join(IMAGE_SUFFIXES)}) nor a rosbag2")
        return ImagesSource(path.resolve().name or "root", sorted(paths, key=lambda p: natural_key(p.name)))
    if suffix == ".bag":
        raise HpeError(f"{text} is a ROS 1 bag; convert it with: rosbags-convert --src {text} --dst {path.stem}")
    _refuse_topic(topic, "a file that is no bag")
    if not _readable(path):
        raise HpeError(f"{text} cannot be read: permission denied or not a file")
    if suffix in IMAGE_SUFFIXES:
        return ImagesSource(path.stem, [path])
    return VideoSource(path)


def _readable(path):
    try:
        with path.open("rb"):
            return path.is_file()
    except OSError:
        return False


def is_bag_folder(path):
    return (path / "metadata.yaml").exists() or any(child.suffix in BAG_SUFFIXES for child in path.iterdir())


def _refuse_topic(topic, what):
    if topic is not None:
        raise HpeError(f"--topic {topic} needs a rosbag2, got {what}")
