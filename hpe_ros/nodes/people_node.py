"""The lifecycle node `people_node`: heads of several cameras and TF in, people out, by hpe_core.people."""

from collections.abc import Mapping

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from hpe_core.errors import HpeError
from hpe_core.people.camera_list import read_camera_list
from hpe_core.people.config import PeopleConfig
from hpe_ros import lifecycle, parameters
from hpe_ros.health_topic import HealthTopic
from hpe_ros.node_config import PEOPLE_NODE_GROUPS, PeopleNodeConfig
from hpe_ros.optional import HAS_VISION_MSGS
from hpe_ros.people.health import PeopleHealth
from hpe_ros.people.outputs import PeopleOutputs
from hpe_ros.people.stream import PeopleStream


class PeopleNode(lifecycle.ReleasingNode):
    """Wiring and lifecycle only; what happens to heads stands in hpe_ros.people.stream."""

    def __init__(self):
        super().__init__("people_node")
        self._outputs: PeopleOutputs | None = None
        self._stream: PeopleStream | None = None
        self._health = PeopleHealth()
        parameters.declare(self, PEOPLE_NODE_GROUPS, lambda: self._outputs is not None, self._on_change)
        self._health_topic = HealthTopic(self, self._health.statuses)

    @lifecycle.reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        if not HAS_VISION_MSGS:
            raise HpeError("vision_msgs is not installed, `heads` cannot be read: install ros-<distro>-vision-msgs")
        self._config = parameters.read(self, PeopleNodeConfig)
        self._people_config = parameters.read(self, PeopleConfig)
        self._cameras = read_camera_list(self._config.cameras_file)
        self._outputs = PeopleOutputs(self, self._config, self._cameras)
        self._health.problem("")
        return super().on_configure(state)

    @lifecycle.reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self._outputs is not None  # it has been configured
        self._health.restart(tuple(camera.name for camera in self._cameras.cameras))
        self._stream = PeopleStream(self, self._config, self._people_config, self._cameras, self._outputs, self._health)
        names = ", ".join(camera.name for camera in self._cameras.cameras)
        self.get_logger().info(f"active, people in {self._cameras.fixed_frame} by cameras {names}")
        return super().on_activate(state)

    @lifecycle.reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self._outputs is not None:
            self._outputs.publish_nobody()
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
        self._people_config = parameters.read(self, PeopleConfig, changes)
        if self._stream is not None:
            self._stream.reconfigure(self._people_config)


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `people_node`."""
    return lifecycle.run(PeopleNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
