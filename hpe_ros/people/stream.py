"""What exists only while the people node is active: subscriptions, TF, and the way of one camera's heads."""

import functools
import time
from typing import TYPE_CHECKING

import numpy as np
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from hpe_core.geometry import so3
from hpe_core.people.camera_list import CameraEntry, CameraList
from hpe_core.people.clocks import CameraClocks
from hpe_core.people.config import PeopleConfig
from hpe_core.people.people import People, SeenHead
from hpe_core.people.poses import CameraPlace, in_fixed_frame
from hpe_ros.attention.messages import heads_from_detections
from hpe_ros.health_topic import steady_clock
from hpe_ros.messages import ns_from_time
from hpe_ros.node_config import PeopleNodeConfig
from hpe_ros.optional import HAS_VISION_MSGS
from hpe_ros.people import health as reasons
from hpe_ros.people.health import PeopleHealth
from hpe_ros.people.outputs import PeopleOutputs
from hpe_ros.transforms import Transforms

if TYPE_CHECKING or HAS_VISION_MSGS:  # without it the node refuses to be configured
    from vision_msgs.msg import Detection3DArray


class PeopleStream:
    """Runs from its making to `stop`; what happens to heads stands in `_process`, from top to bottom."""

    def __init__(
        self,
        node: LifecycleNode,
        config: PeopleNodeConfig,
        people_config: PeopleConfig,
        cameras: CameraList,
        outputs: PeopleOutputs,
        health: PeopleHealth,
    ):
        self._node, self._fixed_frame = node, cameras.fixed_frame
        self._outputs, self._health = outputs, health
        self._people = People(people_config)
        self._clocks = CameraClocks()
        self._transforms = Transforms(node, config.tf_tolerance_s)
        self._watchdog = node.create_timer(config.input_timeout_s, self._on_silence, clock=steady_clock())
        self._subscriptions = [
            node.create_subscription(
                Detection3DArray, camera.topic("heads"), functools.partial(self._on_heads, camera), 10
            )
            for camera in cameras.cameras
        ]

    def reconfigure(self, config: PeopleConfig) -> None:
        """Go on with these from the next message on."""
        self._people.config = config

    def stop(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._node.destroy_timer(self._watchdog)
        self._transforms.destroy()

    def _on_heads(self, camera: CameraEntry, message: "Detection3DArray"):
        self._watchdog.reset()
        self._health.received(camera.name)
        try:
            self._process(camera, message)
        except Exception as error:  # whatever a message holds, the next one is worked on
            text = self._health.failed(camera.name, error)
            self._node.get_logger().error(f"heads of {camera.name} dropped: {text}", throttle_duration_sec=5.0)

    def _process(self, camera: CameraEntry, message: "Detection3DArray"):
        """The heads of one image."""
        header, config = message.header, self._people.config
        stamp_ns = ns_from_time(header.stamp)
        ahead_ns = stamp_ns - self._node.get_clock().now().nanoseconds
        apart_s = self._clocks.apart_s(camera.name, ahead_ns, time.monotonic_ns(), config.max_age_s)
        if apart_s:
            side = "ahead of" if apart_s > 0.0 else "behind"
            text = f"stamps are {abs(apart_s):.1f} s {side} those of the other cameras, allowed {config.max_age_s:g}"
            return self._leave_out(camera, reasons.APART, text)
        place = self._place(header, stamp_ns)
        if place is None:
            text = f"no TF from '{self._fixed_frame}' to '{header.frame_id}' at the stamp of its heads"
            return self._leave_out(camera, reasons.NO_TF, text)
        heads, problems = heads_from_detections(message, None)
        usable = [head for head in heads if head.pose.covariance is not None]
        problems += [f"head '{head.face_id}' has no covariance" for head in heads if head.pose.covariance is None]
        scores = {detection.id: detection.results[0].hypothesis.score for detection in message.detections}
        std_m, std_rad = config.extrinsics_std_m, np.radians(config.extrinsics_std_deg)
        seen = [
            SeenHead(head.face_id, in_fixed_frame(head.pose, place, std_m, std_rad), scores[head.face_id])
            for head in usable
        ]
        now = self._people.update(camera.name, stamp_ns, seen)
        if now.late:
            return self._leave_out(camera, reasons.LATE, f"heads come more than {config.max_age_s:g} s late")
        self._outputs.publish(now)
        return self._health.processed(camera.name, len(seen), now, problems)

    def _leave_out(self, camera: CameraEntry, reason: str, text: str):
        if self._health.left_out(camera.name, reason, text):
            self._node.get_logger().warning(f"camera {camera.name} is left out: {text}", throttle_duration_sec=1.0)

    def _place(self, header: Header, stamp_ns: int) -> CameraPlace | None:
        """Where the camera was; None when TF does not know."""
        if header.frame_id == self._fixed_frame:
            return CameraPlace(np.eye(3), np.zeros(3))
        self._transforms.notice(stamp_ns)
        transform = self._transforms.out_of(header, self._fixed_frame)
        if transform is None:
            return None
        p, q = transform.translation, transform.rotation
        return CameraPlace(so3.matrix_from_quat([q.x, q.y, q.z, q.w]), np.array([p.x, p.y, p.z]))

    def _on_silence(self):
        self._outputs.publish_nobody()
        self._health.nobody()
