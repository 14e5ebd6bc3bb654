"""The launch files on a real graph, as a user types them."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from hpe_core.io.sources import open_source

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[2]
RVIZ_FILE = ROOT / "rviz" / "pose.rviz"
# what a fake rviz2 is told, for the real one needs a screen
FAKE_RVIZ = f"""#!{sys.executable}
import sys, time
print("fake rviz2:", *sys.argv[1:], flush=True)
time.sleep(1e6)
"""


@pytest.fixture(scope="module")
def video(bag, tmp_path_factory):
    """A video file of the first 30 images of the sample bag."""
    path = tmp_path_factory.mktemp("video") / "head.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 15.0, (640, 480))
    with open_source(str(bag)) as frames:
        for frame in frames:
            writer.write(frame.image_bgr)
            if frame.index == 29:
                break
    writer.release()
    return path


@pytest.fixture(scope="module")
def fake_rviz(ros_environment, tmp_path_factory):
    """Environment (dict) in which an rviz2 is installed that only prints its arguments."""
    prefix = tmp_path_factory.mktemp("rviz2")
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / "rviz2"
    program = prefix / "lib" / "rviz2" / "rviz2"
    for path, text in ((marker, ""), (program, FAKE_RVIZ)):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    program.chmod(0o755)
    return ros_environment | {"AMENT_PREFIX_PATH": f"{prefix}{os.pathsep}{ros_environment['AMENT_PREFIX_PATH']}"}


def launch(name, *arguments):
    return ["ros2", "launch", "hpe_ros", name, *arguments, f"python:={sys.executable}"]


def test_every_argument_stands_in_the_guide(ros_environment):
    command = ["ros2", "launch", "hpe_ros", "pose.launch.py", "--show-args"]
    shown = subprocess.run(command, env=ros_environment, capture_output=True, text=True, check=True).stdout
    declared = {line.strip().strip("':") for line in shown.splitlines() if line.strip().startswith("'")}
    section = (ROOT / "docs" / "ros.md").read_text().split("Arguments of `pose.launch.py`")[1].split("\n## ")[0]
    cells = [row.split(" | ")[0] for row in section.splitlines() if row.startswith("| `")]
    assert {name.strip("`") for cell in cells for name in cell.strip("| ").split(", ")} == declared


def test_a_video_file_as_camera_becomes_poses_of_its_frames(start, graph, video, model):
    from geometry_msgs.msg import PoseArray
    from sensor_msgs.msg import CameraInfo, Image

    poses, images = graph.record(PoseArray, "/desk/head_poses"), graph.record(Image, "/desk/lens/image_raw")
    infos = graph.record(CameraInfo, "/desk/camera_info")
    launched = start(
        launch("pose.launch.py", f"camera:={video}", "namespace:=desk", "image:=lens/image_raw", f"model:={model}")
        + ["hfov_deg:=60", "rviz:=true"]
    )
    graph.until(lambda: sum(len(message.poses) == 1 for message in list(poses)) > 10, 90.0, "poses")
    echoed = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in list(poses)}
    shown = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in list(images)}
    assert len(echoed & shown) > 5
    assert {m.header.frame_id for m in list(poses)} == {"camera_optical_frame"}
    assert not infos[0].k.any()
    # the camera of the bag has 60 degrees, and its head is 0.58 to 0.9 m away
    distances = [m.poses[0].position.z for m in list(poses) if m.poses]
    assert 0.5 < np.median(distances) < 1.0
    assert launched.text.count("rviz2 is not installed: going on without it") == 1
    assert "assuming 60 degrees field of view" in launched.text


def test_a_camera_that_cannot_be_opened_ends_the_launch_with_its_reason(start):
    launched = start(launch("pose.launch.py", "camera:=97", "namespace:=no_camera"))
    launched.wait(90.0)
    assert "camera 97 cannot be opened" in launched.text
    assert "camera_node-2 has ended" in launched.text


def test_rviz_gets_its_configuration_namespace_and_frame_and_the_node_its_enclave(fake_rviz, start, graph):
    enclaves = graph.node.get_node_names_and_namespaces_with_enclaves
    command = launch(
        "pose.launch.py", "rviz:=true", "fixed_frame:=lens", "namespace:=seen", "enclave:=/hpe_ros/pose_node"
    )
    running = start(["env", f"AMENT_PREFIX_PATH={fake_rviz['AMENT_PREFIX_PATH']}", *command])
    graph.until(lambda: "fake rviz2:" in running.text, 60.0, "rviz2")
    (line,) = [line for line in running.text.splitlines() if "fake rviz2:" in line]
    words = line.split()
    config = Path(words[words.index("-d") + 1])
    assert config.read_text() == RVIZ_FILE.read_text()
    assert words[words.index("-f") + 1] == "lens"
    assert "__ns:=/seen" in words and "/overlay:=overlay" in words
    graph.until(lambda: ("pose_node", "/seen", "/hpe_ros/pose_node") in enclaves(), 60.0, "the node in its enclave")


def test_rviz_shows_topics_that_the_node_has(start_node, graph):
    displays = yaml.safe_load(RVIZ_FILE.read_text())["Visualization Manager"]["Displays"]
    topics = {display["Topic"]["Value"] for display in displays if "Topic" in display}
    start_node("/", autostart=True)
    graph.until(lambda: all(graph.node.count_publishers(topic) for topic in topics), 60.0, f"publishers of {topics}")


def test_the_demo_plays_the_sample_bag_again_and_again_into_the_node(start, graph, ros_environment, model):
    from geometry_msgs.msg import PoseArray
    from rclpy.qos import qos_profile_sensor_data
    from rosgraph_msgs.msg import Clock

    verbs = subprocess.run(["ros2", "bag", "--help"], env=ros_environment, capture_output=True, text=True)
    if verbs.returncode or "play" not in verbs.stdout:
        pytest.skip("this ROS 2 has no `ros2 bag`: the demo with the real player was NOT tested")
    poses, clock = graph.record(PoseArray, "/head_poses"), []
    graph.node.create_subscription(Clock, "/clock", clock.append, qos_profile_sensor_data)
    launched = start(launch("demo.launch.py", "rate:=3.0", f"model:={model}"))

    def stamps():
        return [m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec for m in list(poses)]

    graph.until(lambda: np.any(np.diff(stamps()) < -5.0), 60.0, "the bag from its beginning")
    back = int(np.argmax(np.diff(stamps()) < -5.0))
    graph.until(lambda: sum(len(m.poses) == 1 for m in list(poses)[back + 1 :]) > 10, 60.0, "poses after it")
    assert min(stamps()) >= 1767225600.0 and max(stamps()) < 1767225611.0
    assert clock
    assert launched.text.count("rviz2 is not installed: going on without it") == 1
    assert "Traceback" not in launched.text
    launched.stop()


def test_the_demo_of_two_cameras_has_people_in_the_room(start, graph, ros_environment, model, tmp_path):
    vision_msgs = pytest.importorskip("vision_msgs.msg", reason="no vision_msgs: people_node was NOT tested")
    verbs = subprocess.run(["ros2", "bag", "--help"], env=ros_environment, capture_output=True, text=True)
    if verbs.returncode or "play" not in verbs.stdout:
        pytest.skip("this ROS 2 has no `ros2 bag`: the demo of two cameras was NOT tested")
    parameters = tmp_path / "pose.yaml"
    parameters.write_text(f"/**:\n  ros__parameters:\n    model: {model}\n")
    people = graph.record(vision_msgs.Detection3DArray, "/people")
    launched = start(launch("cameras_demo.launch.py", f"pose_params_file:={parameters}"))
    graph.until(lambda: sum(len(m.detections) == 1 for m in list(people)) > 10, 120.0, "people")
    assert {m.header.frame_id for m in list(people)} == {"room"}
    for detection in (d for m in list(people) for d in m.detections):
        assert 1.3 < detection.results[0].pose.pose.position.z < 1.7  # the height of the head, of two cameras on a wall
    assert "Traceback" not in launched.text
    launched.stop()


def without(hidden, prefix, shadow):
    """Folder `shadow`, made to look like an install prefix without the packages whose names begin with `hidden`."""
    index = Path("share", "ament_index", "resource_index")
    (shadow / index / "packages").mkdir(parents=True)
    for folder in (Path(), Path("share"), index.parent, index, index / "packages"):
        for child in (prefix / folder).iterdir():
            link = shadow / folder / child.name
            if not link.exists() and not (folder.name == "packages" and child.name.startswith(hidden)):
                link.symlink_to(child)
    return shadow


def test_the_demo_without_rosbag2_plays_the_bag_by_the_camera_node(start, graph, ros_environment, model, tmp_path):
    from geometry_msgs.msg import PoseArray

    prefixes = [Path(prefix) for prefix in ros_environment["AMENT_PREFIX_PATH"].split(os.pathsep)]
    shadows = [without(("ros2bag", "rosbag2"), p, tmp_path / str(n)) for n, p in enumerate(prefixes)]
    command = ["env", f"AMENT_PREFIX_PATH={os.pathsep.join(map(str, shadows))}", *launch("demo.launch.py")]
    poses = graph.record(PoseArray, "/head_poses")
    launched = start([*command, "rviz:=false", f"model:={model}"])
    graph.until(lambda: sum(len(message.poses) == 1 for message in list(poses)) > 5, 90.0, "poses")
    assert "our camera node plays the bag" in launched.text
    assert "rviz2" not in launched.text
    # the bag's CameraInfo came along
    graph.until(lambda: "calibrated by camera_info" in launched.text, 10.0, "calibrated camera")
    launched.stop()
