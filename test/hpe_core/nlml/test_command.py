import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from hpe_core.cli.tools.nlml import TOOLS

ROOT = Path(__file__).parents[3]
FIT = """
import argparse
from hpe_core.cli.tools import nlml

parser = argparse.ArgumentParser()
nlml.add_parsers(parser.add_subparsers())
args = parser.parse_args(["nlml", "fit", "T", "--out", "M"])
args.command(args)
"""


def test_without_the_training_tools_one_line_says_where_they_are(tmp_path):
    (tmp_path / "hpe_core").symlink_to(ROOT / "hpe_core")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    no_packages = [sys.executable, "-S", "-c", FIT]  # without site-packages there are no entry points
    result = subprocess.run(no_packages, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.stderr.splitlines()[-1] == (
        "hpe_core.errors.HpeError: hpe nlml fit is not part of this installation: it is in the source checkout; "
        "run there pip install -e '.[train]'"
    )


@pytest.mark.parametrize("name", ["build", "fit", "train", "evaluate"])
def test_an_editable_install_has_the_training_tools(name):
    found = [point for point in entry_points(group=TOOLS) if point.name == name]
    if not found:
        pytest.skip("installed without the training tools: pip install -e . in the checkout")
    pytest.importorskip("tensorly")
    assert callable(found[0].load())
