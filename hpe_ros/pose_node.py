"""The lifecycle node `pose_node`: images and camera_info in, head poses, TF, overlay and diagnostics out."""

import functools
import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from hpe_core.geometry.camera import CameraModel
from hpe_core.pipeline import Pipeline
from hpe_ros import diagnostics, lifecycle, messages, parameters
from hpe_ros.camera import CameraBook
from hpe_ros.inputs import PoseInputs
from hpe_ros.outputs import PoseOutputs
from hpe_ros.worker import LatestFrameWorker

DIAGNOSTICS_PERIOD_S = 1.0


class PoseNode(LifecycleNode):
    """Wiring only; what happens to an image stands in `_process`, from top to bottom."""

    def __init__(self):
        super().__init__("pose_node")
        self._pipeline, self._inputs, self._worker, self._outputs = None, None, None, None
        self._health = diagnostics.Diagnostics()
        parameters.declare(self, locked=lambda: self._pipeline is not None)
        self._health_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # a steady clock, so that a paused simulation does not silence the diagnostics
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_health, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @lifecycle.reported
    def on_configure(self, state):
        pipeline_config, self._config = parameters.read(self)
        self._model_progress(f"loading {pipeline_config.estimator.model}")
        pipeline = Pipeline(pipeline_config, progress=self._model_progress)
        # the first frame of a network is slow: let it be this one
        pipeline.process(np.zeros((480, 640, 3), np.uint8), CameraModel.from_hfov(640, 480, 60.0), 0)
        self._decode = functools.partial(messages.bgr_from_image, cv_bridge=messages.cv_bridge_or_none())
        self._outputs = PoseOutputs(self, self._config)
        self._pipeline = pipeline
        self._health.model("ok", f"{pipeline.card['name']} on {pipeline.backend.choice}")
        return super().on_configure(state)

    @lifecycle.reported
    def on_activate(self, state):
        config = self._config
        self._pipeline.reset()
        self._camera_kind = None
        self._cameras = CameraBook(config.image_is_rectified, config.hfov_deg, config.camera_info_wait_s)
        self._health.restart(running=True)
        superseded = functools.partial(self._health.dropped, diagnostics.SUPERSEDED)
        self._worker = LatestFrameWorker(self._process, self._on_frame_error, superseded)
        self._inputs = PoseInputs(self, config, self._on_image, self._on_camera_info)
        self.get_logger().info(f"active, images from {self._inputs.image_topic}")
        return super().on_activate(state)

    @lifecycle.reported
    def on_deactivate(self, state):
        self._stop()
        return super().on_deactivate(state)

    @lifecycle.reported
    def on_cleanup(self, state):
        self.release()
        self._health.model("stale", "not configured")
        return super().on_cleanup(state)

    @lifecycle.reported
    def on_shutdown(self, state):
        self.release()
        return super().on_shutdown(state)

    @lifecycle.reported
    def on_error(self, state):
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def _model_progress(self, text):
        self._health.model("warn", text)
        self._publish_health()

    def explain(self, problem):
        """Show in the diagnostics why a transition failed."""
        self._health.model("error", problem)

    def release(self):
        """Stop working and let go of the model and the topics; harmless when there is nothing."""
        self._stop()
        if self._outputs is not None:
            self._outputs.destroy()
        self._pipeline, self._outputs = None, None

    def _stop(self):
        if self._inputs is not None:
            self._inputs.destroy()
        if self._worker is not None:
            self._worker.stop()
        self._inputs, self._worker = None, None
        self._health.restart()

    def _on_camera_info(self, message):
        self._cameras.add(message, messages.ns_from_time(message.header.stamp))

    def _on_image(self, message):
        self._health.received()
        self._worker.put((message, time.perf_counter()))

    def _process(self, item):
        """One image, in the worker's thread."""
        message, arrived_s = item
        header = message.header
        stamp_ns = messages.ns_from_time(header.stamp)
        image_bgr = self._decode(message)
        height, width = image_bgr.shape[:2]
        pairing = self._cameras.camera_for(header.frame_id, stamp_ns, width, height)
        if self._health.camera(pairing, width, height):
            if pairing.problem:
                self.get_logger().warning(f"camera: {pairing.problem}")
            else:  # rclpy wants one severity per call
                self.get_logger().info("camera: calibrated by camera_info")
        if pairing.camera is None:
            return self._health.dropped(diagnostics.NO_CAMERA)
        camera_kind = (pairing.camera.assumed, width, height)
        if camera_kind != self._camera_kind:  # poses measured before and after do not continue each other
            self._pipeline.reset()
            self._camera_kind = camera_kind
        result = self._pipeline.process(image_bgr, pairing.camera, stamp_ns)
        self._outputs.publish(result, header)
        latency_s, now_ns = time.perf_counter() - arrived_s, self.get_clock().now().nanoseconds
        self._outputs.publish_overlay(image_bgr, pairing.camera, result, header)
        return self._health.processed(result, now_ns, latency_s)

    def _on_frame_error(self, error):
        if self.context.ok():  # publishing fails while the process is being stopped
            text = self._health.failed(error)
            self.get_logger().error(f"frame dropped: {text}", throttle_duration_sec=5.0)

    def _publish_health(self):
        statuses, stamp = self._health.statuses(), self.get_clock().now().to_msg()
        self._health_publisher.publish(messages.diagnostic_array(statuses, stamp, self.get_fully_qualified_name()))


def main(args=None):
    """Entry point of the executable `pose_node`."""
    return lifecycle.run(PoseNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
