"""What all sources of images deliver (Frame), and what they have in common (Source)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel

DEFAULT_FRAME_ID = "camera_optical_frame"
_SourceT = TypeVar("_SourceT", bound="Source")


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

    kind: str = ""
    files: Sequence[Path] = ()

    def __init__(self, name: str, total: int | None = None):
        self.name = name
        self.total = total
        self.losses: Counter[str] = Counter()
        self.notices: list[str] = []

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError

    def close(self) -> None:
        """Give back files and devices."""

    def __enter__(self: _SourceT) -> _SourceT:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def refuse_topic(topic: str | None, what: str) -> None:
    """Raises HpeError when a topic was named for a source (`what`) that has none."""
    if topic is not None:
        raise HpeError(f"--topic {topic} needs a rosbag2, got {what}")
