"""What exists only while the pose node is active: subscriptions, the worker's thread, and the way of one image."""

import functools
import time
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hpe_core.config import PipelineConfig
from hpe_core.io.camera_info import Pairing
from hpe_core.io.depth.registration import View
from hpe_core.pipeline import Pipeline, with_method
from hpe_core.stamps import jumped_back
from hpe_ros.messages import ns_from_time
from hpe_ros.node_config import NodeConfig
from hpe_ros.pose import diagnostics
from hpe_ros.pose.camera_book import CameraBook
from hpe_ros.pose.depth_input import DepthInput
from hpe_ros.pose.inputs import PoseInputs
from hpe_ros.pose.outputs import PoseOutputs
from hpe_ros.pose.rate_limit import RateLimit
from hpe_ros.pose.worker import LatestFrameWorker
from hpe_ros.status import Status

ImageMessage: TypeAlias = Image | CompressedImage


class PoseStream:
    """Runs from its making to `stop`; what happens to an image stands in `_process`, from top to bottom.

    decode(message) -> (H, W, 3) uint8 BGR.
    """

    def __init__(
        self,
        node: Node,
        config: NodeConfig,
        pipeline: Pipeline,
        decode: Callable[[ImageMessage], np.ndarray],
        outputs: PoseOutputs,
        health: diagnostics.Diagnostics,
    ):
        self._node, self._pipeline, self._decode = node, pipeline, decode
        self._outputs, self._health = outputs, health
        self._camera_kind: tuple[bool, int, int] | None = None
        self._newest_ns = 0
        self._changed: PipelineConfig | None = None  # to be taken over before the next image
        self._rate = RateLimit(config.max_rate_hz)
        self._cameras = CameraBook(config.image_is_rectified, config.hfov_deg, config.camera_info_wait_s)
        pipeline.reset()
        superseded = functools.partial(health.dropped, diagnostics.SUPERSEDED)
        self._worker = LatestFrameWorker(self._process, self._on_frame_error, superseded)
        self._depth = DepthInput(node, config, self._on_qos_mismatch) if config.use_depth else None
        self._inputs = PoseInputs(node, config, self._on_image, self._on_camera_info, self._on_qos_mismatch)

    @property
    def image_topic(self) -> str:
        """Where the images come from."""
        return self._inputs.image_topic

    def reconfigure(self, pipeline_config: PipelineConfig, config: NodeConfig) -> None:
        """Take over the options that change at run time, from the next image on."""
        self._rate.max_hz = config.max_rate_hz
        self._changed = with_method(pipeline_config)

    def qos_problems(self) -> dict[str, str]:
        """Dict from topic to why a publisher's messages do not arrive."""
        return self._inputs.qos_problems() | (self._depth.qos_problems() if self._depth else {})

    def statuses(self) -> list[Status]:
        """Of depth, where it is used."""
        return [self._depth.status()] if self._depth else []

    def stop(self) -> None:
        """Stop listening, finish the image in hand, and let go of the model.

        A callback that rclpy still holds leads back here: the model would stay until the garbage collector runs.
        """
        self._inputs.destroy()
        if self._depth:
            self._depth.destroy()
        self._worker.stop()
        del self._pipeline, self._worker

    def _on_camera_info(self, message: CameraInfo):
        self._health.camera_info_received()
        self._cameras.add(message, ns_from_time(message.header.stamp))

    def _on_image(self, message: ImageMessage):
        self._health.received()
        if not self._rate.takes(ns_from_time(message.header.stamp)):
            return self._health.dropped(diagnostics.RATE_LIMITED)
        return self._worker.put((message, time.perf_counter()))

    def _on_qos_mismatch(self, text: str):
        self._node.get_logger().warning(f"qos: {text}", throttle_duration_sec=5.0)

    def _process(self, item: tuple[ImageMessage, float]):
        """One image, in the worker's thread."""
        message, arrived_s = item
        if self._changed is not None and self._changed != self._pipeline.config:
            self._pipeline.reconfigure(self._changed)  # in this thread, so never within an image
        header = message.header
        stamp_ns = ns_from_time(header.stamp)
        image_bgr = self._decode(message)
        height, width = image_bgr.shape[:2]
        pairing = self._cameras.camera_for(header.frame_id, stamp_ns, width, height)
        if self._health.camera(pairing, width, height):
            self._log_camera(pairing)
        if pairing.camera is None:
            return self._health.dropped(diagnostics.NO_CAMERA)
        self._restart_after_a_break((pairing.camera.assumed, width, height), stamp_ns)
        depth = self._depth and functools.partial(
            self._depth.image_for, stamp_ns, View(pairing.camera, header.frame_id)
        )
        result = self._pipeline.process(image_bgr, pairing.camera, stamp_ns, depth, put_off=True)
        self._outputs.publish(result, pairing.camera, header)
        latency_s, now_ns = time.perf_counter() - arrived_s, self._node.get_clock().now().nanoseconds
        self._outputs.publish_pictures(image_bgr, pairing.camera, result, header)
        self._health.processed(result, now_ns, latency_s)
        self._pipeline.search()

    def _restart_after_a_break(self, camera_kind: tuple[bool, int, int], stamp_ns: int):
        """Poses of another kind of image, or from before the clock went back, do not go on in this one."""
        if self._camera_kind not in (None, camera_kind):
            self._pipeline.reset()
            self._health.noted(diagnostics.OTHER_IMAGES)
        if jumped_back(stamp_ns, self._newest_ns):  # the tracker starts again by itself
            self._health.noted(diagnostics.CLOCK_BACK)
            self._newest_ns = stamp_ns
        self._camera_kind, self._newest_ns = camera_kind, max(stamp_ns, self._newest_ns)

    def _log_camera(self, pairing: Pairing):
        if pairing.problem:
            self._node.get_logger().warning(f"camera: {pairing.problem}")
        else:  # rclpy wants one severity per call
            self._node.get_logger().info("camera: calibrated by camera_info")

    def _on_frame_error(self, error: Exception):
        if self._node.context.ok():  # publishing fails while the process is being stopped
            text = self._health.failed(error)
            self._node.get_logger().error(f"frame dropped: {text}", throttle_duration_sec=5.0)
