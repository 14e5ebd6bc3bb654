"""The online mode's launch file: it is Python everywhere, and a launch description where ROS 2 is."""

import argparse
import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpe_core.cli.evaluation.parsers import add_parsers

ROOT = Path(__file__).parents[3]
FILE, SAMPLE = ROOT / "launch" / "evaluate.launch.py", ROOT / "assets" / "sample_bag"


def loaded():
    pytest.importorskip("launch_ros", reason="no ROS 2 here: evaluate.launch.py was NOT loaded")
    spec = importlib.util.spec_from_file_location("evaluate_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_option_that_the_launch_file_passes_exists():
    parser = argparse.ArgumentParser()
    add_parsers(parser.add_subparsers())
    constants = [node.value for node in ast.walk(ast.parse(FILE.read_text())) if isinstance(node, ast.Constant)]
    passed = {text for text in constants if isinstance(text, str) and text.startswith("--")}
    assert passed - {"--rate", "--delay", "--topics", "--remap"} == {
        "--",
        "--estimate",
        "--out",
        "--overwrite",
    }  # without those of the player
    options = ["--estimate", "E", "--ground-truth", "T", "--thresholds", "F", "--out", "O", "--overwrite"]
    parser.parse_args(["eval", "bag", "B", *options])


def test_the_topics_that_the_node_needs_are_found_in_the_bag():
    command = [sys.executable, "-m", "hpe_core.evaluation.streams.camera_topics"]
    found = json.loads(subprocess.run([*command, SAMPLE], cwd=ROOT, capture_output=True, check=True).stdout)
    assert found == {
        "image": "/camera/image/compressed",
        "image_transport": "compressed",
        "camera_info": "/camera/camera_info",
    }
    refused = subprocess.run([*command, SAMPLE / "none"], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1


@pytest.mark.ros
def test_the_launch_file_makes_a_description_with_its_arguments():
    module = loaded()
    description = module.generate_launch_description()
    names = {argument.name for argument in description.get_launch_arguments()}
    assert names == set(module.ARGUMENTS)
    value = dict.fromkeys(module.ARGUMENTS, "x") | {"ground_truth": ""}
    command = module._evaluation(value, "rec")
    assert command[1:6] == ["-m", "hpe_core", "eval", "bag", "x"] and "--ground-truth" not in command
    assert "head_pose=rec:/head_pose" in command
