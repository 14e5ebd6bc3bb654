"""What the launch files of our lifecycle nodes share; imports launch alone, for `ros2 launch` has its own Python."""

import os
import shlex

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

ARGUMENTS = {
    "namespace": ("", "namespace of the node and its topics"),
    "use_sim_time": ("false", "take the time from /clock"),
    "autostart": ("true", "configure and activate the node; false leaves that to a lifecycle manager"),
    "respawn": ("false", "start the node again when it dies"),
    "python": (
        shlex.quote(os.path.join(os.environ["VIRTUAL_ENV"], "bin", "python3")) if "VIRTUAL_ENV" in os.environ else "",
        "interpreter of the node; empty: the one that colcon was run with; default: that of the active venv, if any",
    ),
}


def node_description(executable, arguments, remapped, overridable=()):
    """LaunchDescription of one of our nodes.

    arguments: name -> (default, description), with params_file, beside the shared ARGUMENTS; remapped: the arguments
    that name topics; overridable: those that replace the parameter of the same name unless they are empty.
    """
    arguments = arguments | ARGUMENTS
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in arguments.items()
    ]

    def node(context):
        value = {name: LaunchConfiguration(name).perform(context) for name in arguments}
        overrides = {name: value[name] for name in overridable if value[name]}
        overrides |= {name: _is_true(value[name]) for name in ("use_sim_time", "autostart")}
        return [
            LifecycleNode(
                package="hpe_ros",
                executable=executable,
                exec_name=executable,
                name=executable,
                namespace=value["namespace"],
                parameters=[value["params_file"], overrides],
                remappings=[(name, value[name]) for name in remapped],
                prefix=value["python"],
                respawn=_is_true(value["respawn"]),
                respawn_delay=1.0,
                output="screen",
            )
        ]

    return LaunchDescription([*declared, OpaqueFunction(function=node)])


def _is_true(text):
    return text.lower() in ("true", "1", "yes", "on")
