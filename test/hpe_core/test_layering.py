"""Who may import whom: the tables in CONTRIBUTING.md against the syntax tree."""

import ast
import re
import subprocess
import sys

import pytest

from docs import import_graph, make_imports_picture

ROOT = import_graph.ROOT
PACKAGES = import_graph.PACKAGES
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
MOST_MODULES, MOST_LINES = 15, 350  # about fourteen


def table(name):
    """Rows of the table between <!-- name --> and <!-- /name -->, without its head."""
    lines = TEXT.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0].strip().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def words(cell):
    return set(re.findall(r"[\w.]+", cell))


ROOMS = {row[0]: (words(row[2]), words(row[3])) for row in table("rooms")}
HOMES = [(package, tuple(home.split(", "))) for package, home in table("homes")]
FILES = [path for package in PACKAGES for path in import_graph.sources(package)]


def third_party(path):
    """Top names of the packages that a file imports from outside the project and the standard library."""
    tops = {name.partition(".")[0] for name in import_graph.imported(path)}
    return tops - set(sys.stdlib_module_names) - {*PACKAGES, "docs", "bench"}


def test_every_room_imports_what_the_table_says_and_the_table_says_no_more():
    found = import_graph.room_graph()
    assert found.keys() == ROOMS.keys()
    assert {room: sorted(targets) for room, targets in found.items()} == {
        room: sorted(allowed) for room, (allowed, _) in ROOMS.items()
    }


def test_every_room_uses_the_packages_that_the_table_says_and_no_others():
    used = {room: set() for room in ROOMS}
    for path in FILES:
        used[import_graph.room_of(import_graph.module_of(path))] |= third_party(path)
    homeless = {package for package, _ in HOMES if package not in ("rich", "rclpy")}
    for room in used.keys() - {"training"}:
        assert used[room] - homeless == ROOMS[room][1] - homeless, room


@pytest.mark.parametrize(("package", "homes"), HOMES, ids=[package for package, _ in HOMES])
def test_a_package_with_a_home_is_imported_nowhere_else(package, homes):
    for path in FILES:
        if path.parts[0] != "training" and package in {n.partition(".")[0] for n in import_graph.imported(path)}:
            assert any(str(path).startswith(home) for home in homes), path


def test_no_two_files_or_rooms_import_each_other():
    assert import_graph.cycles(import_graph.file_graph()) == []
    assert import_graph.cycles(import_graph.room_graph()) == []


def test_a_cycle_is_found():
    assert import_graph.cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_the_core_never_names_training_or_ros():
    for path in import_graph.sources("hpe_core"):
        names = {
            node.value.partition(".")[0]
            for node in ast.walk(ast.parse((ROOT / path).read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[\w.]+", node.value)
            if "." in node.value
        }
        tops = {name.partition(".")[0] for name in import_graph.imported(path)}
        assert not (names | tops) & {"training", "hpe_ros", "rclpy"}, path


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=str)
def test_a_folder_has_about_fourteen_modules_at_most(folder):
    assert len([path for path in (ROOT / folder).glob("*.py") if path.stem != "__init__"]) <= MOST_MODULES


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_has_at_most_350_lines(path):
    assert len((ROOT / path).read_text().splitlines()) <= MOST_LINES


def test_the_picture_of_the_imports_is_that_of_the_code():
    assert make_imports_picture.PICTURE.read_text() == make_imports_picture.picture(make_imports_picture.shown_rooms())


def test_importing_the_inference_path_loads_no_framework():
    code = (
        "import sys, hpe_core.pipeline, hpe_core.config, hpe_core.backends, hpe_core.backends.onnxruntime\n"
        "import hpe_core.backends.tensorrt, hpe_core.cli.main, hpe_core.nlml\n"
        "import hpe_core.networks.whole.head6dof, hpe_core.networks.crop.crop6dof\n"
        "frameworks = ('rclpy', 'torch', 'tensorly', 'training', 'tensorrt', 'tensorrt_rtx', 'cuda', 'onnx')\n"
        "frameworks += ('onnxruntime',)\n"
        "print([m for m in frameworks if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
