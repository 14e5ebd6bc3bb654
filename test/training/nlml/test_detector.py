"""The landmark detector around a network whose output is known."""

import json

import numpy as np
import pytest

pytest.importorskip("tqdm")

from hpe_core.errors import HpeError
from training.nlml import samples
from training.nlml.detector import CropDetector

SIDE, CROP_M = 128, 0.28
COLUMNS = {"centre_m": [0, 2], "log_size": [2, 3], "landmarks_m": [3, 207], "visibility": [207, 275]}
PER_GREY_M = 1e-4  # x of every landmark: mean grey of its crop times this


@pytest.fixture
def write_network(tmp_path):
    """write_network(...) -> path of an ONNX: x of all landmarks is the mean grey of the crop, y is 2 mm."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def write(centre_m=(0.0, 0.0), log_size=0.0, logit=2.0, columns=COLUMNS, spec_extra=None, per_grey=PER_GREY_M):
        row, gain = np.zeros((1, 275), np.float32), np.zeros((1, 275), np.float32)
        row[0, :3] = [*centre_m, log_size]
        landmarks = row[0, 3:207].reshape(68, 3)
        landmarks[:, 1] = 0.002
        gain[0, 3:207].reshape(68, 3)[:, 0] = per_grey
        row[0, 207:] = logit
        nodes = [
            helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["real"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Reshape", ["mean", "column"], ["grey"]),
            helper.make_node("Mul", ["grey", "gain"], ["part"]),
            helper.make_node("Add", ["row", "part"], ["rows"]),
        ]
        constants = [
            numpy_helper.from_array(row, "row"),
            numpy_helper.from_array(gain, "gain"),
            numpy_helper.from_array(np.array([-1, 1]), "column"),
        ]
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["crops", SIDE, SIDE, 3])
        output = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["crops", 275])
        graph = helper.make_graph(nodes, "crop", [image], [output], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        spec = {"columns": columns} | ({"crop_m": CROP_M} if spec_extra is None else spec_extra)
        entry = model.metadata_props.add()
        entry.key, entry.value = "hpe_model_card", json.dumps({"name": "net", "estimator": "net", "spec": spec})
        onnx.save(model, tmp_path / "crop.onnx")
        return tmp_path / "crop.onnx"

    return write


def halves(width=640, height=480):
    """Black to the left of the middle, 200 to the right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 200
    return image


def test_landmarks_and_visibility_come_from_their_columns(write_network):
    points, visible = CropDetector(write_network()).measure(halves(), [500.0, 240.0], 60.0)
    np.testing.assert_allclose(points, np.tile([200 * PER_GREY_M, 0.002, 0.0], (68, 1)), atol=1e-6)
    np.testing.assert_allclose(visible, 1.0 / (1.0 + np.exp(-2.0)), atol=1e-6)


def test_the_crop_is_centred_on_the_face_and_as_wide_as_the_card_says(write_network):
    detector = CropDetector(write_network())
    for size in (30.0, 91.4, 200.0):
        middle, _ = detector.measure(halves(), [319.5, 240.0], size)
        assert middle[0, 0] == pytest.approx(100 * PER_GREY_M, rel=0.02)  # half black, half 200
        side_px = size * CROP_M / 0.2
        aside, _ = detector.measure(halves(), [319.5 + 0.25 * side_px, 240.0], size)
        assert aside[0, 0] == pytest.approx(150 * PER_GREY_M, rel=0.02)


def test_refining_moves_the_crop_to_the_networks_own_centre(write_network):
    aside = 0.25 * CROP_M  # metres to the right
    detector = CropDetector(write_network(centre_m=(aside, 0.0)))
    once, _ = detector.measure(halves(), [319.5, 240.0], 100.0)
    twice, _ = detector.measure(halves(), [319.5, 240.0], 100.0, refine=True)
    assert once[0, 0] == pytest.approx(100 * PER_GREY_M, rel=0.02)
    assert twice[0, 0] == pytest.approx(150 * PER_GREY_M, rel=0.02)


def test_an_output_that_is_not_finite_is_no_face(write_network, monkeypatch):
    detector = CropDetector(write_network(per_grey=3e38))  # finite for a black crop alone
    monkeypatch.setattr(detector, "find", lambda image: (np.array([320.0, 240.0]), 80.0))
    assert detector(halves()) is None
    monkeypatch.setattr(detector, "find", lambda image: None)
    assert detector(halves()) is None


def test_a_network_without_landmarks_is_refused_with_what_it_lacks(write_network):
    columns = {name: place for name, place in COLUMNS.items() if name != "landmarks_m"}
    with pytest.raises(HpeError, match="landmarks_m"):
        CropDetector(write_network(columns=columns))
    with pytest.raises(HpeError, match="as its card says"):  # without crop_m the card is that of whole images
        CropDetector(write_network(spec_extra={}))


def test_shards_become_samples_with_their_people_and_poses(write_network, write_shard, tmp_path):
    R = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    faces = [
        {"image": 0, "centre_px": [320.0, 240.0], "R_local": R},
        {"image": 1, "centre_px": [500.0, 240.0]},
        {"image": 1, "centre_px": [100.0, 240.0], "weight": 0.0},  # label unknown
    ]
    write_shard(tmp_path / "shards" / "shard_0000.npz", 2 * [halves()], faces)
    detector = CropDetector(write_network())
    made = samples.from_shards([tmp_path / "shards"], detector)
    assert len(made) == 2 and made.person.tolist() == ["p0", "p1"] and made.found.all()
    np.testing.assert_allclose(made.R_local[0], R, atol=1e-6)
    assert made.points[0, 0, 0] < made.points[1, 0, 0]
    assert len(samples.from_shards([tmp_path / "shards"], detector, limit=1)) == 1
