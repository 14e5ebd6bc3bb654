"""Nothing phones home, and a run leaves nothing in the user's home."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# an ONNX Runtime whose telemetry is on looks up its host about 9 s after its import; in CI it is quiet by itself,
# so of the environment only what a Python needs is handed on
LOOK_UP_S = 12
KEPT = ("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONHOME")
OPTIONS = ("--no-overlay", "--backend", "onnxruntime")  # on a GPU the engine cache is in the home
RUN_A_MODEL = """
import sys, time
import numpy as np
from hpe_core import catalogue
from hpe_core.backends import onnxruntime

backend = onnxruntime.Backend(catalogue.path_of("head6dof"), threads=1)
end = time.monotonic() + float(sys.argv[1])
while True:
    assert np.isfinite(backend.run(np.zeros((1, *backend.input_shape[1:]), np.uint8))).all()
    if time.monotonic() > end:
        break
    time.sleep(0.5)
"""


def python(code, home, *arguments, before=(), **environment):
    """Standard output of code in a Python of its own, whose HOME is the folder home."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    command = [*before, sys.executable, "-c", code, *map(str, arguments)]
    environment = kept | {"HOME": str(home), "PYTHONPATH": str(ROOT)} | environment
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module", autouse=True)
def onnxruntime():
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")


def test_a_model_that_runs_writes_nothing_into_the_home(home):
    python(RUN_A_MODEL, home, 1)
    assert list(home.iterdir()) == []


def test_the_command_writes_nothing_into_the_home(home, tmp_path):
    code = "import sys; from hpe_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    python(code, home, "run", ROOT / "assets" / "sample_bag", *OPTIONS, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "summary.json").exists()
    assert list(home.iterdir()) == []


def test_a_model_that_runs_looks_up_no_name_and_connects_to_nothing(home, tmp_path):
    strace = ["strace", "-f", "-qq", "-e", "trace=socket,connect,sendto,sendmsg", "-e", "signal=none"]
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: that nothing is sent was NOT tested")
    if subprocess.run([*strace, "true"], capture_output=True).returncode != 0:
        pytest.skip("strace may not trace here: that nothing is sent was NOT tested")
    calls = tmp_path / "calls"
    python(RUN_A_MODEL, home, LOOK_UP_S, before=[*strace, "-o", str(calls)])
    assert calls.read_text() == ""


def test_telemetry_is_off_unless_the_user_wants_it(home):
    code = "import os, hpe_core; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert python(code, home) == python(code, home, ORT_DISABLE_TELEMETRY="") == "1"
    assert python(code, home, ORT_DISABLE_TELEMETRY="0") == "0"


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_every_package_that_imports_onnxruntime_imports_hpe_core_before_it():
    files = [
        path for package in ("hpe_core", "hpe_ros", "training", "bench") for path in (ROOT / package).rglob("*.py")
    ]
    packages = {path.relative_to(ROOT).parts[0] for path in files if "onnxruntime" in imports_of(path)}
    assert packages == {"hpe_core", "training", "bench"}
    for package in packages - {"hpe_core"}:
        assert "hpe_core" in imports_of(ROOT / package / "__init__.py")
