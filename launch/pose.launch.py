"""Starts the head pose node on a camera: ros2 launch hpe_ros pose.launch.py image:=/camera/image_raw

Without a camera driver, for a quick try: ros2 launch hpe_ros pose.launch.py camera:=0 rviz:=true
"""

from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from hpe_ros import launching

ARGUMENTS = {
    "image": ("image", "image topic; with image_transport:=compressed its /compressed"),
    "camera_info": ("camera_info", "camera_info topic"),
    "depth": ("", "topic of depth images, from which ranges of faces are taken, too; empty: as in params_file"),
    "depth_camera_info": ("depth_camera_info", "camera_info topic of depth images that have another camera"),
    "image_transport": ("", "raw or compressed; empty: as in params_file"),
    "params_file": (
        PathJoinSubstitution([FindPackageShare("hpe_ros"), "config", "pose.yaml"]),
        "YAML file with the node's parameters",
    ),
    "model": ("", "model name or .onnx file; empty: as in params_file"),
    "backend": ("", "inference backend; empty: as in params_file"),
    "hfov_deg": ("", "horizontal field of view of an uncalibrated camera, degrees; empty: as in params_file"),
    "camera": ("", "publish a camera too: its index, /dev/video<index> or a video file; empty: there is a driver"),
    "camera_info_url": ("", "calibration of `camera`: path or file:// URL of a camera_info YAML"),
    "rviz": ("false", "show it in RViz, where that is installed"),
    "fixed_frame": ("camera_optical_frame", "what RViz draws in: the frame_id of the images, or a frame above it"),
}
SHOWN = ("overlay", "markers", "head_poses")


def generate_launch_description():
    overridable = {"image_transport": str, "model": str, "backend": str, "hfov_deg": float, "use_depth": bool}
    topics = ("image", "camera_info", "depth", "depth_camera_info")
    return launching.node_description("pose_node", ARGUMENTS, topics, overridable, _beside)


def _beside(value):
    """Camera and RViz, as far as they are wanted; whoever names a topic of depth images wants them used."""
    actions = []
    value["use_depth"] = "true" if value["depth"] else ""
    value["depth"] = value["depth"] or "depth"
    if value["camera"]:
        value["image_transport"] = "raw"  # our camera node publishes nothing else
        source = {"device": value["camera"], "camera_info_url": value["camera_info_url"]}
        actions.append(launching.camera_node(value, source))
    if launching.is_true(value["rviz"]):
        actions.append(launching.rviz(value, SHOWN))
    return actions
