"""A release could be uploaded: one version, one address, a wheel and an sdist with what they need and nothing else."""

import re
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
import yaml

import hpe_core

ROOT = Path(__file__).resolve().parents[1]
URL = "https://github.com/OWNER/hpe_ros"
ZOO = "hpe_core/weights/zoo"
ADDRESS = "maintainers@example.com"
PRIVATE = re.compile(r"(^|/)(test|training|bench|\.git|\.ci|build)/|\.pyc$")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist and the wheel that is made of it, as paths."""
    pytest.importorskip("build", reason="the wheel was NOT tested: pip install -e '.[test]'")
    folder = tmp_path_factory.mktemp("release")
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if tracked.returncode:
        pytest.skip("not a git checkout: the wheel was NOT tested")
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "source" / name).write_bytes((ROOT / name).read_bytes())
    zoo = folder / "source" / ZOO  # weights that stay out, whether there are any yet or not
    zoo.mkdir(exist_ok=True)
    for suffix in ("onnx", "json"):
        (zoo / f"left_out.{suffix}").touch()
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "source"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return next((folder / "dist").glob("*.tar.gz")), next((folder / "dist").glob("*.whl"))


@pytest.mark.wheel
def test_the_wheel_holds_the_packages_with_their_data_and_nothing_private(built):
    names = set(zipfile.ZipFile(built[1]).namelist())
    tracked = subprocess.run(["git", "ls-files", "hpe_core", "hpe_ros"], cwd=ROOT, capture_output=True, text=True)
    shipped = {name for name in tracked.stdout.split() if not name.startswith(ZOO)}
    assert {name for name in shipped if (ROOT / name).is_file()} <= names
    assert {name for name in names if PRIVATE.search(name) or name.startswith(ZOO)} == set()
    assert {name.partition("/")[0] for name in names} == {
        *("hpe_core", "hpe_ros"),
        *(f"hpe_ros-{hpe_core.__version__}.{part}" for part in ("data", "dist-info")),
    }


@pytest.mark.wheel
def test_the_sdist_holds_the_sources_and_the_documents(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "pyproject.toml", "package.xml", "LICENSE"} <= names
    assert {"README.md", "CHANGELOG.rst", "CITATION.cff"} <= names
    assert {"hpe_core/weights/SHA256SUMS.json", "docs/results.jpg", "examples/photo.py"} <= names
    assert {name for name in names if PRIVATE.search(name) or name.startswith(ZOO)} == set()


@pytest.mark.wheel
def test_the_metadata_of_the_wheel_says_what_a_registry_shows(built):
    archive = zipfile.ZipFile(built[1])
    (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
    metadata = HeaderParser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == hpe_core.__version__
    assert metadata["Description-Content-Type"] == "text/markdown"
    links = re.findall(r"\]\(([^)]*)\)", metadata.get_payload())
    assert links and all(link.startswith(("https://", "#")) for link in links)
    picture = f"{URL}/raw/v{hpe_core.__version__}/docs/moving.webp"
    assert picture in links and (ROOT / "docs" / "moving.webp").is_file()


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert hpe_core.__version__ == citation["version"] == package.findtext("version")


def test_the_address_of_the_project_is_the_same_everywhere():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert f'URL = "{URL}"' in (ROOT / "setup.py").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["repository-code"] == URL
    assert {url.text.removesuffix("/issues") for url in package.findall("url")} == {URL}
    contacts = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/config.yml").read_text())["contact_links"]
    assert all(contact["url"].startswith(f"{URL}/") for contact in contacts)
    assert URL in (ROOT / "CONTRIBUTING.md").read_text()


def test_the_address_of_the_maintainers_is_the_same_everywhere():
    files = ("setup.py", "SECURITY.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md")
    assert all(ADDRESS in (ROOT / name).read_text() for name in files)
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert {e.get("email") for tag in ("maintainer", "author") for e in package.findall(tag)} == {ADDRESS}


@pytest.mark.parametrize("name", ["bug", "wish"])
def test_a_form_for_issues_asks_something(name):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    assert form["name"] and form["description"]
    assert any(part.get("validations", {}).get("required") for part in form["body"])


def test_setup_finds_its_files_where_it_is_only_a_link_as_with_symlink_install(tmp_path):
    (tmp_path / "setup.py").symlink_to(ROOT / "setup.py")
    done = subprocess.run([sys.executable, "setup.py", "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split()[-1:] == [hpe_core.__version__], done.stderr
