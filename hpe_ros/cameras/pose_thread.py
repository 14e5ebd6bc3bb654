"""One camera's pose node in a thread of its own, beside those of other cameras in the same process."""

import threading
import traceback
from collections.abc import Mapping
from typing import Any

from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter

from hpe_core.errors import HpeError
from hpe_core.people.camera_list import CameraEntry
from hpe_core.pipeline.shared_models import SharedModels
from hpe_ros import lifecycle, parameters
from hpe_ros.node_config import POSE_NODE_GROUPS
from hpe_ros.nodes.pose_node import PoseNode

# of each node its own list: one list for all is what people_node publishes
OWN_TOPICS = {"/humans/faces/tracked": "faces_tracked"}


def _overrides(values: Mapping[str, Any]) -> list[Parameter]:
    """What is given for a pose node. Raises HpeError when it has no such parameter, or it can have no such value."""
    known, made = parameters.fields_of(POSE_NODE_GROUPS), []
    for name, value in values.items():
        if name not in known and name != "use_sim_time" and not name.startswith("qos_overrides."):
            raise HpeError(f"unknown parameter '{name}', pose_node has {', '.join(sorted(known))}")
        try:
            made.append(Parameter(name, value=value))
        except TypeError as error:
            raise HpeError(f"parameter '{name}' cannot be {value!r}") from error
    return made


class PoseThread:
    """A pose node with an executor of its own, from its making to `stop`: neither a transition of another camera, such
    as loading a model, nor a callback that raises holds it up.

    values: parameters that all cameras have in common; those of the camera count more.
    Raises HpeError that names the camera when a parameter is wrong.
    """

    def __init__(
        self, camera: CameraEntry, namespace: str, params_file: str, values: Mapping[str, Any], models: SharedModels
    ):
        self.camera, self.failures = camera, 0
        remapped = {"image": camera.image, "camera_info": camera.camera_info} | OWN_TOPICS
        arguments = ["--ros-args"]
        arguments += [part for name, topic in remapped.items() for part in ("-r", f"{name}:={topic}")]
        arguments += ["--params-file", params_file] if params_file else []
        try:
            self._node = PoseNode(
                models,
                namespace=camera.namespace if camera.namespace.startswith("/") else f"{namespace}/{camera.namespace}",
                cli_args=arguments,
                use_global_arguments=False,  # a name or namespace there is that of the process's own node
                parameter_overrides=_overrides({**values, **camera.parameters}),
            )
        except (HpeError, InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise HpeError(f"camera {camera.name}: {error}") from error
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera_{camera.name}", daemon=True)

    def start(self) -> None:
        """Configure and activate the node as its parameter `autostart` says, and spin it."""
        self._thread.start()

    @property
    def active(self) -> bool:
        """Whether the camera's node is at work."""
        return self._node.active

    def _run(self):
        lifecycle.autostart(self._node)
        while not self._stopped.is_set():
            try:
                self._executor.spin()
            except ExternalShutdownException:
                return
            except Exception:  # of one callback; the camera goes on with the next
                self.failures += 1
                self._node.get_logger().error(f"a callback failed:\n{traceback.format_exc()}")
                if not self._node.context.ok():
                    return

    def stop(self) -> None:
        """End the thread and the node; harmless the second time."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._executor.shutdown()
        if self._thread.is_alive():
            self._thread.join(5.0)
        self._node.release()
        self._node.destroy_node()
