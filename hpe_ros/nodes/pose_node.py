"""The lifecycle node `pose_node`: images and camera_info in, head poses, TF, overlay and diagnostics out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from hpe_core.config import EstimatorConfig, PipelineConfig, TrackerConfig
from hpe_core.geometry.camera import CameraModel
from hpe_core.pipeline import Pipeline
from hpe_core.pipeline.shared_models import SharedModels
from hpe_ros import images, lifecycle, parameters
from hpe_ros.health_topic import HealthTopic
from hpe_ros.node_config import POSE_NODE_GROUPS, NodeConfig
from hpe_ros.pose import diagnostics
from hpe_ros.pose.outputs import PoseOutputs
from hpe_ros.pose.stream import PoseStream


class PoseNode(lifecycle.ReleasingNode):
    """Wiring and lifecycle only; what happens to an image stands in hpe_ros.pose.stream."""

    def __init__(self, models: SharedModels | None = None, **node_arguments: Any):
        """models: those that it shares with other nodes of the process; node_arguments: as of rclpy.node.Node."""
        super().__init__("pose_node", **node_arguments)
        self._models = models or SharedModels()
        self._pipeline: Pipeline | None = None
        self._outputs: PoseOutputs | None = None
        self._stream: PoseStream | None = None
        self._health = diagnostics.Diagnostics()
        parameters.declare(self, POSE_NODE_GROUPS, lambda: self._pipeline is not None, self._on_change)
        self._health_topic = HealthTopic(self, self._statuses)

    @property
    def active(self) -> bool:
        """Whether it is at work on images."""
        return self._stream is not None

    @lifecycle.reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._read_parameters()
        self._model_progress(f"loading model {self._pipeline_config.estimator.model}")
        pipeline = Pipeline(self._pipeline_config, self._model_progress, self._models.create)
        # the first frame of a network is slow: let it be this one
        pipeline.process(np.zeros((480, 640, 3), np.uint8), CameraModel.from_hfov(640, 480, 60.0), 0)
        self._outputs = PoseOutputs(self, self._config, pipeline.tells_shape)
        self._pipeline = pipeline
        self._health.model("ok", f"{pipeline.config.estimator.model} on {pipeline.backend.choice}")
        return super().on_configure(state)

    @lifecycle.reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self._pipeline is not None and self._outputs is not None  # it has been configured
        self._pipeline.reconfigure(self._pipeline_config)
        self._health.restart(running=True)
        self._stream = PoseStream(
            self, self._config, self._pipeline, images.bgr_from_image, self._outputs, self._health
        )
        self.get_logger().info(f"active, images from {self._stream.image_topic}")
        return super().on_activate(state)

    @lifecycle.reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        return super().on_deactivate(state)

    @lifecycle.reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._health.model("stale", "not configured")
        return super().on_cleanup(state)

    def explain(self, problem: str) -> None:
        self._health.model("error", problem)

    def release(self) -> None:
        self._stop()
        if self._outputs is not None:
            self._outputs.destroy()
        self._pipeline, self._outputs = None, None

    def _stop(self):
        if self._stream is not None:
            self._stream.stop()
        self._stream = None
        self._health.restart()

    def _read_parameters(self, changes: Mapping[str, object] | None = None):
        self._config = parameters.read(self, NodeConfig, changes)
        estimator = parameters.read(self, EstimatorConfig, changes)
        self._pipeline_config = PipelineConfig(estimator, parameters.read(self, TrackerConfig, changes))

    def _on_change(self, changes: Mapping[str, object]):
        """Live parameters of a configured node change."""
        self._read_parameters(changes)
        if self._outputs is not None:
            self._outputs.reconfigure(self._config)
        if self._stream is not None:
            self._stream.reconfigure(self._pipeline_config, self._config)

    def _model_progress(self, text: str):
        self._health.model("warn", text)
        self._health_topic.publish()

    def _statuses(self):
        if self._stream is not None and self._outputs is not None:
            self._health.qos(self._stream.qos_problems() | self._outputs.qos_problems())
        return self._health.statuses() + (self._stream.statuses() if self._stream is not None else [])


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `pose_node`."""
    return lifecycle.run(PoseNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
