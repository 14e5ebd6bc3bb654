"""Which camera model holds for an image: pairing with camera_info, reload on change, and the flagged fallback."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import (
    REMEMBERED,
    CameraFit,
    Pairing,
    camera_from_message,
    content_of,
    has_shape,
    has_size,
    kept,
    size_mismatch,
)

if TYPE_CHECKING:  # it needs no ROS
    from sensor_msgs.msg import CameraInfo


@dataclass(frozen=True, eq=False)
class _Info:
    frame_id: str
    stamp_ns: int
    camera: CameraModel | None
    problem: str


class CameraBook:
    """Remembers the last camera_info messages. `add` and `camera_for` may be called from different threads."""

    def __init__(self, rectified: bool, hfov_deg: float, wait_s: float):
        self._rectified, self._fit, self._wait_ns = rectified, CameraFit(hfov_deg), round(wait_s * 1e9)
        self._lock = threading.Lock()
        self._infos: deque[_Info] = deque(maxlen=REMEMBERED)
        self._read: dict[tuple, tuple[CameraModel | None, str]] = {}  # by content: camera, or why there is none
        self._first_image_ns: int | None = None

    def add(self, message: "CameraInfo", stamp_ns: int) -> None:
        """Take in a sensor_msgs/CameraInfo."""
        with self._lock:
            camera, problem = kept(self._read, content_of(message), lambda: self._parse(message))
            self._infos.appendleft(_Info(message.header.frame_id, stamp_ns, camera, problem))

    def _parse(self, message: "CameraInfo") -> tuple[CameraModel | None, str]:
        try:
            return camera_from_message(message, self._rectified), ""
        except HpeError as error:
            return None, str(error)

    def camera_for(self, frame_id: str, stamp_ns: int, width: int, height: int) -> Pairing:
        """Pairing for an image: exact stamp pair, else the newest of the same frame_id and size, else of its shape."""
        with self._lock:
            infos = list(self._infos)
        same_frame = [info for info in infos if info.frame_id == frame_id]
        exact = [info for info in infos if info.stamp_ns == stamp_ns]
        # of another size, it still says more than an older one that fits: the camera may have changed since
        exact_resized = [info for info in exact if info.frame_id == frame_id]
        for group, resized in ((exact, False), (exact_resized, True), (same_frame, False), (same_frame, True)):
            for info in group:
                if info.camera is None:
                    return self._fit.assumed(width, height, info.problem)
                if not resized and has_size(info.camera, width, height):
                    return Pairing(info.camera, "exact stamp" if info.stamp_ns == stamp_ns else "newest")
                if resized and has_shape(info.camera, width, height):
                    return self._fit.resized(info.camera, width, height)
        if infos:
            return self._fit.assumed(width, height, _mismatch((same_frame or infos)[0], frame_id, width, height))
        if self._first_image_ns is None or stamp_ns < self._first_image_ns:
            self._first_image_ns = stamp_ns
        if stamp_ns - self._first_image_ns < self._wait_ns:
            return Pairing(None, "waiting", "no camera_info yet")
        return self._fit.assumed(width, height, "no camera_info received")


def _mismatch(info: _Info, frame_id: str, width: int, height: int) -> str:
    if info.camera is not None and info.frame_id == frame_id:
        return size_mismatch("camera_info", info.camera, width, height)
    return f"camera_info has frame_id '{info.frame_id}' but the image has '{frame_id}'"
