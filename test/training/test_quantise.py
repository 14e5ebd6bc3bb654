import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("tqdm")

from hpe_core import backends, catalogue
from hpe_core.errors import HpeError
from training.deploy import quantise

SAMPLE = Path(__file__).parents[2] / "assets" / "sample_bag"
needs_weights = pytest.mark.skipif("head6dof" not in catalogue.networks(), reason="no shipped model here")


def test_images_of_shards_are_drawn_once_each(tmp_path, write_shard):
    images = [np.full((16, 16, 3), 20 * i, np.uint8) for i in range(6)]
    write_shard(tmp_path / "set" / "shard_0000.npz", images, [{"image": 0, "centre_px": (8, 8)}])
    drawn = [int(image.mean().round()) for image in quantise.images_of_shards([tmp_path / "set"], 4)]
    assert len(set(drawn)) == 4 and set(drawn) <= {0, 20, 40, 60, 80, 100}
    assert len(list(quantise.images_of_shards([tmp_path / "set"], 100))) == 6


def test_inputs_are_letterboxed_to_the_network(tmp_path):
    (image,) = quantise.inputs_of([np.full((100, 50, 3), 7, np.uint8)], (1, 64, 96, 3))
    assert image.shape == (64, 96, 3)
    assert (image[:, :32] == 7).all() and (image[:, 32:] == 0).all()


def test_stored_crops_are_drawn_evenly_from_files_with_their_labels(tmp_path):
    paths = []
    for number in range(2):
        values = np.arange(5) + 10 * number
        crops = np.broadcast_to(values[:, None, None, None], (5, 192, 192, 3)).astype(np.uint8)
        paths.append(tmp_path / f"{number}.npz")
        R_local = values[:, None, None] * np.ones((1, 3, 3), np.float32)
        np.savez(paths[-1], weight=values.astype(np.float32), R_local=R_local, crops=crops)
    crops, R_local, weight = quantise.crops_of_files(paths, 6)
    assert crops.shape == (6, 192, 192, 3) and sorted(weight < 10) == 3 * [False] + 3 * [True]
    np.testing.assert_array_equal(crops[:, 5, 7, 1], weight)
    np.testing.assert_array_equal(R_local[:, 2, 2], weight)


def test_a_view_of_a_stored_crop_is_its_middle_when_nothing_is_shifted():
    stored = np.random.default_rng(0).integers(0, 256, (1, 192, 192, 3)).astype(np.uint8)
    (view,) = quantise.views_of_crops(stored, 128, 0.28, shift_m=0.0)
    np.testing.assert_array_equal(view, stored[0, 32:160, 32:160])


def test_angles_are_taken_between_the_same_stamps():
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert quantise.angles_deg({1: np.eye(3), 2: np.eye(3)}, {2: quarter, 3: np.eye(3)}) == pytest.approx([90.0])


def test_truth_of_the_sample_bag_has_a_rotation_for_every_frame():
    truth, frames = quantise.truth_of_bag(SAMPLE), quantise.frames_of_bag(SAMPLE)
    assert {stamp_ns for stamp_ns, _ in frames} == set(truth) and len(truth) == 150
    R = np.array(list(truth.values()))
    np.testing.assert_allclose(R @ np.swapaxes(R, 1, 2), np.broadcast_to(np.eye(3), R.shape), atol=1e-6)
    assert R[:, 2, 2].min() > 0  # the head always faces the camera


@needs_weights
def test_int8_of_the_shipped_model_is_smaller_near_and_measured(tmp_path):
    path, out = catalogue.path_of("head6dof"), tmp_path / "int8" / "head6dof.onnx"
    images = quantise.inputs_of([image for _, image in quantise.frames_of_bag(SAMPLE)[::10]], (1, 256, 320, 3))
    report = quantise.quantise(path, out, images, "cpu", rounds=5)
    assert report["images"] == 15 and out.stat().st_size < 0.6 * path.stat().st_size
    assert report["found_after"] == report["found_before"]
    assert 0 < report["change_deg_median"] < 0.6
    assert report["error_after_deg_mean"] < report["error_before_deg_mean"] + 0.2
    card = backends.create("onnxruntime", out, threads=1).card.raw
    assert card["precision"] == "int8" and card["quantisation"] == report
    assert json.loads(out.with_suffix(".json").read_text()) == card


@needs_weights
def test_without_images_there_are_no_ranges(tmp_path):
    with pytest.raises(HpeError, match="no images"):
        quantise.quantise(catalogue.path_of("head6dof"), tmp_path / "x.onnx", [], "cpu")
