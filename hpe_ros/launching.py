"""What the launch files of our nodes share; imports launch alone, for `ros2 launch` has its own Python."""

import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch.action import Action
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

Arguments = Mapping[str, tuple[SomeSubstitutionsType, str]]  # name -> (default, description)

ARGUMENTS: Arguments = {
    "namespace": ("", "namespace of the node and its topics"),
    "use_sim_time": ("false", "take the time from /clock"),
    "autostart": ("true", "configure and activate the node; false leaves that to a lifecycle manager"),
    "enclave": ("", "SROS2 enclave of the node, as in config/sros2/policy.xml; empty: none"),
    "respawn": ("false", "start the node again when it dies"),
    "python": (
        shlex.quote(os.path.join(os.environ["VIRTUAL_ENV"], "bin", "python3")) if "VIRTUAL_ENV" in os.environ else "",
        "interpreter of the node; default: that of the active venv, if any; env: the one that colcon was run with",
    ),
}


def nothing(value: dict[str, str]) -> list[Action]:
    """What is launched beside a node that needs nothing."""
    return []


def node_description(
    executable: str,
    arguments: Arguments,
    remapped: Sequence[str],
    overridable: Mapping[str, type] | None = None,
    beside: Callable[[dict[str, str]], list[Action]] = nothing,
) -> LaunchDescription:
    """LaunchDescription of one of our lifecycle nodes.

    arguments: with params_file, beside the shared ARGUMENTS; remapped: the arguments that name topics; overridable:
    those that replace the parameter of the same name unless they are empty -> type of that parameter;
    beside(values of the arguments) -> what is launched with the node; it may change the values.
    """
    every = {**arguments, **ARGUMENTS}

    def actions(context: LaunchContext) -> list[Action]:
        value = {name: LaunchConfiguration(name).perform(context) for name in every}
        others = beside(value)
        typed = (overridable or {}).items()
        overrides = {name: ParameterValue(kind(value[name]), value_type=kind) for name, kind in typed if value[name]}
        # autostart is a parameter: a transition that launch emits is lost when the node is respawned, and Humble's
        # launch_ros has no autostart of its own
        overrides |= {name: is_true(value[name]) for name in ("use_sim_time", "autostart")}
        node = LifecycleNode(
            package="hpe_ros",
            executable=executable,
            exec_name=executable,
            name=executable,
            namespace=value["namespace"],
            parameters=[value["params_file"], overrides],
            remappings=[(name, value[name]) for name in remapped],
            ros_arguments=["--enclave", value["enclave"]] if value["enclave"] else None,
            prefix=value["python"],
            respawn=is_true(value["respawn"]),
            respawn_delay=1.0,
            output="screen",
        )
        return [node, *others]

    return LaunchDescription([*declared(every), OpaqueFunction(function=actions)])


def declared(arguments: Arguments) -> list[DeclareLaunchArgument]:
    """What a launch description declares of them."""
    return [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in arguments.items()
    ]


def plain_node(executable: str, value: Mapping[str, str], parameters: Sequence[Any], **options: Any) -> Node:
    """Action of one of our nodes that is launched beside another one, in its namespace and with its interpreter."""
    return Node(
        package="hpe_ros",
        executable=executable,
        exec_name=executable,
        name=executable,
        namespace=value["namespace"],
        parameters=list(parameters),
        prefix=value["python"],
        output="screen",
        **options,
    )


def camera_node(value: Mapping[str, str], parameters: Mapping[str, str]) -> Node:
    """Action of our camera node on the topics of `value`, in its namespace; its end ends the launch.

    parameters: name -> text; a text is no number here, a device "0" neither.
    """
    typed = {name: ParameterValue(text, value_type=str) for name, text in parameters.items()}
    return plain_node(
        "camera_node",
        value,
        [typed, {"use_sim_time": is_true(value["use_sim_time"])}],
        remappings=[(name, value[name]) for name in ("image", "camera_info")],
        on_exit=ends_launch,
    )


def ends_launch(event: ProcessExited, context: LaunchContext) -> list[Action]:
    """What follows the end of a process without which there is nothing to see."""
    if context.is_shutdown:  # it was told to end
        return []
    return [LogInfo(msg=f"{event.process_name} has ended, its last lines say why"), Shutdown()]


def rviz(value: Mapping[str, str], topics: Iterable[str]) -> Action:
    """Action of RViz on the `topics` of rviz/pose.rviz in the namespace; a note where there is no rviz2."""
    if not is_installed("rviz2"):
        return LogInfo(msg="rviz2 is not installed: going on without it")
    config = os.path.join(get_package_share_directory("hpe_ros"), "rviz", "pose.rviz")
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=value["namespace"],
        parameters=[{"use_sim_time": is_true(value["use_sim_time"])}],
        remappings=[(f"/{name}", name) for name in topics],
        arguments=["-d", config, "-f", value["fixed_frame"]],
        output="screen",
    )


def is_installed(*packages: str) -> bool:
    """Whether ROS packages are all there."""
    try:
        return all(get_package_prefix(package) for package in packages)
    except PackageNotFoundError:
        return False


def is_true(text: str) -> bool:
    """Whether an argument is set, as YAML and people write it."""
    return text.lower() in ("true", "1", "yes", "on")
