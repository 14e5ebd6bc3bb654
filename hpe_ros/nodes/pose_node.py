"""The lifecycle node `pose_node`: images and camera_info in, head poses, TF, overlay and diagnostics out."""

import functools

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType

from hpe_core.geometry.camera import CameraModel
from hpe_core.pipeline.pipeline import Pipeline
from hpe_ros import lifecycle, messages, parameters, qos
from hpe_ros.pose import diagnostics
from hpe_ros.pose.outputs import PoseOutputs
from hpe_ros.pose.stream import PoseStream

DIAGNOSTICS_PERIOD_S = 1.0


class PoseNode(lifecycle.ReleasingNode):
    """Wiring and lifecycle only; what happens to an image stands in hpe_ros.pose.stream."""

    def __init__(self):
        super().__init__("pose_node")
        self._pipeline, self._outputs, self._stream = None, None, None
        self._health = diagnostics.Diagnostics()
        parameters.declare(self, locked=lambda: self._pipeline is not None, on_change=self._on_change)
        self._health_publisher = self.create_publisher(
            DiagnosticArray, "/diagnostics", 10, event_callbacks=qos.NO_PUBLISHER_EVENTS
        )
        # a steady clock, so that a paused simulation does not silence the diagnostics
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_health, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @lifecycle.reported
    def on_configure(self, state):
        self._pipeline_config, self._config = parameters.read(self)
        self._model_progress(f"loading model {self._pipeline_config.estimator.model}")
        pipeline = Pipeline(self._pipeline_config, progress=self._model_progress)
        # the first frame of a network is slow: let it be this one
        pipeline.process(np.zeros((480, 640, 3), np.uint8), CameraModel.from_hfov(640, 480, 60.0), 0)
        self._decode = functools.partial(messages.bgr_from_image, cv_bridge=messages.cv_bridge_or_none())
        self._outputs = PoseOutputs(self, self._config)
        self._pipeline = pipeline
        self._health.model("ok", f"{pipeline.config.estimator.model} on {pipeline.backend.choice}")
        return super().on_configure(state)

    @lifecycle.reported
    def on_activate(self, state):
        self._pipeline.reconfigure(self._pipeline_config)
        self._health.restart(running=True)
        self._stream = PoseStream(self, self._config, self._pipeline, self._decode, self._outputs, self._health)
        self.get_logger().info(f"active, images from {self._stream.image_topic}")
        return super().on_activate(state)

    @lifecycle.reported
    def on_deactivate(self, state):
        self._stop()
        return super().on_deactivate(state)

    @lifecycle.reported
    def on_cleanup(self, state):
        self._health.model("stale", "not configured")
        return super().on_cleanup(state)

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
        if self._stream is not None:
            self._stream.stop()
        self._stream = None
        self._health.restart()

    def _on_change(self, *configurations):
        """Live parameters of a configured node have changed."""
        self._pipeline_config, self._config = parameters.pose_configs(*configurations)
        self._outputs.reconfigure(self._config)
        if self._stream is not None:
            self._stream.reconfigure(self._pipeline_config, self._config)

    def _publish_health(self):
        if self._stream is not None:
            self._health.qos(self._stream.qos_problems() | self._outputs.qos_problems())
        statuses, stamp = self._health.statuses(), self.get_clock().now().to_msg()
        self._health_publisher.publish(messages.diagnostic_array(statuses, stamp, self.get_fully_qualified_name()))


def main(args=None):
    """Entry point of the executable `pose_node`."""
    return lifecycle.run(PoseNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
