"""What `HeadPose.track` takes: everything that open_source names, and iterables of images."""

from __future__ import annotations

import numbers
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Union

import numpy as np

from hpe_core.api.images import ImageLike, bgr_of, is_image, is_pil
from hpe_core.errors import HpeError
from hpe_core.io.frame import DEFAULT_FRAME_ID, Frame, Source

StreamLike = Union[int, str, "os.PathLike[str]", Iterable[ImageLike], Iterable[tuple[ImageLike, int]]]
LEAST_STEP_NS = 10_000  # of stamps; what is closer was not counted in nanoseconds
WITH_STAMPS = "track takes pairs (image, stamp_ns), or fps=30 for images that are so many per second"


class IterableSource(Source):
    """Images of a program; stamps are its own, or `fps` makes them."""

    kind = "iterable"

    def __init__(self, images: Iterable[ImageLike | tuple[ImageLike, int]], fps: float | None, rgb: bool):
        super().__init__("images")
        self._images, self._fps, self._rgb = images, fps, rgb

    def __iter__(self) -> Iterator[Frame]:
        last_ns: int | None = None
        for index, item in enumerate(self._images):
            image, stamp = item if isinstance(item, tuple | list) and len(item) == 2 else (item, None)
            stamp_ns = self._stamp_ns(stamp, index)
            if last_ns is not None and not stamp_ns - last_ns >= LEAST_STEP_NS:
                raise HpeError(
                    f"image {index} has stamp {stamp_ns} ns, the one before {last_ns} ns: stamps are nanoseconds and "
                    "increase; of unrelated photos ask predict, for a new stream call track again"
                )
            last_ns = stamp_ns
            yield Frame(bgr_of(image, self._rgb), stamp_ns, DEFAULT_FRAME_ID, index, self.name)

    def _stamp_ns(self, stamp: object, index: int) -> int:
        if self._fps is not None:
            if stamp is not None:
                raise HpeError(f"image {index} has a stamp of its own: leave fps out")
            return round(index / self._fps * 1e9)
        if stamp is None:
            raise HpeError(f"image {index} has no stamp: {WITH_STAMPS}")
        if isinstance(stamp, bool | np.bool_) or not isinstance(stamp, numbers.Integral) or abs(int(stamp)) >= 1 << 63:
            raise HpeError(
                f"the stamp of image {index} must be a whole number of nanoseconds, got {stamp!r}; "
                "of seconds make int(seconds * 1e9)"
            )
        return int(stamp)


class _Sequence(Source):
    """Image files as the frames of one stream, fps per second."""

    def __init__(self, source: Source, fps: float):
        super().__init__(source.name, source.total)
        self.kind, self.losses, self.notices, self._source, self._fps = "sequence", source.losses, [], source, fps

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            yield replace(frame, stamp_ns=round(frame.index / self._fps * 1e9))


def opened(source: StreamLike, fps: float | None, topic: str | None, rgb: bool) -> tuple[bool, Source]:
    """Whether the images of a source belong to one stream, and the Source. Raises HpeError when it is none."""
    if fps is not None and not (isinstance(fps, int | float) and 0.001 <= fps <= 10_000):
        raise HpeError(f"fps must lie in [0.001, 10000], got {fps!r}")
    if is_pil(source) or (isinstance(source, np.ndarray) and source.ndim < 4):
        raise HpeError("track takes a stream of images: of a single one ask predict")
    if is_image(source) and not isinstance(source, np.ndarray):
        return _named(os.fspath(source), fps, topic)  # type: ignore[arg-type]
    if isinstance(source, numbers.Integral) and not isinstance(source, bool):
        if not 0 <= int(source) < 1000:
            raise HpeError(f"a camera's index must lie in [0, 999], got {source}")
        return _named(str(int(source)), fps, topic)
    if topic is not None:
        raise HpeError(f"topic {topic} needs a rosbag2, got {type(source).__name__}")
    if not isinstance(source, Iterable):
        raise HpeError(f"track takes a camera's index, a path, an address or an iterable, got {type(source).__name__}")
    return True, IterableSource(source, fps, rgb)


def _named(text: str, fps: float | None, topic: str | None) -> tuple[bool, Source]:
    from hpe_core.io.sources import open_source  # loads the libraries of bags and videos

    source = open_source(text, topic)
    if source.kind == "images":
        return (False, source) if fps is None else (True, _Sequence(source, fps))
    if fps is not None:
        source.close()
        raise HpeError(f"a {source.kind} has stamps of its own: leave fps out")
    return True, source
