"""Starts the attention node beside a head pose node: ros2 launch hpe_ros attention.launch.py namespace:=robot"""

import os
import shlex

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    "heads": ("heads", "topic of the heads (vision_msgs/Detection3DArray) of pose_node"),
    "camera_info": ("camera_info", "camera_info topic, for the size of faces in the image"),
    "namespace": ("", "namespace of the node and its topics"),
    "params_file": (
        PathJoinSubstitution([FindPackageShare("hpe_ros"), "config", "attention.yaml"]),
        "YAML file with the node's parameters, the targets among them",
    ),
    "use_sim_time": ("false", "take the time from /clock"),
    "autostart": ("true", "configure and activate the node; false leaves that to a lifecycle manager"),
    "respawn": ("false", "start the node again when it dies"),
    "python": (
        shlex.quote(os.path.join(os.environ["VIRTUAL_ENV"], "bin", "python3")) if "VIRTUAL_ENV" in os.environ else "",
        "interpreter of the node; empty: the one that colcon was run with; default: that of the active venv, if any",
    ),
}


def generate_launch_description():
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_attention_node)])


def _attention_node(context):
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    node = LifecycleNode(
        package="hpe_ros",
        executable="attention_node",
        exec_name="attention_node",
        name="attention_node",
        namespace=value["namespace"],
        parameters=[
            value["params_file"],
            {name: _is_true(value[name]) for name in ("use_sim_time", "autostart")},
        ],
        remappings=[("heads", value["heads"]), ("camera_info", value["camera_info"])],
        prefix=value["python"],
        respawn=_is_true(value["respawn"]),
        respawn_delay=1.0,
        output="screen",
    )
    return [node]


def _is_true(text):
    return text.lower() in ("true", "1", "yes", "on")
