"""Labels of Pointing'04: the order of the set, the scale and the offset of what a network sees."""

import cv2
import numpy as np
import pytest

from hpe_core import backends
from hpe_core.evaluation.datasets.pointing04 import samples
from hpe_core.geometry import euler
from training.label import pointing04

PANS, TILTS = range(-90, 91, 15), (-60, -30, -15, 0, 15, 30, 60)


def test_nominal_directions_get_the_slope_of_what_was_seen_and_the_offset_of_their_series():
    rng = np.random.default_rng(0)
    grid = np.array([(pan, tilt) for pan in PANS for tilt in TILTS], float)
    nominal, series = np.concatenate([grid, grid]), ["p01s1"] * len(grid) + ["p01s2"] * len(grid)
    offset = np.repeat([[3.0, -2.0], [-5.0, 8.0]], len(grid), 0)
    expected = nominal * [0.8, 0.6] + offset
    seen = expected + rng.normal(0, 2, expected.shape)
    seen[::20] += 90  # what the network got wrong
    goal, slopes = pointing04.scaled(nominal, seen, series)
    np.testing.assert_allclose(slopes, [0.8, 0.6], atol=0.03)
    assert np.abs(goal - expected).max() < 3


def test_a_direction_is_where_the_face_of_that_pan_and_tilt_points():
    np.testing.assert_allclose(pointing04.direction(np.array([[0.0, 0.0]])), [[0, 0, -1]], atol=1e-12)
    np.testing.assert_allclose(pointing04.direction(np.array([[0.0, 90.0]])), [[0, -1, 0]], atol=1e-12)  # up
    np.testing.assert_allclose(pointing04.direction(np.array([[90.0, 0.0]])), [[-1, 0, 0]], atol=1e-12)  # image's left


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    names = [f"p01s1_{tilt:+03d}{pan:+03d}.jpg" for tilt in (-15, 0, 15) for pan in (-30, 0, 30)]
    for name in names:
        cv2.imwrite(str(folder / name), np.full((288, 384, 3), 120, np.uint8))
    rows = [f"{name},200,150,100,100" for name in names]
    (tmp_path / "labels.csv").write_text("\n".join(["file,cx,cy,w,h", *rows]) + "\n")
    return tmp_path


def test_each_look_at_a_face_begins_where_the_one_before_found_it(photos, tmp_path, write_fixed_crops):
    turned = euler.pan_tilt.to_matrix(euler.EulerDeg(yaw=0.0, pitch=20.0, roll=0.0))
    says = {"sixd": turned[:, :2].T, "centre_m": [0.0, 0.014], "log_size": np.log(1.1)}
    network = backends.create("onnxruntime", write_fixed_crops(tmp_path / "crop.onnx", **says), 1)
    faces = list(samples(photos))
    R, centre, size_px = pointing04.estimate(network, faces[0].image(), np.array([150.0, 100, 250, 200]))
    np.testing.assert_allclose(R, turned, atol=1e-6)
    assert size_px == pytest.approx(100 * 1.1**pointing04.LOOKS)
    steps = 0.07 * 100 * 1.1 ** np.arange(pointing04.LOOKS)  # 14 mm where 0.2 m are size_px wide
    np.testing.assert_allclose(centre, [200, 150 + steps.sum()], rtol=1e-6)
    labels = pointing04.labels_of(faces, network)
    assert all(label.weight == 1 and label.rot_std_deg == pointing04.LEAST_STD_DEG for label in labels)
    np.testing.assert_allclose([label.R_local for label in labels], [turned] * len(labels), atol=1e-6)
