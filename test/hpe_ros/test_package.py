"""What package.xml, the Dockerfile and the workflow say is what the code needs."""

import ast
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
OWN = {"hpe_core", "hpe_ros"}
FROM_PIP = {"numpy": "python3-numpy"}
PACKAGE_OF = {"tf2_ros": "tf2_ros_py"}  # where a module's name is not its package's
OPTIONAL = {"hri_msgs", "foxglove_msgs"}  # what works without; Kilted has no key for hri_msgs
DISTRIBUTIONS = ["humble", "jazzy", "kilted"]


def depends():
    return {e.text for e in ElementTree.parse(ROOT / "package.xml").getroot() if e.tag in ("depend", "exec_depend")}


def imported(path):
    """Top-level modules that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_every_package_that_nodes_and_launch_files_import_is_declared():
    files = [*(ROOT / "hpe_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]
    modules = {name for path in files for name in imported(path)} - set(sys.stdlib_module_names) - OWN - OPTIONAL
    needed = {FROM_PIP.get(name) or PACKAGE_OF.get(name, name) for name in modules}
    assert needed <= depends()


def test_the_workflow_runs_colcon_on_every_distribution():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ros.yml").read_text())
    job = workflow["jobs"]["colcon"]
    assert job["strategy"]["matrix"]["distro"] == DISTRIBUTIONS
    assert job["container"] == "ros:${{ matrix.distro }}-ros-base"
    commands = "\n".join(step.get("run", "") for step in job["steps"])
    assert "colcon build" in commands and "colcon test " in commands


def test_what_rosdep_does_not_have_comes_by_pip_into_the_container_and_the_workflow():
    setup = (ROOT / "setup.py").read_text()
    for file in ("Dockerfile", ".github/workflows/ros.yml"):
        text = (ROOT / file).read_text()
        assert "--skip-keys" not in text and "pip install" in text and "src/hpe_ros[colcon" in text, file
    assert '"onnxruntime"' in setup and '"rosbags"' in setup
