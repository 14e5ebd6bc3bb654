"""The node `camera_node`, for a quick try without a camera driver: images and camera_info of a camera or a file."""

import threading
import traceback

from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from hpe_core.geometry.camera import CameraModel
from hpe_core.io.frame import DEFAULT_FRAME_ID, Frame
from hpe_ros import images, lifecycle, parameters, qos
from hpe_ros.camera import messages as camera_messages
from hpe_ros.camera.frames import EndlessFrames
from hpe_ros.health_topic import HealthTopic
from hpe_ros.node_config import CAMERA_NODE_GROUPS, CameraNodeConfig
from hpe_ros.status import Status

DEPTH = 5


class CameraNode(lifecycle.PlainNode):
    """Publishes `image` and `camera_info` from its making to `release`; a device that cannot be opened raises."""

    def __init__(self):
        super().__init__("camera_node")
        parameters.declare(self, CAMERA_NODE_GROUPS, locked=lambda: True)
        self._config = parameters.read(self, CameraNodeConfig)
        url = self._config.camera_info_url
        self._calibration = camera_messages.calibration_from_url(url) if url else None
        self._stopped = threading.Event()
        self._published, self._logged = 0, ""
        self._frames = EndlessFrames(self._config.device, self._config.loop, self._stopped)
        override = qos.OVERRIDABLE
        with qos.overrides():
            self._images = self.create_publisher(Image, "image", DEPTH, qos_overriding_options=override)
            self._infos = self.create_publisher(CameraInfo, "camera_info", DEPTH, qos_overriding_options=override)
        self._health_topic = HealthTopic(self, self._statuses)
        self.get_logger().info(f"images of {self._config.device} on {self._images.topic_name}")
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Stop publishing and close the camera; harmless the second time."""
        self._stopped.set()
        self._thread.join(5.0)  # a camera that hangs does not hold up the end

    def _run(self):
        try:
            for frame in self._frames:
                self._publish(frame)
        except Exception:
            if self.context.ok():  # publishing fails while the process is being stopped
                self.get_logger().fatal(traceback.format_exc())
                self.context.try_shutdown()
            return
        if not self._stopped.is_set():
            self.get_logger().info(f"{self._config.device} is at its end")

    def _publish(self, frame: Frame):
        image_bgr = frame.image_bgr
        assert image_bgr is not None  # EndlessFrames counts the unreadable ones and keeps them to itself
        # the time of capture: the image has just been read; a file is published as if it were filmed now
        stamp = self.get_clock().now().to_msg()
        own_frame = frame.frame_id != DEFAULT_FRAME_ID
        header = Header(stamp=stamp, frame_id=frame.frame_id if own_frame else self._config.frame_id)
        height, width = image_bgr.shape[:2]
        calibration = self._calibration or self._other_calibration(frame.camera, width, height)
        self._infos.publish(camera_messages.camera_info(header, width, height, calibration))
        self._images.publish(images.image_from_bgr(image_bgr, header))
        self._published += 1

    def _other_calibration(self, camera: CameraModel | None, width: int, height: int):
        """Calibration of the stream itself (a bag), else of a known field of view, else None."""
        if camera is None and self._config.camera_hfov_deg > 0.0:
            camera = CameraModel.from_hfov(width, height, self._config.camera_hfov_deg)
        return None if camera is None else camera_messages.Calibration.of(camera)

    def _statuses(self):
        problem = self._frames.problem
        if problem and problem != self._logged:
            self.get_logger().error(f"{problem}; trying again")
        elif self._logged and not problem:
            self.get_logger().info(f"images of {self._config.device} again")
        self._logged = problem
        counts = {"published": self._published, "lost": self._frames.lost, "unreadable": self._frames.unreadable}
        return [Status("source", "error" if problem else "ok", problem or self._config.device, counts)]


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `camera_node`."""
    return lifecycle.run(CameraNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
