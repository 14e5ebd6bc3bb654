"""Plays the bag of two cameras into cameras.launch.py, over and over: ros2 launch hpe_ros cameras_demo.launch.py

ros2 topic echo /people    shows who is there: one id, from the left camera through both into the right one
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import ExecuteProcess, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from hpe_ros import launching

ARGUMENTS = {
    "rate": ("1.0", "replay speed"),
    "loop": ("true", "play it over and over"),
    "pose_params_file": ("", "YAML file with the parameters of every pose node; empty: config/pose.yaml"),
    "python": launching.ARGUMENTS["python"],
}


def generate_launch_description():
    return LaunchDescription([*launching.declared(ARGUMENTS), OpaqueFunction(function=_demo)])


def _demo(context):
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    share = get_package_share_directory("hpe_ros")
    passed = {
        "cameras_file": os.path.join(share, "config", "cameras_demo.yaml"),
        "pose_params_file": value["pose_params_file"] or os.path.join(share, "config", "pose.yaml"),
        "python": value["python"],
        "use_sim_time": "true",
    }
    replay = ["ros2", "bag", "play", os.path.join(share, "assets", "two_cameras_bag"), "--rate", value["rate"]]
    replay += ["--loop"] if launching.is_true(value["loop"]) else []
    player = ExecuteProcess(cmd=[*replay, "--clock"], output="screen", on_exit=launching.ends_launch)
    cameras_launch = os.path.join(share, "launch", "cameras.launch.py")
    cameras = IncludeLaunchDescription(PythonLaunchDescriptionSource(cameras_launch), launch_arguments=passed.items())
    return [cameras, player]
