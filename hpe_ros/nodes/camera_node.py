"""The node `camera_node`, for a quick try without a camera driver: images and camera_info of a camera or a file."""

import threading
import traceback

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from hpe_core.geometry.camera import CameraModel
from hpe_core.io.frame import DEFAULT_FRAME_ID
from hpe_ros import lifecycle, messages, parameters
from hpe_ros.camera import messages as camera_messages
from hpe_ros.camera.frames import EndlessFrames
from hpe_ros.node_config import CAMERA_NODE_GROUPS
from hpe_ros.pose.diagnostics import Status

DIAGNOSTICS_PERIOD_S = 1.0
DEPTH = 5


class CameraNode(Node):
    """Publishes `image` and `camera_info` from its making to `release`; a device that cannot be opened raises."""

    def __init__(self):
        super().__init__("camera_node")
        parameters.declare(self, locked=lambda: True, groups=CAMERA_NODE_GROUPS)
        (self._config,) = parameters.read_groups(self, CAMERA_NODE_GROUPS)
        url = self._config.camera_info_url
        self._calibration = camera_messages.calibration_from_url(url) if url else None
        self._stopped, self._published, self._told = threading.Event(), 0, ""
        self._frames = EndlessFrames(self._config.device, self._config.loop, self._stopped)
        self._images = self.create_publisher(Image, "image", DEPTH)
        self._infos = self.create_publisher(CameraInfo, "camera_info", DEPTH)
        self._health_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_health, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info(f"images of {self._config.device} on {self._images.topic_name}")
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def release(self):
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

    def _publish(self, frame):
        # the time of capture: the image has just been read; a file is published as if it were filmed now
        stamp = self.get_clock().now().to_msg()
        own_frame = frame.frame_id != DEFAULT_FRAME_ID
        header = Header(stamp=stamp, frame_id=frame.frame_id if own_frame else self._config.frame_id)
        height, width = frame.image_bgr.shape[:2]
        calibration = self._calibration or self._other_calibration(frame.camera, width, height)
        self._infos.publish(camera_messages.camera_info(header, width, height, calibration))
        self._images.publish(messages.image_from_bgr(frame.image_bgr, header))
        self._published += 1

    def _other_calibration(self, camera, width, height):
        """Calibration of the stream itself (a bag), else of a known field of view, else None."""
        if camera is None and self._config.camera_hfov_deg > 0.0:
            camera = CameraModel.from_hfov(width, height, self._config.camera_hfov_deg)
        return None if camera is None else camera_messages.Calibration.of(camera)

    def _publish_health(self):
        problem = self._frames.problem
        if problem and problem != self._told:
            self.get_logger().error(f"{problem}; trying again")
        elif self._told and not problem:
            self.get_logger().info(f"images of {self._config.device} again")
        self._told = problem
        counts = {"published": self._published, "lost": self._frames.lost, "unreadable": self._frames.unreadable}
        status = Status("source", "error" if problem else "ok", problem or str(self._config.device), counts)
        stamp, name = self.get_clock().now().to_msg(), self.get_fully_qualified_name()
        self._health_publisher.publish(messages.diagnostic_array([status], stamp, name))


def main(args=None):
    """Entry point of the executable `camera_node`."""
    return lifecycle.run(CameraNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
