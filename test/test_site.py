"""The documentation site builds, every link and anchor leads somewhere, and readers' browsers ask nobody else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.site_hooks import linked, relinked

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="?https?://(?!www\.w3\.org)[^">]+')


def build(*arguments, **options):
    pytest.importorskip("mkdocs", reason="NOT TESTED: the documentation site (pip install -e '.[docs]')")
    pytest.importorskip("material", reason="NOT TESTED: the documentation site (pip install -e '.[docs]')")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", *map(str, arguments)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, **options)


def test_the_site_builds_without_dead_links_and_loads_nothing_from_elsewhere(tmp_path):
    done = build("--site-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'src="../angles.png"' in (tmp_path / "frames" / "index.html").read_text("utf-8")
    assert "HeadPose" in (tmp_path / "project" / "examples" / "photo.py" / "index.html").read_text("utf-8")
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    assert {found[0] for page in pages if (found := OUTSIDE.search(page.read_text("utf-8")))} == set()


def test_a_dead_anchor_stops_the_build(tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text("# Here\n\n[there](#nowhere)\n")
    config = f"INHERIT: {ROOT}/mkdocs.yml\ndocs_dir: {tmp_path}/pages\nnav: [{{Home: index.md}}]\nhooks: []\n"
    (tmp_path / "mkdocs.yml").write_text(config)
    done = build("--config-file", tmp_path / "mkdocs.yml", "--site-dir", tmp_path / "site")
    assert done.returncode != 0 and "#nowhere" in done.stderr


def test_a_link_out_of_the_pages_leads_to_the_copy_in_the_site():
    text = "[a](../config/pose.yaml) [b](frames.md#x) [c](https://example.org) [d](../training/README.md#data) [e](#f)"
    assert linked(text, "docs/ros.md") == ["config/pose.yaml", "docs/frames.md", "training/README.md"]
    assert relinked(text, "docs/ros.md", "ros.md") == (
        "[a](project/config/pose.yaml.md) [b](frames.md#x) [c](https://example.org) "
        "[d](project/training/README.md#data) [e](#f)"
    )


def test_a_copied_page_links_back_to_the_pages():
    text = "[n](../docs/nlml.md#retrain)"
    assert relinked(text, "training/README.md", "project/training/README.md") == "[n](../../nlml.md#retrain)"
