"""The depth images of a rosbag2, by the stamps of its colour images."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

from hpe_core.errors import HpeError
from hpe_core.io.bags import CAMERA_INFO, COMPRESSED, IMAGE, Bag, stamp_ns_of, typestore
from hpe_core.io.depth.registration import (
    DAMAGED,
    NO_IMAGE,
    DepthCamera,
    DepthRefused,
    View,
    depth_camera,
    pixels_of,
    registered,
)
from hpe_core.io.depth.static_tf import StaticTransforms
from hpe_core.io.frame import DEFAULT_FRAME_ID
from hpe_core.pixels.depth import DEPTH_ENCODINGS, DepthImage

NONE = "none"  # instead of a topic: no depth
COMPRESSED_DEPTH = "/compressedDepth"
TOLERANCE_S = 0.02  # between the stamps of an image and its depth image


class BagDepth:
    """DepthImages of one topic of a rosbag2; images are asked about in the order of their stamps.

    used: how many were given; without: Counter of reason -> images without depth; losses: as of a source; notices:
    lines for the user, one per reason.
    """

    def __init__(self, path: str | Path, topic: str, info_topic: str | None = None, tolerance_s: float = TOLERANCE_S):
        self._path, self._bag = path, Bag(path)
        self.topic, self.info_topic = topic, info_topic
        self._tolerance_ns = round(tolerance_s * 1e9)
        self.used = 0
        self.without: Counter[str] = Counter()
        self.notices: list[str] = []
        self._near: deque[tuple[int, Any]] = deque()  # stamp_ns, message: read, and not yet too old
        self._coming = self._messages()

    @property
    def losses(self) -> Counter[str]:
        """Counter of reason -> depth images that could not be read."""
        return self._bag.losses

    def as_dict(self) -> dict[str, Any]:
        """What summary.json says about it, plain Python values only."""
        values = {"topic": self.topic, "camera_info_topic": self.info_topic, "used": self.used}
        return values | {"without": dict(self.without), "losses": dict(self.losses)}

    def close(self) -> None:
        """Close the files."""
        self._bag.close()

    def of(self, stamp_ns: int, view: View) -> DepthImage | None:
        """The DepthImage nearest to stamp_ns within the tolerance, for the faces of a View; None is counted."""
        try:
            found = self._nearest(stamp_ns)
            frame_id = found.header.frame_id or DEFAULT_FRAME_ID
            if isinstance(self._own, DepthRefused):
                raise self._own
            image = registered(pixels_of(found), frame_id, self._own, view, self._transforms.find)
        except DepthRefused as error:
            if not self.without[error.reason]:
                self.notices.append(f"{self.topic}: {error}; such images go without depth")
            self.without[error.reason] += 1
            return None
        self.used += 1
        return image

    @cached_property
    def _transforms(self) -> StaticTransforms:
        with closing(Bag(self._path)) as bag:  # the other one is in the middle of the images
            return StaticTransforms(bag)

    @cached_property
    def _own(self) -> DepthCamera | DepthRefused | None:
        """Of the first depth_camera_info, for a depth camera does not change while it runs; or why there is none."""
        if self.info_topic is None:
            return None
        with closing(Bag(self._path)) as bag:
            message = bag.first(self.info_topic)
        try:
            return None if message is None else depth_camera(message)
        except DepthRefused as error:
            return error

    def _nearest(self, stamp_ns: int) -> Any:
        while not self._near or self._near[-1][0] <= stamp_ns + self._tolerance_ns:
            following = next(self._coming, None)
            if following is None:
                break
            self._near.append(following)
        while self._near and self._near[0][0] < stamp_ns - self._tolerance_ns:
            self._near.popleft()
        stamp, message = min(self._near, key=lambda near: abs(near[0] - stamp_ns), default=(0, None))
        if message is None or abs(stamp - stamp_ns) > self._tolerance_ns:
            raise DepthRefused(NO_IMAGE, f"no depth image within {self._tolerance_ns * 1e-9:g} s of an image")
        return message

    def _messages(self) -> Iterator[tuple[int, Any]]:
        for topic, msgtype, time_ns, data in self._bag.messages({self.topic}):
            try:
                message: Any = typestore().deserialize_cdr(data, msgtype)
            except Exception:  # generated code lets struct, index, key and unicode errors through
                self._bag.losses[f"{DAMAGED} of {topic}"] += 1
                continue
            yield stamp_ns_of(message.header.stamp) or time_ns, message


def bag_depth(
    path: str | Path, image_topic: str, topic: str | None = None, info_topic: str | None = None
) -> tuple[BagDepth | None, str]:
    """BagDepth of a rosbag2 whose colour images are on image_topic, None where there is none; and a line for the user
    about a choice that was not theirs.

    topic: as the user names it, `none` for none, or None for the one that the bag obviously has. info_topic: that of
    its CameraInfo; None: beside it. Raises HpeError when a topic that was named is not there.
    """
    if topic == NONE:
        return None, ""
    with closing(Bag(path)) as bag:
        chosen, others = (_named(bag, topic), []) if topic is not None else _obvious(bag, image_topic)
        if info_topic is None and chosen is not None:
            info_topic = _beside(bag, chosen)
        elif info_topic is not None and bag.topics.get(info_topic) != CAMERA_INFO:
            has = ", ".join(name for name, kind in bag.topics.items() if kind == CAMERA_INFO) or "none"
            raise HpeError(f"{bag.path} has no CameraInfo topic {info_topic}; it has: {has}")
    if chosen is None:
        return None, f"no depth is used; the bag has {', '.join(others)} (choose with --depth-topic)" if others else ""
    note = f"ranges from depth topic {chosen} (--depth-topic none does without)" if topic is None else ""
    return BagDepth(path, chosen, info_topic), note


def depth_topics(bag: Bag) -> list[str]:
    """Topics with depth images; of a raw and a compressed one of the same images, the raw one."""
    raw = [name for name, kind in bag.topics.items() if kind == IMAGE and bag.counts[name] and _is_depth(bag, name)]
    packed = [name for name, kind in bag.topics.items() if kind == COMPRESSED and name.endswith(COMPRESSED_DEPTH)]
    return raw + [name for name in packed if name.removesuffix(COMPRESSED_DEPTH) not in raw and bag.first(name)]


def _is_depth(bag: Bag, topic: str) -> bool:
    first = bag.first(topic) if "depth" in topic else None
    return first is not None and first.encoding in DEPTH_ENCODINGS


def _named(bag: Bag, topic: str) -> str:
    for name in (topic, f"/{topic.lstrip('/')}"):
        if bag.topics.get(name) in (IMAGE, COMPRESSED):
            return name
    has = ", ".join(depth_topics(bag)) or "none"
    raise HpeError(f"{bag.path} has no depth image topic {topic}; it has: {has}")


def _obvious(bag: Bag, image_topic: str) -> tuple[str | None, list[str]]:
    """The only depth topic in the frame of the images, None when there is none or more than one; and all of them."""
    frames = {topic: bag.first(topic).header.frame_id for topic in depth_topics(bag) if topic != image_topic}
    images = bag.first(image_topic) if frames else None
    same = [topic for topic, frame_id in frames.items() if images and frame_id == images.header.frame_id]
    return same[0] if len(same) == 1 else None, list(frames)


def _beside(bag: Bag, topic: str) -> str | None:
    """The CameraInfo topic beside a depth topic, None where there is none."""
    name = topic.removesuffix(COMPRESSED_DEPTH).rsplit("/", 1)[0] + "/camera_info"
    return name if bag.topics.get(name) == CAMERA_INFO and bag.counts[name] else None
