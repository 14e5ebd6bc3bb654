"""`hpe run` and `hpe eval images` with a method for comparison by its name."""

import csv
import json
import shutil

import pytest

from hpe_core import catalogue
from hpe_core.backends.tensorrt.parity import FRAMES
from hpe_core.cli.main import main

pytestmark = pytest.mark.skipif("head6dof" not in catalogue.networks(), reason="no shipped weights here")
PHOTO = FRAMES / "0.jpg"  # 320x240, one face in the middle
LABELS = """\
file,yaw_deg,pitch_deg,roll_deg,lm_x0,lm_y0,lm_x1,lm_y1
0.jpg,14,13,2,142,82,191,152
"""


@pytest.fixture
def photos(tmp_path):
    """A folder with one labelled photo."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(PHOTO, folder)
    (folder / "labels.csv").write_text(LABELS)
    return folder


@pytest.mark.parametrize("model", ["whenet", "head6dof_int8+whenet"])
def test_a_photo_has_a_pose_and_the_summary_names_the_networks(weights_with_whenet, tmp_path, model):
    out = tmp_path / "out"
    assert main(["run", str(PHOTO), "--model", model, "--backend", "onnxruntime", "--out", str(out)]) == 0
    with open(out / "poses.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert 120 < float(row["x0"]) < 160 < float(row["x1"]) < 220
    summary = json.loads((out / "summary.json").read_text())
    assert summary["model"] == model and "whenet.onnx" in str(summary["model_files"])


def test_labelled_photos_are_scored(weights_with_whenet, photos, tmp_path):
    out = tmp_path / "out"
    assert main(["eval", "images", str(photos), "--model", "whenet", "--out", str(out)]) == 0
    results = (out / "results.json").read_text()
    assert '"whenet"' in results


@pytest.mark.parametrize("model", ["mnn", "head6dof+mnn", "mnn_int8"])
@pytest.mark.parametrize("command", ["run", "eval images"])
def test_a_method_that_is_not_here_is_one_line(weights_with_whenet, photos, tmp_path, capfd, command, model):
    out = tmp_path / "out"
    assert main([*command.split(), str(photos), "--model", model, "--out", str(out)]) == 2
    said = capfd.readouterr().err
    assert said.startswith("hpe: error: the network 'mnn") and said.count("\n") == 1
    assert "is not here" in said and "source checkout" in said and not out.exists()
