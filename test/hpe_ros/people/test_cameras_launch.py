"""cameras.launch.py on a real graph: two camera processes play the rendered bag, and the people are compared with its
truth; one of them dies and comes back; the pose nodes go through their lifecycles one by one.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[3]
BAG = ROOT / "assets" / "two_cameras_bag"
PLAYER = Path(__file__).parent / "play_camera.py"
POSE_PARAMETERS = "/**:\n  ros__parameters:\n    model: fusion_int8\n    reliability: reliable\n"
SLOWER = 2.0  # the bag's stamps, at half its speed: for a machine that has other things to do


@pytest.fixture(scope="module")
def truth():
    """(stamps in ns since the bag's start, true places (N, 3) m in the room)."""
    store, rows = get_typestore(Stores.ROS2_JAZZY), []
    with Reader(BAG) as reader:
        for connection, stamp_ns, data in reader.messages():
            if connection.topic == "/truth/person":
                p = store.deserialize_cdr(data, connection.msgtype).pose.position
                rows.append((stamp_ns - reader.start_time, p.x, p.y, p.z))
    rows = np.array(sorted(rows))
    return rows[:, 0], rows[:, 1:]


@pytest.fixture(scope="module")
def launched(start, graph, tmp_path_factory):
    """cameras.launch.py with the list of the demo, all nodes active."""
    pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: cameras.launch.py was NOT tested")
    path = tmp_path_factory.mktemp("parameters") / "pose.yaml"
    path.write_text(POSE_PARAMETERS)
    people = tmp_path_factory.mktemp("people") / "people.yaml"
    people.write_text("/**:\n  ros__parameters:\n    gap_s: 10.0\n    max_age_s: 1.0\n")
    process = start(
        ["ros2", "launch", "hpe_ros", "cameras.launch.py", f"cameras_file:={ROOT}/config/cameras_demo.yaml"]
        + [f"pose_params_file:={path}", f"params_file:={people}", f"python:={sys.executable}"]
    )
    for node in ("left/pose_node", "right/pose_node", "people_node"):
        graph.until(lambda node=node: graph.state(f"/{node}") == "active", 180.0, f"{node} active")
    return process


class Seen:
    """People and heads as they come."""

    def __init__(self, graph):
        from vision_msgs.msg import Detection3DArray

        self.people = graph.record(Detection3DArray, "/people")
        self.heads = {name: graph.record(Detection3DArray, f"/{name}/heads") for name in ("left", "right")}

    def ids(self, since=0):
        return {detection.id for message in list(self.people)[since:] for detection in message.detections}

    def last_heads(self, camera):
        return max((stamp_ns(m) for m in list(self.heads[camera]) if m.detections), default=0)


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.fixture(scope="module")
def seen(graph, launched):
    return Seen(graph)


@pytest.fixture
def play(start):
    """play(camera, at, first, to) -> Process that publishes the camera's images of those seconds of the bag."""

    def begin(camera, at, first, to):
        command = [sys.executable, PLAYER, BAG, camera, "--at", repr(at), "--from", first, "--to", to]
        return start([*command, "--slower", SLOWER])

    return begin


def start_of(first, until_s=8.0):
    """When the bag must have begun so that its second `first` is played in until_s seconds."""
    return time.time() + until_s - first * SLOWER


def test_people_of_two_camera_processes_are_where_the_truth_says(seen, play, graph, truth):
    at = start_of(3.5)
    players = [play(camera, at, 3.5, 6.5) for camera in ("left", "right")]
    for player in players:
        assert player.wait(120.0) == 0
    graph.until(lambda: len(seen.people) > 10, 20.0, "people")
    errors = []
    for message in list(seen.people):
        (detection,) = message.detections or [None]
        if detection is not None:
            p = detection.results[0].pose.pose.position
            t = [np.interp(stamp_ns(message) - round(at * 1e9), truth[0], truth[1][:, k]) for k in range(3)]
            errors.append(np.linalg.norm([p.x - t[0], p.y - t[1], p.z - t[2]]))
    assert len(seen.ids()) == 1
    assert len(errors) > 10 and np.median(errors) < 0.03  # each camera alone: 0.05 m, the head is 4 % larger


def test_one_camera_dies_and_comes_back_and_the_person_keeps_the_id(seen, play, graph):
    before, at = len(seen.people), start_of(3.5)
    left, right = (play(camera, at, 3.5, 6.6) for camera in ("left", "right"))
    begun_ns = round(at * 1e9)
    graph.until(lambda: seen.last_heads("right") > begun_ns + 3.6e9, 60.0, "heads of both")
    right.kill()
    died_ns = seen.last_heads("right")
    graph.until(lambda: seen.last_heads("left") > died_ns + 0.6e9, 60.0, "the left camera goes on")
    came = [m for m in list(seen.people)[before:] if m.detections and stamp_ns(m) > died_ns + 0.3e9]
    assert came
    again = play("right", at, (died_ns - begun_ns) * 1e-9 + 1.0, 8.0)
    graph.until(lambda: seen.last_heads("right") > died_ns + 0.9e9, 60.0, "the right camera again")
    assert left.wait(60.0) == 0 and again.wait(60.0) == 0
    assert len(seen.ids(before)) == 1


def test_a_camera_that_is_deactivated_leaves_the_other_at_work_and_comes_back(seen, play, graph, launched):
    assert graph.transition("/left/pose_node", "deactivate")
    assert graph.transition("/left/pose_node", "cleanup")  # its model stays with the other camera
    at = start_of(6.0)
    right = play("right", at, 6.0, 8.0)
    graph.until(lambda: seen.last_heads("right") > round(at * 1e9) + 6.1e9, 60.0, "heads of the right camera")
    assert seen.last_heads("left") < round(at * 1e9) + 6.0e9
    assert right.wait(60.0) == 0
    for transition in ("configure", "activate"):
        assert graph.transition("/left/pose_node", transition)
    at = start_of(1.0)
    left = play("left", at, 1.0, 3.0)
    graph.until(lambda: seen.last_heads("left") > round(at * 1e9) + 1.0e9, 60.0, "heads of the left camera")
    assert left.wait(60.0) == 0
    assert "Traceback" not in launched.text


def test_both_pose_nodes_are_in_one_process_with_one_model(launched, graph):
    lines = [line for line in launched.text.splitlines() if "pose_node" in line and "active, images" in line]
    assert len({line.split("]")[0] for line in lines}) == 1  # [cameras_node-2
    assert graph.node.count_publishers("/humans/faces/tracked") in (0, 1)  # people_node's alone
