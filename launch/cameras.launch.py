"""Starts several cameras in one process, and the people whom they see: ros2 launch hpe_ros cameras.launch.py
cameras_file:=my_cameras.yaml
"""

from launch.substitutions import PathJoinSubstitution
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from hpe_ros import launching


def _config(name):
    return PathJoinSubstitution([FindPackageShare("hpe_ros"), "config", name])


ARGUMENTS = {
    "cameras_file": (_config("cameras.yaml"), "YAML list of the cameras, see docs/cameras.md"),
    "params_file": (_config("people.yaml"), "YAML file with the parameters of people_node"),
    "pose_params_file": (_config("pose.yaml"), "YAML file with the parameters of every pose node"),
    "attention": ("false", "start attention_node on the people, with the targets of attention_params_file"),
    "attention_params_file": (_config("attention.yaml"), "YAML file with the parameters of attention_node"),
}


def generate_launch_description():
    return launching.node_description("people_node", ARGUMENTS, (), {"cameras_file": str}, _beside)


def _beside(value):
    """The process of the cameras, and attention as far as it is wanted."""
    common = {name: launching.is_true(value[name]) for name in ("use_sim_time", "autostart")}
    files = {name: ParameterValue(value[name], value_type=str) for name in ("cameras_file", "pose_params_file")}
    cameras = launching.plain_node("cameras_node", value, [files, common], on_exit=launching.ends_launch)
    if not launching.is_true(value["attention"]):
        return [cameras]
    parameters = [value["attention_params_file"], common]
    return [cameras, launching.plain_node("attention_node", value, parameters, remappings=[("heads", "people")])]
