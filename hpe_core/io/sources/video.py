"""Images of a video file."""

from collections.abc import Iterator
from pathlib import Path

import cv2

from hpe_core.errors import HpeError
from hpe_core.io.files import check_regular, plain_path
from hpe_core.io.frame import DEFAULT_FRAME_ID, Frame, Source, refuse_topic
from hpe_core.pixels.image_header import MAX_PIXELS

NOMINAL_FPS = 30.0


class VideoSource(Source):
    """A video file; stamps are the container's, nanoseconds from the start of the video, and always increase.

    total: number of frames where the container states it; many (MKV, WebM) state a duration only.
    """

    kind = "video"

    def __init__(self, path: Path):
        with plain_path(path) as name:
            self._capture = cv2.VideoCapture(name)
            announced = _announced_frames(name)
        # FFmpeg opens any text as ANSI art, and raw bytes as a codec without a name
        codec = int(self._capture.get(cv2.CAP_PROP_FOURCC)) if self._capture.isOpened() else 0
        if codec <= 0 or codec.to_bytes(4, "little") == b"ansi":
            raise HpeError(f"{path} is not an image, a video or a rosbag2, or it is damaged")
        width = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        height = self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > MAX_PIXELS:
            raise HpeError(f"{path} has frames of {width:.0f}x{height:.0f}, allowed: {MAX_PIXELS} pixels")
        super().__init__(path.stem, announced)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._fps = fps if 0.1 < fps < 10_000 else NOMINAL_FPS
        self._file = path.name
        self.files = (path,)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        stamp_ns = -1
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

    def close(self) -> None:
        self._capture.release()


def later_stamp_ns(container_ns: int, before_ns: int, index: int, fps: float) -> int:
    """Stamp of frame `index`: the container's when it lies after `before_ns`, the stamp of the frame before (-1 for
    the first); else, as in containers without stamps, the nominal one, but never the same or an earlier one."""
    if container_ns > before_ns:
        return container_ns
    return max(before_ns + 1, round(index / fps * 1e9))


def _announced_frames(name: str) -> int | None:
    """Number of frames that a video's container states, None when it states none (OpenCV guesses from the duration)."""
    try:
        import av
        from av.error import FFmpegError
    except ImportError:
        return None
    try:
        with av.open(name) as container:
            stream = container.streams.video[0]
            # AVI counts a pause as empty frames, which its index knows; of a file that is cut off the index is too
            indexed = sum(entry.size > 0 for entry in stream.index_entries) if _is_whole_avi(name) else 0
            return indexed or stream.frames or None
    except (FFmpegError, IndexError, ValueError):  # what is no video is refused where it is opened
        return None


def _is_whole_avi(name: str) -> bool:
    with open(name, "rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
    return head[:4] == b"RIFF" and head[8:] == b"AVI " and int.from_bytes(head[4:8], "little") + 8 <= size


def opened(text: str, topic: str | None) -> VideoSource | None:
    """The video at a path, None when there is no file."""
    path = Path(text)
    if not path.exists():
        return None
    refuse_topic(topic, "a file that is no bag")
    check_regular(path)
    return VideoSource(path)
