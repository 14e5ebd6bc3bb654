"""Every snippet of docs/python.md and of the README, and every program in examples/, is run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

ID = "face_[a-z]{5}"
ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
YUNET = ROOT.parent / "shared" / "data" / "weights" / "yunet_n_dynamic.onnx"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def snippets(name):
    """(line, code) of every Python block of a document."""
    text = (ROOT / name).read_text("utf-8")
    found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, block.start()) + 2, block[1]) for block in found]


@pytest.fixture
def here(est, tmp_path, folder, three, monkeypatch):
    """A folder with the files that documents and examples name, in which the test runs."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for number, path in enumerate(sorted((tmp_path / "photos").iterdir())):
        cv2.imwrite(str(tmp_path / "photos" / f"{number}.jpg"), cv2.imread(str(path)))
        path.unlink()
    (tmp_path / "talk.avi").rename(tmp_path / "talk.mp4")
    cv2.imwrite(str(tmp_path / "group.jpg"), three)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_snippet_of_the_python_document_runs_after_those_before_it(here, capsys):
    pytest.importorskip("PIL", reason="NOT TESTED: docs/python.md (pip install pillow)")
    pytest.importorskip("pandas", reason="NOT TESTED: docs/python.md (pip install pandas)")
    pytest.importorskip("supervision", reason="NOT TESTED: docs/python.md (pip install supervision)")
    blocks, names = snippets("docs/python.md"), {}
    assert len(blocks) > 10
    for line, code in blocks:
        exec(compile(code, f"docs/python.md:{line}", "exec"), names)
    assert (here / "out.jpg").exists()
    printed = capsys.readouterr().out
    assert re.search(ID, printed) and printed.endswith("missing.jpg does not exist\n")


def test_the_snippets_of_the_readme_run(here, capsys):
    blocks = snippets("README.md")
    assert blocks
    for line, code in blocks:
        exec(compile(code, f"README.md:{line}", "exec"), {})
    assert re.match(r"-?\d+\.\d+ -?\d+\.\d+ -?\d+\.\d+\n", capsys.readouterr().out)


def run(name, *arguments):
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def example_photo(here):
    assert "1 faces, drawn in out.jpg" in run("photo.py", "photo.jpg", "out.jpg")
    assert cv2.imread("out.jpg").shape == (480, 640, 3)


def example_webcam(here):
    lines = run("webcam.py", "talk.mp4").splitlines()
    assert len(lines) == 20 and len({re.search(f"({ID}) yaw", line)[1] for line in lines}) == 1


def example_folder_to_pandas(here):
    pytest.importorskip("pandas", reason="NOT TESTED: examples/folder_to_pandas.py (pip install pandas)")
    (here / "photos" / "broken.jpg").write_bytes(b"no photo")
    assert "not read:" in run("folder_to_pandas.py", "photos", "faces.csv")
    assert len(Path("faces.csv").read_text().splitlines()) == 4


def example_own_detector(here):
    if not YUNET.exists():
        pytest.skip("NOT TESTED: examples/own_detector.py needs ../shared/data/weights/yunet_n_dynamic.onnx")
    printed = run("own_detector.py", "photo.jpg", YUNET)
    assert "box 0: yaw" in printed and "0 of 1 boxes without a face" in printed


def example_own_camera(here):
    z = float(re.search(r"z (\S+) m", run("own_camera.py", "photo.jpg", "camera.yaml"))[1])
    assert 0.9 < z < 1.2


def example_who_looks_at_the_robot(here):
    lines = run("who_looks_at_the_robot.py", "talk.mp4").splitlines()
    face_id = re.fullmatch(f"0.00 s  ({ID}) looks at the camera", lines[0])[1]
    assert lines[1].endswith(f"{face_id} looks away")


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_runs(name, here):
    globals()[f"example_{Path(name).stem}"](here)
