"""Starts the head pose node on a camera: ros2 launch hpe_ros pose.launch.py image:=/camera/image_raw"""

import os
import shlex

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    "image": ("image", "image topic; with image_transport:=compressed its /compressed"),
    "camera_info": ("camera_info", "camera_info topic"),
    "image_transport": ("", "raw or compressed; empty: as in params_file"),
    "namespace": ("", "namespace of the node and its topics"),
    "params_file": (
        PathJoinSubstitution([FindPackageShare("hpe_ros"), "config", "pose.yaml"]),
        "YAML file with the node's parameters",
    ),
    "model": ("", "model name or .onnx file; empty: as in params_file"),
    "backend": ("", "inference backend; empty: as in params_file"),
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
    return LaunchDescription([*declared, OpaqueFunction(function=_pose_node)])


def _pose_node(context):
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    overrides = {name: value[name] for name in ("image_transport", "model", "backend") if value[name]}
    overrides |= {name: _is_true(value[name]) for name in ("use_sim_time", "autostart")}
    node = LifecycleNode(
        package="hpe_ros",
        executable="pose_node",
        exec_name="pose_node",
        name="pose_node",
        namespace=value["namespace"],
        parameters=[value["params_file"], overrides],
        remappings=[("image", value["image"]), ("camera_info", value["camera_info"])],
        prefix=value["python"],
        respawn=_is_true(value["respawn"]),
        respawn_delay=1.0,
        output="screen",
    )
    return [node]


def _is_true(text):
    return text.lower() in ("true", "1", "yes", "on")
