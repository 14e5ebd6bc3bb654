"""Images of one topic of a rosbag2 with their CameraInfo."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.bags import (
    BAG_SUFFIXES,
    CAMERA_INFO,
    COMPRESSED,
    Bag,
    bag_files,
    image_topics,
    is_bag_folder,
    stamp_ns_of,
    typestore,
)
from hpe_core.io.camera_info import camera_from_message, content_of
from hpe_core.io.frame import DEFAULT_FRAME_ID, Frame, Source
from hpe_core.pixels.encodings import ENCODINGS, bgr_from_compressed, bgr_from_raw


def _later(message: Any, other: Any) -> bool:
    """Whether the header stamp of a message lies after that of the other."""
    return stamp_ns_of(message.header.stamp) > stamp_ns_of(other.header.stamp)


class BagSource(Source):
    """Images of one topic of a rosbag2; stamps and frame_id are those of the message headers.

    CameraInfo comes from `camera_info` beside the image topic, else from the only CameraInfo topic with the images'
    frame_id; it takes effect from where it changes.
    """

    kind = "bag"

    def __init__(self, path: str | Path, topic: str | None = None):
        self._bag = Bag(path)
        try:
            self.topic = _image_topic(self._bag, topic)
            full = Path(path).resolve()
            super().__init__(full.name if full.is_dir() else full.stem, self._bag.counts[self.topic])
            self.losses = self._bag.losses
            self.notices = self._bag.notices
            self.files = bag_files(path)
            self._info_topic = self._find_info_topic()
        except BaseException:
            self._bag.close()
            raise
        self._rectified = "rect" in _base(self.topic).rsplit("/", 1)[-1]
        self._info_content: tuple | None = None
        self._camera: CameraModel | None = None
        others = [name for name in image_topics(self._bag) if name != self.topic]
        if others and topic is None:
            self._bag.note(
                f"using image topic {self.topic}; the bag also has {', '.join(others)} (choose with --topic)"
            )
        if self._info_topic is None:
            self._bag.note(f"the bag has no CameraInfo for {self.topic}")

    @property
    def transport(self) -> str:
        """image_transport's name for what the topic carries."""
        return "compressed" if self._bag.topics[self.topic] == COMPRESSED else "raw"

    @property
    def info_topic(self) -> str | None:
        """The CameraInfo topic that belongs to the images, None when there is none."""
        return self._info_topic

    def close(self) -> None:
        self._bag.close()

    def __iter__(self) -> Iterator[Frame]:
        """Frames in the bag's order. An image waits for the CameraInfo of its own stamp until the next image."""
        if self._info_topic:
            self._take_info(self._bag.first(self._info_topic))  # for images that come before it
        waiting: tuple[Any, int, int] | None = None  # image message, time of recording in ns, index
        index = 0
        topics = {self.topic, self._info_topic} if self._info_topic else {self.topic}
        for topic, msgtype, time_ns, data in self._bag.messages(topics):
            message = _decoded(data, msgtype)
            if topic == self._info_topic:
                if waiting and message and _later(message, waiting[0]):  # it is the next image's
                    yield self._frame(*waiting)
                    waiting = None
                self._take_info(message)
                if waiting and message and message.header.stamp == waiting[0].header.stamp:
                    yield self._frame(*waiting)
                    waiting = None
                continue
            if waiting:
                yield self._frame(*waiting)
            waiting = (message, time_ns, index) if message else None
            if message is None:
                yield Frame(None, time_ns, DEFAULT_FRAME_ID, index, self.topic, error="the message is damaged")
            index += 1
        if waiting:
            yield self._frame(*waiting)

    def _find_info_topic(self) -> str | None:
        topics = self._bag.topics
        counts = self._bag.counts
        infos = [name for name, msgtype in topics.items() if msgtype == CAMERA_INFO and counts[name]]
        beside = _base(self.topic).rsplit("/", 1)[0] + "/camera_info"
        if beside in infos:
            return beside
        image = self._bag.first(self.topic)
        frame_id = image.header.frame_id if image else None
        firsts = {name: self._bag.first(name) for name in infos}
        same = [name for name, info in firsts.items() if info and info.header.frame_id == frame_id]
        return same[0] if len(same) == 1 else None

    def _take_info(self, info: Any) -> None:
        """Follow the CameraInfo; build the camera only when something in it has changed."""
        if info is None:
            return
        content = content_of(info)
        if content == self._info_content:
            return
        self._info_content = content
        try:
            self._camera = camera_from_message(info, self._rectified)
        except HpeError as error:
            self._camera = None
            self._bag.note(f"{self._info_topic} cannot be used: {error}")

    def _frame(self, message: Any, time_ns: int, index: int) -> Frame:
        image = error = None
        try:
            if hasattr(message, "encoding"):
                fields = (message.height, message.width, message.encoding, message.step, message.is_bigendian)
                image = bgr_from_raw(message.data, *fields)
            else:
                image = bgr_from_compressed(message.data)
        except HpeError as reason:
            if index == 0 and hasattr(message, "encoding") and message.encoding not in ENCODINGS:
                raise HpeError(f"{self.topic}: {reason}") from reason
            error = str(reason)
        stamp_ns = stamp_ns_of(message.header.stamp)
        if stamp_ns == 0:
            stamp_ns = time_ns
            self._bag.note(f"{self.topic} has headers without a stamp: the time of recording is taken")
        frame_id = message.header.frame_id or DEFAULT_FRAME_ID
        return Frame(image, stamp_ns, frame_id, index, self.topic, self._camera, error)


def _decoded(data: bytes, msgtype: str) -> Any:
    """The message, or None when its bytes are damaged."""
    try:
        return typestore().deserialize_cdr(data, msgtype)
    except Exception:  # generated code lets struct, index, key and unicode errors through
        return None


def _base(topic: str) -> str:
    """The topic name without the transport: /cam/image_raw/compressed -> /cam/image_raw."""
    return topic.removesuffix("/compressed")


def _image_topic(bag: Bag, wanted: str | None) -> str:
    """The image topic to read. Raises HpeError, listing what the bag has, when there is none or not the wanted."""
    images = image_topics(bag)
    has = ", ".join(f"{name} ({msgtype})" for name, msgtype in sorted(bag.topics.items())) or "no messages at all"
    if wanted is not None:
        for name in (wanted, f"/{wanted.lstrip('/')}"):
            if name in images:
                return name
        raise HpeError(f"{bag.path} has no image topic {wanted}; it has: {has}")
    if not images:
        raise HpeError(f"{bag.path} has no image topic; it has: {has}")
    return images[0]


def opened(text: str, topic: str | None) -> BagSource | None:
    """The rosbag2 at a path (a folder, a bare .mcap or .db3), None when there is none.

    Raises HpeError for a ROS 1 bag.
    """
    path = Path(text)
    if not path.exists():
        return None
    if path.is_dir():
        return BagSource(path, topic) if is_bag_folder(path) else None
    suffix = path.suffix.lower()
    if suffix == ".bag":
        raise HpeError(f"{text} is a ROS 1 bag; convert it with: rosbags-convert --src {text} --dst {path.stem}")
    return BagSource(path, topic) if suffix in BAG_SUFFIXES else None
