"""Who may import whom, read from the syntax tree. A new dependency is added here on purpose or not at all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = sorted(p.relative_to(ROOT) for p in (ROOT / "hpe_core").rglob("*.py"))

# parts of hpe_core: the parts and the third-party packages that each may import
ALLOWED = {
    "errors": (set(), set()),
    "arguments": ({"errors"}, set()),
    "geometry": ({"errors", "geometry"}, {"numpy", "cv2", "scipy"}),
    "types": ({"errors", "geometry"}, {"numpy"}),
    "config": ({"errors"}, set()),
    "registry": ({"errors"}, set()),
    "safe_files": ({"errors"}, set()),
    "model_store": ({"errors"}, set()),
    "network_card": ({"errors"}, set()),
    "methods": ({"errors", "model_store"}, set()),
    "image_rotation": ({"errors", "geometry", "types"}, {"numpy", "cv2"}),
    "spread": ({"geometry", "types"}, {"numpy"}),
    "preprocess": ({"errors", "geometry"}, {"numpy", "cv2"}),
    "backends": (
        {"backends", "engines", "errors", "model_store", "network_card", "preprocess", "registry"},
        {"numpy"},
    ),
    "engines": (
        {"arguments", "backends", "engines", "errors", "export_precision", "geometry", "model_store", "network_card"}
        | {"preprocess", "safe_files"},
        {"numpy", "cv2", "onnx", "rich"},
    ),
    "models": ({"errors", "models"}, {"torch"}),
    "estimators": ({"errors", "geometry", "types", "preprocess"}, {"numpy"}),
    "tracking": ({"errors", "geometry", "types", "tracking"}, {"numpy"}),
    "attention": ({"attention", "config", "errors", "geometry", "types"}, {"numpy", "scipy"}),
    # its commands import training.nlml by name and io when they run
    "nlml": ({"arguments", "errors", "geometry", "io", "model_store", "network_card", "nlml"}, {"numpy"}),
    "pipeline": (
        {"backends", "errors", "image_rotation", "methods", "model_store", "network_card", "nlml", "preprocess"}
        | {"registry", "spread", "tracking", "types"},
        set(),
    ),
    "export_precision": (
        {"backends", "engines", "errors", "export_rounding", "network_card"},
        {"onnx", "onnxruntime", "numpy"},
    ),
    "export_rounding": (set(), {"onnx", "onnxruntime", "numpy"}),
    "export": ({"backends", "export_precision", "registry"}, {"torch", "onnx", "onnxruntime", "numpy"}),
}
# every other part (reading, evaluation, tools): no network code, no middleware
OTHER = {"numpy", "cv2", "av", "scipy", "rich", "ruamel", "rosbags", "lz4", "backports", "compression", "distributed"}
# TensorRT is imported by name, once: engines/tensorrt_build.py finds out which of its libraries there is
ONLY_IN = {
    "onnxruntime": "backends/onnxruntime.py",
    "cuda": "backends/_cuda_memory.py",
    "torch": "backends/_cuda_memory.py",
}


def imported(path):
    """Dotted names that a file imports anywhere, `from a import b` as a.b."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(path):
    return path.parts[1].removesuffix(".py")


@pytest.mark.parametrize("path", CORE, ids=str)
def test_core_imports_only_what_its_part_may(path):
    parts, packages = ALLOWED.get(part_of(path), (None, OTHER))
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top == "hpe_core":
            part = rest.split(".")[0]
            assert part != "models" or part_of(path) == "models", f"{path} imports {name}"
            assert parts is None or part in parts, f"{path} imports {name}"
        elif top not in sys.stdlib_module_names:
            own = ONLY_IN.get(top) == "/".join(path.parts[1:])
            assert own or top in packages, f"{path} imports {name}"


def test_geometry_knows_nothing_of_types():
    for path in CORE:
        if part_of(path) == "geometry":
            assert not any(name.startswith("hpe_core.types") for name in imported(path))


@pytest.mark.parametrize("path", sorted(p.relative_to(ROOT) for p in (ROOT / "hpe_ros").rglob("*.py")), ids=str)
def test_ros_side_imports_neither_training_nor_networks(path):
    tops = {name.split(".")[0] for name in imported(path)}
    assert not tops & {"training", "torch", "onnx", "onnxruntime", "tensorrt", "tensorrt_rtx"}
    assert not any(name.startswith(("hpe_core.models", "training.deploy.export")) for name in imported(path))


@pytest.mark.parametrize("path", sorted(p.relative_to(ROOT) for p in (ROOT / "training").rglob("*.py")), ids=str)
def test_training_knows_nothing_of_ros(path):
    tops = {name.split(".")[0] for name in imported(path)}
    assert not tops & {"hpe_ros", "rclpy", "tensorrt"}


def test_importing_the_inference_path_loads_no_framework():
    code = (
        "import sys, hpe_core.pipeline.pipeline, hpe_core.config, hpe_core.backends, hpe_core.backends.onnxruntime\n"
        "import hpe_core.backends.tensorrt.backend, hpe_core.cli.engine, hpe_core.nlml, hpe_core.cli.nlml\n"
        "import hpe_core.networks.whole.head6dof\n"
        "frameworks = ('rclpy', 'torch', 'tensorly', 'training', 'tensorrt', 'tensorrt_rtx', 'cuda', 'onnx')\n"
        "frameworks += ('onnxruntime',)\n"
        "print([m for m in frameworks if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
