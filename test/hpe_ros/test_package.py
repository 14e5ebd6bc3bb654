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


def test_version_is_the_same_everywhere():
    from hpe_core import __version__

    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == __version__


def test_the_workflow_runs_colcon_on_every_distribution():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ros.yml").read_text())
    job = workflow["jobs"]["colcon"]
    assert job["strategy"]["matrix"]["distro"] == DISTRIBUTIONS
    assert job["container"] == "ros:${{ matrix.distro }}-ros-base"
    commands = "\n".join(step.get("run", "") for step in job["steps"])
    assert "colcon build" in commands and "colcon test " in commands


def test_keys_that_the_container_does_not_take_from_rosdep_come_by_pip():
    """Both skip the same keys, and pip installs what they stand for."""
    setup = (ROOT / "setup.py").read_text()
    for file in ("Dockerfile", ".github/workflows/ros.yml"):
        text = (ROOT / file).read_text()
        (skipped,) = [line.split('"')[1].split() for line in text.splitlines() if "--skip-keys" in line]
        assert set(skipped) == {key for key in depends() if key.endswith("-pip")}, file
        assert all(f'"{key.removeprefix("python3-").removesuffix("-pip")}"' in setup for key in skipped)
