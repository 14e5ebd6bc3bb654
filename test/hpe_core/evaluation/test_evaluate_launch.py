"""The online mode's launch file: it is Python everywhere, and a launch description where ROS 2 is."""

import argparse
import ast
import importlib.util
from pathlib import Path

import pytest

from hpe_core.evaluation.commands import add_parsers

FILE = Path(__file__).parents[3] / "launch" / "evaluate.launch.py"


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
    assert passed - {"--rate", "--delay"} == {"--", "--estimate", "--out", "--overwrite"}  # without those of the player
    options = ["--estimate", "E", "--truth", "T", "--thresholds", "F", "--out", "O", "--overwrite"]
    parser.parse_args(["eval", "bag", "B", *options])


@pytest.mark.ros
def test_the_launch_file_makes_a_description_with_its_arguments():
    module = loaded()
    description = module.generate_launch_description()
    names = {argument.name for argument in description.get_launch_arguments()}
    assert names == set(module.ARGUMENTS)
    value = dict.fromkeys(module.ARGUMENTS, "x") | {"truth": ""}
    command = module._evaluation(value, "rec")
    assert command[1:6] == ["-m", "hpe_core", "eval", "bag", "x"] and "--truth" not in command
    assert "head_pose=rec:/head_pose" in command
