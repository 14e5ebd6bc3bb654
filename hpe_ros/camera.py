"""Which camera model holds for an image: pairing with camera_info, reload on change, and the flagged fallback."""

import threading
from collections import deque
from dataclasses import dataclass

from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import camera_from_message

REMEMBERED = 30


@dataclass(frozen=True, eq=False)
class Pairing:
    """camera: CameraModel, or None while camera_info is awaited.

    source: "exact stamp", "newest", "resized", "assumed" or "waiting"; problem: why it is not calibrated, else "".
    """

    camera: CameraModel | None
    source: str
    problem: str = ""


@dataclass(frozen=True, eq=False)
class _Info:
    frame_id: str
    stamp_ns: int
    camera: CameraModel | None
    problem: str


class CameraBook:
    """Remembers the last camera_info messages. `add` and `camera_for` may be called from different threads."""

    def __init__(self, rectified, hfov_deg, wait_s):
        self._rectified, self._hfov_deg, self._wait_ns = rectified, hfov_deg, round(wait_s * 1e9)
        self._lock = threading.Lock()
        self._infos = deque(maxlen=REMEMBERED)
        self._read, self._derived = {}, {}
        self._first_image_ns = None

    def add(self, message, stamp_ns):
        """Take in a sensor_msgs/CameraInfo."""
        content = (
            *(message.width, message.height, message.distortion_model),
            *(bytes(message.k), bytes(message.p), tuple(message.d), message.binning_x, message.binning_y),
            *(message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height),
        )
        with self._lock:
            camera, problem = _kept(self._read, content, lambda: self._parse(message))
            self._infos.appendleft(_Info(message.header.frame_id, stamp_ns, camera, problem))

    def _parse(self, message):
        try:
            return camera_from_message(message, self._rectified), ""
        except HpeError as error:
            return None, str(error)

    def camera_for(self, frame_id, stamp_ns, width, height):
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
                    return self._assumed(width, height, info.problem)
                if not resized and (info.camera.width, info.camera.height) == (width, height):
                    return Pairing(info.camera, "exact stamp" if info.stamp_ns == stamp_ns else "newest")
                if resized and _same_shape(info.camera, width, height):
                    return Pairing(self._resized(info.camera, width, height), "resized")
        if infos:
            return self._assumed(width, height, _mismatch((same_frame or infos)[0], frame_id, width, height))
        if self._first_image_ns is None or stamp_ns < self._first_image_ns:
            self._first_image_ns = stamp_ns
        if stamp_ns - self._first_image_ns < self._wait_ns:
            return Pairing(None, "waiting", "no camera_info yet")
        return self._assumed(width, height, "no camera_info received")

    def _assumed(self, width, height, problem):
        camera = _kept(self._derived, (width, height), lambda: CameraModel.from_hfov(width, height, self._hfov_deg))
        return Pairing(camera, "assumed", f"{problem}; assuming {self._hfov_deg:g} degrees field of view")

    def _resized(self, camera, width, height):
        return _kept(self._derived, (camera, width, height), lambda: camera.resized(width, height))


def _kept(cache, key, make):
    """cache[key], made when it is not there; a cache that has grown too large starts anew."""
    if key not in cache:
        if len(cache) >= REMEMBERED:
            cache.clear()
        cache[key] = make()
    return cache[key]


def _same_shape(camera, width, height):
    """Whether an image can be the whole picture of a camera, resized (to within a pixel of rounding)."""
    return abs(width * camera.height / camera.width - height) <= 1.0


def _mismatch(info, frame_id, width, height):
    if info.frame_id == frame_id:
        return f"camera_info is for {info.camera.width}x{info.camera.height} but the image is {width}x{height}"
    return f"camera_info has frame_id '{info.frame_id}' but the image has '{frame_id}'"
