"""The complete example of targets, as the guide has it: its file, its transforms, and a person who looks at each."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from hpe_core.attention.targets import parse_targets
from hpe_core.geometry.gaze import GAZE_HEAD
from hpe_core.types import Face, HeadPose

ROOT = Path(__file__).parents[3]
FILE = ROOT / "config" / "attention_targets.yaml"
TARGETS = yaml.safe_load(FILE.read_text())["/**"]["ros__parameters"]["targets"]
FRAME_ID = "camera_optical_frame"
START_NS, STEP_NS = 1_700_000_000_000_000_000, 100_000_000
PERSON_M = np.array([0.0, 0.0, 2.0])  # in the camera: 2 m ahead
# in the camera: x right, y down, z ahead; the map's x is ahead, y left, z up, and its ground 1.4 m below
PLACES_M = {"robot": (0, 0, 0), "tablet": (0, 0.3, 0.2), "door": (-1.5, 0.2, 3.0), "screen": (2.0, 0.0, -0.5)}


def transforms_of_the_guide():
    """geometry_msgs/TransformStamped of every static_transform_publisher in the guide."""
    from geometry_msgs.msg import TransformStamped

    guide = (ROOT / "docs" / "attention.md").read_text("utf-8").replace("\\\n", " ")
    for line in re.findall(r"static_transform_publisher (.*)", guide):
        words = line.split()
        given = dict(zip(words[::2], words[1::2], strict=True))
        made = TransformStamped(child_frame_id=given.pop("--child-frame-id"))
        made.header.frame_id = given.pop("--frame-id")
        for name, value in given.items():
            part = made.transform.rotation if name.startswith("--q") else made.transform.translation
            setattr(part, name.removeprefix("--q" if name.startswith("--q") else "--"), float(value))
        yield made


def looks_at(place_m, face_id="face_a"):
    """A Face at PERSON_M whose gaze goes to a place in the camera's frame."""
    ahead = np.array(place_m, float) - PERSON_M
    ahead /= np.linalg.norm(ahead)
    right = np.cross([0.0, -1.0, 0.0], ahead)
    right /= np.linalg.norm(right)
    from_gaze = np.column_stack([right, np.cross(ahead, right), ahead])
    side = np.cross([0.0, -1.0, 0.0], GAZE_HEAD)
    to_gaze = np.column_stack([side, np.cross(GAZE_HEAD, side), GAZE_HEAD])
    R = from_gaze @ to_gaze.T
    covariance = np.diag([1e-4] * 3 + [np.radians(2.0) ** 2] * 3)
    return Face(HeadPose(R, PERSON_M, covariance), 0.9, np.zeros(4), face_id)


def test_the_guide_shows_the_targets_of_the_file():
    guide = (ROOT / "docs" / "attention.md").read_text("utf-8")
    (block,) = [block for block in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL) if "tablet" in block]
    assert yaml.safe_load(block)["targets"] == TARGETS
    assert [target.name for target in parse_targets(TARGETS)] == list(PLACES_M)


@pytest.mark.ros
def test_a_person_who_looks_at_each_target_of_the_example_is_said_to(start, graph):
    pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: the attention node was NOT tested")
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from std_msgs.msg import Header
    from tf2_msgs.msg import TFMessage
    from vision_msgs.msg import Detection3DArray

    from hpe_ros.messages import time_from_ns
    from hpe_ros.pose import messages

    start(
        ["ros2", "launch", "hpe_ros", "attention.launch.py", "namespace:=hall", f"params_file:={FILE}"]
        + [f"python:={sys.executable}"]
    )
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    static = graph.node.create_publisher(TFMessage, "/tf_static", latched)
    static.publish(TFMessage(transforms=list(transforms_of_the_guide())))
    heads = graph.node.create_publisher(Detection3DArray, "/hall/heads", 10)
    attention = graph.record(Detection3DArray, "/hall/attention")
    frames = iter(range(10**6))

    def best(place_m):
        """(most probable target, its score, whether every target has a place) after one more frame."""
        faces = (looks_at(place_m),)
        header = Header(stamp=time_from_ns(START_NS + next(frames) * STEP_NS), frame_id=FRAME_ID)
        heads.publish(messages.detections(faces, messages.face_poses(faces), header))
        answer = graph.answer(attention, header.stamp.sec * 10**9 + header.stamp.nanosec, 2.0)
        if answer is None:
            return None
        results = answer.detections[0].results
        known = not any(np.isnan(result.hypothesis.score) for result in results)
        return results[0].hypothesis.class_id, results[0].hypothesis.score, known

    graph.until(lambda: (seen := best(PLACES_M["robot"])) and seen[2], 90.0, "a transform to each target")
    for name, place_m in PLACES_M.items():
        target, score, known = graph.until(lambda place_m=place_m: best(place_m), 20.0, f"judgement on {name}")
        assert (target, known) == (name, True)
        assert score > 0.5, name
    graph.node.destroy_publisher(static)
