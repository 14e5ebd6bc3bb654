"""The iterator of `HeadPose.track`."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np

from hpe_core.api.face import FacePose
from hpe_core.api.faces import Faces
from hpe_core.api.latest import latest
from hpe_core.errors import HpeError
from hpe_core.io.camera_info import CameraChoice
from hpe_core.io.frame import Frame, Source
from hpe_core.pipeline import Pipeline

OVERTAKEN = "overtaken by a newer image"


@dataclass(frozen=True, eq=False, repr=False)
class TrackedFrame:
    """One image of a stream.

    faces: in the order of their ids; stamp_ns: of the image, nanoseconds (of a camera: when it came, by the system's
    clock; of a video: from its start; of a bag: the header's); dropped: how many images between the one before and this
    one could not be read, or, of a live camera, were overtaken; index: from 0, of the images that there were; image:
    (H, W, 3) uint8, BGR, or RGB with rgb=True; source: file or topic.
    """

    faces: Faces
    stamp_ns: int
    dropped: int
    index: int
    image: np.ndarray
    source: str

    def __repr__(self) -> str:
        count = len(self.faces)
        return f"<frame {self.index} at {self.stamp_ns} ns: {count} face{'' if count == 1 else 's'}>"


class Track(Iterator[TrackedFrame]):
    """The frames of a stream. File or camera are given back at its end, after `break`, and by `close` or `with`.

    dropped: reason -> how many images until now; notices: what there is to know about the source.
    """

    def __init__(self, stream: Stream):
        # the generator knows the stream and not this object: when that is left, it ends at once
        self._stream, self._frames = stream, stream.frames()

    @property
    def dropped(self) -> Counter[str]:
        return self._stream.dropped

    @property
    def notices(self) -> list[str]:
        return list(self._stream.source.notices)

    def __next__(self) -> TrackedFrame:
        return next(self._frames)

    def __enter__(self) -> Track:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream; there are no further frames."""
        self._frames.close()
        self._stream.source.close()

    def __repr__(self) -> str:
        return f"<track of {self._stream.source.kind} {self._stream.source.name}>"


@dataclass(eq=False)
class Stream:
    """What a Track is made of. related: whether its images follow each other; lock: held while the networks work;
    check_size(width, height): raises HpeError where a given camera is another one's.
    """

    source: Source
    related: bool
    pipeline: Pipeline
    cameras: CameraChoice
    lock: threading.Lock
    check_size: Callable[[int, int], None]
    rgb: bool
    dropped: Counter[str] = field(default_factory=Counter)

    def frames(self) -> Generator[TrackedFrame, None, None]:
        """Frames until the source ends, which is then closed."""
        last_ns: int | None = None
        lost = 0
        with self.source, closing(self._images()) as images:
            for frame, overtaken in images:
                if overtaken:
                    self.dropped[OVERTAKEN] += overtaken
                    lost += overtaken
                if frame.image_bgr is None:
                    self.dropped[frame.error or "unknown"] += 1
                    lost += 1
                    continue
                if frame.stamp_ns == last_ns:
                    raise HpeError(
                        f"{frame.source}: image {frame.index} has the stamp of the image before, {last_ns} ns: give "
                        "the images stamps of their own, track((image, stamp_ns) ...), or ask predict of each"
                    )
                yield self._tracked(frame, frame.image_bgr, lost)
                last_ns, lost = frame.stamp_ns, 0
        self.dropped.update(self.source.losses)
        if last_ns is None:
            reasons = "; ".join(f"{reason} ({count}x)" for reason, count in self.dropped.most_common(3))
            raise HpeError(f"{self.source.name} has no image that can be read" + (f": {reasons}" if reasons else ""))

    def _images(self) -> Generator[tuple[Frame, int], None, None]:
        if self.source.kind == "camera":
            yield from latest(self.source)
        else:
            for frame in self.source:
                yield frame, 0

    def _tracked(self, frame: Frame, image_bgr: np.ndarray, dropped: int) -> TrackedFrame:
        height, width = image_bgr.shape[:2]
        self.check_size(width, height)
        camera = self.cameras.of(frame)
        if not self.related or self.cameras.changed:
            self.pipeline.reset()
        with self.lock:
            result = self.pipeline.process(image_bgr, camera, frame.stamp_ns)
        seen = result.faces if self.related else [replace(face, face_id=None) for face in result.faces]
        poses = [FacePose(face, camera) for face in seen]
        faces = Faces(poses, camera, result.counts, self.rgb, result.candidate_boxes_px)
        image = np.ascontiguousarray(image_bgr[:, :, ::-1]) if self.rgb else image_bgr
        return TrackedFrame(faces, frame.stamp_ns, dropped, frame.index, image, frame.source)
