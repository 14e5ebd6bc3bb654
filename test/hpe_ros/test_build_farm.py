"""What ROS's build farm needs: keys that it can install, nodes that need no others, a changelog that bloom reads."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = json.loads(Path(__file__).with_name("rosdep_keys.json").read_text())
NODES = sorted(path.stem for path in (ROOT / "hpe_ros" / "nodes").glob("*_node.py"))
WITHOUT_A_KEY = ("rosbags", "ruamel", "av", "onnxruntime")
FOR_THE_COMMAND_ONLY = ("rich", "pandas", "supervision", "PIL", "rerun")


def run(code, *arguments, absent=(*WITHOUT_A_KEY, *FOR_THE_COMMAND_ONLY)):
    """Run a text in a Python in which some packages are not installed, whatever this one has."""
    hide = f"""
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name.partition(".")[0] in {absent} else find(name, *more)
"""
    command = [sys.executable, "-c", hide + code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def elements(*tags):
    return [e for e in ElementTree.parse(ROOT / "package.xml").getroot() if e.tag in tags]


def test_every_key_can_be_installed_by_the_build_farm():
    keys = {e.text for e in elements("depend", "build_depend", "exec_depend", "test_depend")}
    unknown = keys - KEYS["ubuntu"].keys() - set(KEYS["in_humble_jazzy_kilted_lyrical"])
    assert unknown == set(), "not in rosdep_keys.json: look them up there, see `about`"
    assert not keys & set(KEYS["pip_only"])


@pytest.mark.ros
@pytest.mark.parametrize("node", NODES)
def test_a_node_is_imported_without_packages_that_have_no_key(node):
    pytest.importorskip("rclpy")
    result = run(f"import hpe_ros.nodes.{node}")
    assert result.returncode == 0, result.stderr


def test_what_the_nodes_use_of_the_core_runs_without_packages_that_have_no_key(tmp_path):
    (tmp_path / "camera.yaml").write_text(
        "image_width: 64\nimage_height: 48\ncamera_matrix: {data: [50, 0, 32, 0, 50, 24, 0, 0, 1]}\n"
    )
    code = """
import hpe_core.attention.config, hpe_core.output.overlay, hpe_core.pipeline, hpe_core.pixels.face_pictures
from hpe_core.io.camera_info import camera_from_yaml
from hpe_core.io.sources import open_source
print(camera_from_yaml(sys.argv[1]).width, next(iter(open_source(sys.argv[2]))).image_bgr.shape)
"""
    result = run(code, tmp_path / "camera.yaml", ROOT / "docs" / "results.jpg")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("64 (")


def test_without_onnxruntime_the_pipeline_says_in_one_line_how_to_install_it():
    code = """
from hpe_core.errors import HpeError
from hpe_core.config import PipelineConfig
from hpe_core.pipeline import Pipeline
try:
    Pipeline(PipelineConfig())
except HpeError as error:
    print(error)
"""
    result = run(code)
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    assert "onnxruntime is not installed for this Python (pip install onnxruntime; with ROS: docs/ros.md)" in line


@pytest.mark.parametrize("package", ["rich", "rosbags", "onnxruntime"])
def test_without_a_package_the_command_says_in_one_line_how_to_install_it(package, tmp_path):
    code = "from hpe_core.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    result = run(code, "run", ROOT / "docs" / "results.jpg", "--out", tmp_path / "out", absent=(package,))
    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if "error" in line]
    assert package in line and f"pip install {package}" in line


def test_package_xml_is_valid_and_says_where_the_project_is():
    catkin_package = pytest.importorskip("catkin_pkg.package")
    warnings = []
    package = catkin_package.parse_package(str(ROOT / "package.xml"), warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []
    assert {url.type for url in package.urls} == {"website", "repository", "bugtracker"}
    assert package.maintainers and package.authors


def test_bloom_reads_the_changelog_of_the_next_release():
    """catkin_prepare_release puts version and date in the place of `Forthcoming`."""
    changelog = pytest.importorskip("catkin_pkg.changelog")
    text = (ROOT / "CHANGELOG.rst").read_text()
    released = text.replace("Forthcoming\n-----------", "0.1.0 (2026-01-31)\n------------------")
    assert released != text
    read = changelog.Changelog("hpe_ros")
    changelog.populate_changelog_from_rst(read, released)
    ((version, _, content),) = read.foreach_version()
    assert version == "0.1.0" and len(content[0].bullets) == text.count("\n* ") > 5
