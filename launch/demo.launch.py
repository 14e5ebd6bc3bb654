"""Plays the sample bag into the head pose node, over and over, with RViz: ros2 launch hpe_ros demo.launch.py"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import ExecuteProcess, IncludeLaunchDescription, LogInfo, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from hpe_ros import launching

ARGUMENTS = {
    "rviz": ("true", "show it in RViz, where that is installed"),
    "rate": ("1.0", "replay speed"),
    "model": ("", "model name or .onnx file; empty: as in config/pose.yaml"),
    "backend": ("", "inference backend; empty: as in config/pose.yaml"),
    "python": launching.ARGUMENTS["python"],
}
TOPICS = {"image": "/camera/image", "camera_info": "/camera/camera_info"}
PLAYER = ("ros2bag", "rosbag2_transport", "rosbag2_storage_mcap")


def generate_launch_description():
    return LaunchDescription([*launching.declared(ARGUMENTS), OpaqueFunction(function=_demo)])


def _demo(context):
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    share = get_package_share_directory("hpe_ros")
    bag = os.path.join(share, "assets", "sample_bag")
    passed = TOPICS | {name: value[name] for name in ("rviz", "model", "backend", "python")}
    if launching.is_installed(*PLAYER):
        replay = ["ros2", "bag", "play", bag, "--loop", "--rate", value["rate"], "--clock"]
        player = ExecuteProcess(cmd=replay, output="screen", on_exit=launching.ends_launch)
        passed |= {"image_transport": "compressed", "use_sim_time": "true"}
    else:
        player = LogInfo(msg="no rosbag2 with MCAP here: our camera node plays the bag, at its own speed")
        passed |= {"camera": bag}
    pose_launch = os.path.join(share, "launch", "pose.launch.py")
    node = IncludeLaunchDescription(PythonLaunchDescriptionSource(pose_launch), launch_arguments=passed.items())
    return [node, player]
