"""Starts the attention node beside a head pose node: ros2 launch hpe_ros attention.launch.py namespace:=robot"""

from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from hpe_ros.launching import node_description

ARGUMENTS = {
    "heads": ("heads", "topic of the heads (vision_msgs/Detection3DArray) of pose_node"),
    "camera_info": ("camera_info", "camera_info topic, for the size of faces in the image"),
    "params_file": (
        PathJoinSubstitution([FindPackageShare("hpe_ros"), "config", "attention.yaml"]),
        "YAML file with the node's parameters, the targets among them",
    ),
}


def generate_launch_description():
    return node_description("attention_node", ARGUMENTS, ("heads", "camera_info"))
