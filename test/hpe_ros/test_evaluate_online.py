"""The online mode on a real graph: bag player, node, recorder and evaluation as `evaluate.launch.py` starts them."""

import json
import subprocess

import pytest

pytestmark = pytest.mark.ros


def test_a_bag_replayed_through_the_node_is_evaluated_against_its_ground_truth(ros_environment, bag, tmp_path):
    verbs = subprocess.run(["ros2", "bag", "--help"], env=ros_environment, capture_output=True, text=True)
    if verbs.returncode or "record" not in verbs.stdout:
        pytest.skip("this ROS 2 has no `ros2 bag`: the online mode was NOT tested")
    command = ["ros2", "launch", "hpe_ros", "evaluate.launch.py", f"bag:={bag}", "ground_truth:=/truth/head_pose"]
    out = tmp_path / "online"
    done = subprocess.run(
        [*command, f"out:={out}", "delay:=12"], env=ros_environment, capture_output=True, text=True, timeout=240
    )
    assert (out / "results" / "results.json").exists(), done.stdout + done.stderr
    found = json.loads((out / "results" / "results.json").read_text())["bags"][0]["estimates"]
    for estimate in ("head_pose", "head_poses"):
        detection = found[estimate]["detection"]
        assert detection["matched"] > 75, "most of 150 frames come through, even on a busy machine"
        assert found[estimate]["rotation"]["geodesic_deg"]["mean"] < 8.0
