"""Depth images beside the images of the pose node: the one of an image's stamp, with its camera and its frame."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_ros import (
    Buffer,
    TransformException,  # pyright: ignore[reportAttributeAccessIssue] compiled
    TransformListener,
)

from hpe_core.geometry import so3
from hpe_core.io.camera_info import content_of, kept
from hpe_core.io.depth.registration import (
    LATE,
    NO_IMAGE,
    DepthCamera,
    DepthRefused,
    Transform,
    View,
    depth_camera,
    pixels_of,
    registered,
)
from hpe_core.pixels.depth import DepthImage
from hpe_ros.messages import ns_from_time
from hpe_ros.node_config import NodeConfig
from hpe_ros.pose.inputs import Subscriptions
from hpe_ros.status import Status

KEPT = 8  # depth images, for those that are asked about a little later
ALIVE_NS = 1_000_000_000  # a stream whose newest stamp is so old is not waited for


class DepthInput(Subscriptions):
    """Keeps the latest depth images; `image_for` is called from the worker's thread, the rest from the executor's."""

    def __init__(self, node: Node, config: NodeConfig, on_qos_mismatch: Callable[[str], object]):
        super().__init__(node, config.reliability, on_qos_mismatch)
        self._tolerance_ns, self._wait_s = round(config.depth_tolerance_s * 1e9), config.depth_wait_s
        self._changed = threading.Condition()
        self._images: deque[tuple[int, Image | CompressedImage]] = deque(maxlen=KEPT)
        self._missed: deque[int] = deque(maxlen=KEPT)  # stamps of images that went without
        self._info: CameraInfo | None = None
        self._cameras: dict[tuple, DepthCamera] = {}  # by content
        self._transforms: dict[tuple[str, str], Transform] = {}  # by (to, from): fixed within a device
        self._frames: tuple[str, str] | None = None  # of a transform that is looked for
        self._buffer = Buffer()
        self._listener: TransformListener | None = None
        self._received, self._used, self._unusable_before = 0, 0, 0
        self._without: Counter[str] = Counter()
        self._problem = ""
        self._subscribe_images("depth", config.depth_transport, self._on_depth)
        self._subscribe(CameraInfo, "depth_camera_info", self._on_info)

    def _on_info(self, message: CameraInfo):
        self._info = message

    def _on_depth(self, message: Image | CompressedImage):
        stamp_ns = ns_from_time(message.header.stamp)
        with self._changed:
            self._received += 1
            self._images.append((stamp_ns, message))
            for missed in [ns for ns in self._missed if abs(ns - stamp_ns) <= self._tolerance_ns]:
                self._missed.remove(missed)
                self._without[NO_IMAGE] -= 1
                self._without[LATE] += 1
            self._changed.notify()
        if self._frames is not None and self._listener is None:  # in this thread: rclpy's executor is not in between
            self._listener = TransformListener(self._buffer, self._node)

    def image_for(self, stamp_ns: int, view: View) -> DepthImage | None:
        """The DepthImage nearest to stamp_ns within the tolerance, for the faces of a View; None is counted."""
        try:
            message = self._nearest(stamp_ns)
            image = registered(pixels_of(message), message.header.frame_id, self._camera(), view, self._find)
        except DepthRefused as error:
            with self._changed:
                self._without[error.reason] += 1
                self._problem = str(error)
                if error.reason == NO_IMAGE:
                    self._missed.append(stamp_ns)
            return None
        with self._changed:
            self._used += 1
        return image

    def _nearest(self, stamp_ns: int) -> Image | CompressedImage:
        end = time.monotonic() + self._wait_s
        with self._changed:
            while True:
                near = min(self._images, key=lambda image: abs(image[0] - stamp_ns), default=None)
                if near is not None and abs(near[0] - stamp_ns) <= self._tolerance_ns:
                    return near[1]
                newest_ns = max((ns for ns, _ in self._images), default=stamp_ns)
                coming = near is not None and 0 < stamp_ns - newest_ns < ALIVE_NS
                if not coming or not self._changed.wait(end - time.monotonic()):
                    break
        if near is None:
            raise DepthRefused(NO_IMAGE, "no depth image has been received")
        apart_s = (near[0] - stamp_ns) * 1e-9
        raise DepthRefused(NO_IMAGE, f"the nearest depth image is {apart_s:+.3f} s from the image's stamp")

    def _camera(self) -> DepthCamera | None:
        message = self._info
        return None if message is None else kept(self._cameras, content_of(message), lambda: depth_camera(message))

    def _find(self, to: str, origin: str) -> Transform | None:
        """The transform, looked up once; until it is there, the node listens to TF."""
        if (to, origin) not in self._transforms:
            try:
                found = self._buffer.lookup_transform(to, origin, Time()).transform
            except TransformException:
                self._frames = to, origin
                return None
            t, q = found.translation, found.rotation
            self._transforms[to, origin] = so3.matrix_from_quat([q.x, q.y, q.z, q.w]), np.array([t.x, t.y, t.z])
        return self._transforms[to, origin]

    def status(self) -> Status:
        """The `depth` line of the diagnostics: a warning while images go without depth."""
        with self._changed:
            without, used = self._without.total(), self._used
            values: dict[str, object] = {"received": self._received, "images with depth": used}
            values |= {"images without depth": without}
            values |= {f"without depth, {reason}": count for reason, count in sorted((+self._without).items())}
            fresh, self._unusable_before = without - self._unusable_before, without
            problem = self._problem
        if fresh > 0:
            return Status("depth", "warn", problem, values)
        return Status("depth", "ok", "ranges from depth" if used else "no face with depth yet", values)

    def destroy(self) -> None:
        super().destroy()
        if self._listener is not None:
            self._listener.unregister()
        self._listener = None
