"""The lifecycle node `attention_node`: heads and TF in, who looks at what out. The decisions are hpe_core.attention."""

from collections.abc import Mapping

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from hpe_core.attention.config import AttentionConfig
from hpe_core.attention.targets import parse_targets
from hpe_core.errors import HpeError
from hpe_ros import lifecycle, parameters
from hpe_ros.attention.health import AttentionHealth
from hpe_ros.attention.outputs import AttentionOutputs
from hpe_ros.attention.stream import AttentionStream
from hpe_ros.health_topic import HealthTopic
from hpe_ros.node_config import ATTENTION_NODE_GROUPS, AttentionNodeConfig
from hpe_ros.optional import HAS_VISION_MSGS


class AttentionNode(lifecycle.ReleasingNode):
    """Wiring and lifecycle only; what happens to heads stands in hpe_ros.attention.stream."""

    def __init__(self):
        super().__init__("attention_node")
        self._outputs: AttentionOutputs | None = None
        self._stream: AttentionStream | None = None
        self._health = AttentionHealth()
        parameters.declare(self, ATTENTION_NODE_GROUPS, lambda: self._outputs is not None, self._on_change)
        self._health_topic = HealthTopic(self, self._health.statuses)

    @lifecycle.reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        if not HAS_VISION_MSGS:
            raise HpeError("vision_msgs is not installed, `heads` cannot be read: install ros-<distro>-vision-msgs")
        self._config = parameters.read(self, AttentionNodeConfig)
        self._decision = parameters.read(self, AttentionConfig)
        self._targets = parse_targets(self._config.targets)
        self._outputs = AttentionOutputs(self, self._config, self._targets)
        self._health.problem("")
        return super().on_configure(state)

    @lifecycle.reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self._outputs is not None  # it has been configured
        self._health.restart(running=True)
        self._stream = AttentionStream(self, self._config, self._decision, self._targets, self._outputs, self._health)
        self.get_logger().info(f"active, targets: {', '.join(target.name for target in self._targets)}")
        return super().on_activate(state)

    @lifecycle.reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self._stream is not None:
            self._stream.end_looks("node deactivated")
        self._stop()
        return super().on_deactivate(state)

    def explain(self, problem: str) -> None:
        self._health.problem(problem)

    def release(self) -> None:
        self._stop()
        if self._outputs is not None:
            self._outputs.destroy()
        self._outputs = None

    def _stop(self):
        if self._stream is not None:
            self._stream.stop()
        self._stream = None
        self._health.restart()

    def _on_change(self, changes: Mapping[str, object]):
        """Live parameters of a configured node change."""
        self._decision = parameters.read(self, AttentionConfig, changes)
        if self._stream is not None:
            self._stream.reconfigure(self._decision)


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `attention_node`."""
    return lifecycle.run(AttentionNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
