"""docs/retrain.md: its programs write shards whose labels are right, and crops are cut from them."""

import csv
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core.evaluation.streams.readers import parse_spec, read_series
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.sources import open_source

ROOT = Path(__file__).parents[2]
BAG = ROOT / "assets" / "sample_bag"
IMAGES = 4


@pytest.fixture
def recording(tmp_path, monkeypatch):
    """heads.csv and JPEG images of the sample bag, of two people, in the folder in which the test runs."""
    series = read_series(BAG, parse_spec("/truth/head_pose"), "face")
    poses = dict(zip(series.stamp_ns.tolist(), zip(series.R, series.t_m, strict=True), strict=True))
    with open_source(str(BAG)) as source, (tmp_path / "heads.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "person", "qx", "qy", "qz", "qw", "tx_m", "ty_m", "tz_m"])
        for number, frame in zip(range(IMAGES), source, strict=False):
            cv2.imwrite(str(tmp_path / f"{number}.jpg"), frame.image_bgr)
            R, t = poses[frame.stamp_ns]
            rows.writerow([f"{number}.jpg", ("ben", "anna")[number % 2], *Rotation.from_matrix(R).as_quat(), *t])
    monkeypatch.chdir(tmp_path)
    return poses


def test_the_programs_of_the_guide_write_shards_with_the_right_labels(recording, tmp_path):
    pytest.importorskip("moderngl", reason="NOT TESTED: docs/retrain.md (pip install -e '.[train]')")
    from training.data.crops import store
    from training.data.shards import ShardSet

    own, public = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/retrain.md").read_text("utf-8"), re.M | re.S)
    names = {}
    exec(compile(own, "docs/retrain.md, own", "exec"), names)
    train, test = ShardSet(["shards/train"]), ShardSet(["shards/test"])
    assert len(train) == len(test) == IMAGES // 2
    R, t = recording[min(recording)]
    camera = CameraModel(640, 480, names["K"])
    _, faces, _ = train.read(0)
    assert np.allclose(camera.project(t + R @ [0.0, 0.03, 0.05]), faces.centre_px[0], atol=0.01)

    shutil.copytree("shards/train", "300W_LP")
    exec(compile(public, "docs/retrain.md, public", "exec"), names)
    _, again, _ = ShardSet(["shards/public"]).read(0)
    assert np.allclose(again.R_local, faces.R_local, atol=1e-5) and np.allclose(again.size_px, faces.size_px, rtol=1e-5)

    crops = store(train, train)
    assert crops["crops"].shape == (IMAGES // 2, 192, 192, 3) and (crops["weight"] == 1).all()
