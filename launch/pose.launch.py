"""Starts the head pose node on a camera: ros2 launch hpe_ros pose.launch.py image:=/camera/image_raw"""

from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from hpe_ros.launching import node_description

ARGUMENTS = {
    "image": ("image", "image topic; with image_transport:=compressed its /compressed"),
    "camera_info": ("camera_info", "camera_info topic"),
    "image_transport": ("", "raw or compressed; empty: as in params_file"),
    "params_file": (
        PathJoinSubstitution([FindPackageShare("hpe_ros"), "config", "pose.yaml"]),
        "YAML file with the node's parameters",
    ),
    "model": ("", "model name or .onnx file; empty: as in params_file"),
    "backend": ("", "inference backend; empty: as in params_file"),
}


def generate_launch_description():
    return node_description("pose_node", ARGUMENTS, ("image", "camera_info"), ("image_transport", "model", "backend"))
