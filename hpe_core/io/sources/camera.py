"""Images of a camera."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from hpe_core.errors import HpeError
from hpe_core.io.frame import DEFAULT_FRAME_ID, Frame, Source, refuse_topic

MAX_FAILED_GRABS = 30


class CameraSource(Source):
    """A camera by its index; stamps are the time of arrival (system clock), it never ends by itself."""

    kind = "camera"

    def __init__(self, number: int):
        self._take(cv2.VideoCapture(number), f"camera{number}", f"camera {number}")

    def _take(self, capture: cv2.VideoCapture, name: str, told: str) -> None:
        """Deliver what a capture does; `told` names it in messages."""
        super().__init__(name)
        self._capture = capture
        if not capture.isOpened():
            raise HpeError(f"{told} cannot be opened")

    def __iter__(self) -> Iterator[Frame]:
        index = failed = 0
        while failed < MAX_FAILED_GRABS:
            got, image = self._capture.read()
            if got:
                yield Frame(image, time.time_ns(), DEFAULT_FRAME_ID, index, self.name)
                index += 1
                failed = 0
            else:
                failed += 1
                time.sleep(0.01)
        self.losses["the camera stopped delivering images"] += 1

    def close(self) -> None:
        self._capture.release()


def is_index(text: str) -> bool:
    """Whether a text is the index of a camera: up to three digits, where no file has that name."""
    return re.fullmatch(r"[0-9]{1,3}", text) is not None and not Path(text).exists()


def opened(text: str, topic: str | None) -> CameraSource | None:
    """The camera of an index, None for other text."""
    if not is_index(text):
        return None
    refuse_topic(topic, "a camera")
    return CameraSource(int(text))
