"""What the documents name is there: modules to run and files of this project."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), ROOT / "training" / "README.md")
)
FOLDERS = "hpe_core|hpe_ros|training|bench|test|docs|config|launch|assets|rviz"
FILE = re.compile(rf"(?<![\w./$-])(?:{FOLDERS})/[\w./-]*[\w/]")
MODULE = re.compile(r"python3? -m ([\w.]+\w)")
PLACEHOLDER = "NAME"  # a file that the reader is about to write


def named(pattern, document):
    return {name for name in pattern.findall((ROOT / document).read_text("utf-8")) if PLACEHOLDER not in name}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_a_document_names_exists(document):
    assert {name for name in named(FILE, document) if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_module_that_a_document_runs_exists(document):
    own = {name for name in named(MODULE, document) if re.match(rf"(?:{FOLDERS})\b", name)}
    missing = {name for name in own if not is_module(name)}
    assert missing == set()


def is_module(name):
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_the_documents_name_files_and_modules_at_all():
    assert "bench/results.csv" in named(FILE, "docs/performance.md")
    assert {"training.train", "training.deploy.export"} <= named(MODULE, "training/README.md")
