"""Replays a bag through the real node and evaluates what it published:

ros2 launch hpe_ros evaluate.launch.py bag:=/data/run1 ground_truth:=/truth/head_pose out:=/tmp/evaluation
"""

import json
import os
import subprocess
import sys

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown, matches_action
from launch.events.process import ShutdownProcess
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    "bag": (None, "rosbag2 with images, replayed once"),
    "ground_truth": ("", "ground truth: topic, tf:PARENT/CHILD or FILE.csv; empty: evaluate without"),
    "out": ("hpe_evaluation", "folder for the recorded poses and the results"),
    "image": ("", "image topic of the bag; empty: its only one, or the first"),
    "model": ("", "model name or .onnx file; empty: as in the node's parameters"),
    "rate": ("1.0", "replay speed"),
    "delay": ("8.0", "seconds until the replay starts, for the node to load its model"),
    "thresholds": ("", "YAML file with bounds; the exit code of `hpe eval bag` is printed"),
}
TOPICS = ("/head_pose", "/head_poses")


def generate_launch_description():
    declared = [
        DeclareLaunchArgument(name, description=text, **({} if default is None else {"default_value": default}))
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_chain)])


def _chain(context):
    """Node and recorder; then the replay, the end of the recorder, the evaluation, and the end of everything."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    recorded = os.path.join(value["out"], "recorded")
    image = [value["image"]] if value["image"] else []
    asked = [_python(), "-m", "hpe_core.evaluation.streams.camera_topics", value["bag"], *image]
    topics = json.loads(subprocess.run(asked, stdout=subprocess.PIPE, check=True).stdout)
    # the node listens beside `image`, to `image`/compressed, whatever the bag calls its compressed topic
    suffix = "/compressed" if topics["image_transport"] == "compressed" else ""
    passed = topics | {"image": topics["image"].removesuffix(suffix), "model": value["model"]}
    pose_launch = PathJoinSubstitution([FindPackageShare("hpe_ros"), "launch", "pose.launch.py"])
    node = IncludeLaunchDescription(PythonLaunchDescriptionSource(pose_launch), launch_arguments=passed.items())
    recorder = ExecuteProcess(cmd=["ros2", "bag", "record", "-s", "mcap", "-o", recorded, *TOPICS], output="screen")
    replay = ["ros2", "bag", "play", value["bag"], "--rate", value["rate"], "--delay", value["delay"]]
    # only what the node needs: poses that the bag has already would be recorded as the node's
    replay += ["--topics", topics["image"], topics["camera_info"]]
    replay += ["--remap", f"{topics['image']}:={passed['image']}{suffix}"]
    player = ExecuteProcess(cmd=replay, output="screen")
    evaluation = ExecuteProcess(cmd=_evaluation(value, recorded), output="screen")
    return [
        node,
        recorder,
        player,
        _after(player, EmitEvent(event=ShutdownProcess(process_matcher=matches_action(recorder)))),
        _after(recorder, evaluation),
        _after(evaluation, EmitEvent(event=Shutdown(reason="evaluation finished"))),
    ]


def _after(process, action):
    return RegisterEventHandler(OnProcessExit(target_action=process, on_exit=[action]))


def _python():
    """The interpreter that has our packages: that of the active venv, else this one."""
    return os.path.join(os.environ["VIRTUAL_ENV"], "bin", "python3") if "VIRTUAL_ENV" in os.environ else sys.executable


def _evaluation(value, recorded):
    estimates = [part for topic in TOPICS for part in ("--estimate", f"{topic.lstrip('/')}={recorded}:{topic}")]
    optional = [
        part
        for name in ("ground_truth", "thresholds")
        if value[name]
        for part in (f"--{name.replace('_', '-')}", value[name])
    ]
    command = [_python(), "-m", "hpe_core", "eval", "bag", value["bag"], *estimates, *optional]
    return [*command, "--out", os.path.join(value["out"], "results"), "--overwrite"]
