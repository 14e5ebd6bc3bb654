"""The protocol: every face is counted, inside the paper's window or outside, found or failed."""

import json
from argparse import Namespace

import numpy as np
import pytest

pytest.importorskip("tensorly")

from hpe_core import catalogue
from hpe_core.backends import onnxruntime
from hpe_core.errors import HpeError
from hpe_core.geometry.euler import EulerDeg, aflw2000
from training.nlml import actions
from training.nlml.measure import evaluate as ev


@pytest.fixture
def faces_at(rigid_model, as_samples):
    """faces_at(*angles): Samples of the mean face at (yaw, pitch, roll) in degrees, AFLW2000's order."""

    def faces(*angles):
        R = aflw2000.to_matrix(EulerDeg(*np.array(angles, float).T))
        points = rigid_model().points(R)
        return as_samples(points, np.ones(points.shape[:2]), R)

    return faces


def turned(samples, yaw_deg):
    """Estimates that are off by so much yaw (samples with yaw only)."""
    angles = ev.angles_of(samples.R_local)
    return aflw2000.to_matrix(EulerDeg(angles[:, 0] + yaw_deg, angles[:, 1], angles[:, 2]))


def test_window_of_the_paper_is_50_40_30_degrees(faces_at):
    samples = faces_at((49, 0, 0), (51, 0, 0), (0, 39, 0), (0, -41, 0), (0, 0, 29), (0, 0, -31))
    found = ev.scores(samples.R_local, samples, "original")
    assert (found["faces"], found["outside_window"], found["failures"]) == (3, 3, 0)
    assert ev.scores(samples.R_local, samples)["faces"] == 6


def test_errors_are_those_of_a_known_turn(faces_at):
    samples = faces_at((10, 0, 0), (-20, 0, 0))
    found = ev.scores(turned(samples, 3.0), samples)
    np.testing.assert_allclose(found["euler_mae_deg"], [3, 0, 0, 1], atol=1e-3)
    assert found["geodesic_median_deg"] == pytest.approx(3.0, abs=1e-3)


def test_a_failure_counts_as_if_it_had_said_the_mean_pose(faces_at):
    samples = faces_at((0, 0, 0), (30, 0, 0))
    R = samples.R_local.copy()
    R[1] = np.nan
    found = ev.scores(R, samples)
    assert found["failures"] == 1 and found["coverage"] == 0.5
    assert found["euler_mae_deg"][-1] == pytest.approx(0.0, abs=1e-6)
    # the mean yaw of the two is 15: the lost face is 15 degrees of yaw off, of 6 numbers one
    assert found["euler_mae_failures_counted_deg"] == pytest.approx(15.0 / 6.0, abs=1e-3)


def test_a_failure_outside_the_window_is_not_the_windows(faces_at):
    samples = faces_at((0, 0, 0), (80, 0, 0))
    R = samples.R_local.copy()
    R[1] = np.nan
    assert ev.scores(R, samples, "original")["failures"] == 0
    assert ev.scores(R, samples)["failures"] == 1


def test_estimates_that_are_not_usable_are_failures(faces_at):
    samples = faces_at((0, 0, 0), (10, 0, 0), (20, 0, 0))
    found = ev.scores(samples.R_local, samples, usable=np.array([True, False, True]))
    assert found["failures"] == 1 and found["faces"] == 3


def test_when_all_fail_it_says_so(faces_at):
    samples = faces_at((0, 0, 0))
    found = ev.scores(np.full((1, 3, 3), np.nan), samples)
    assert "euler_mae_deg" not in found and ev.line("x", found).endswith("1 faces, all failed")


def test_a_face_without_landmarks_is_a_failure_of_the_model(faces_at, rigid_model):
    samples = faces_at((0, 0, 0), (30, 10, 0), (-40, 0, 10))
    samples.points[1] = np.nan
    found = ev.model_scores(rigid_model(), samples)
    assert found["failures"] == 1 and found["faces"] == 3
    assert found["geodesic_max_deg"] < 0.1 and found["iterations_max"] <= 15


def test_evaluate_command_writes_what_it_prints(faces_at, rigid_model, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    model, samples = rigid_model(), faces_at((0, 0, 0), (45, 0, 0), (70, 0, 0))
    samples.points[0] = np.nan
    model.save(tmp_path / "m.npz")
    np.savez(tmp_path / "s.npz", **{name: getattr(samples, name) for name in samples.__dataclass_fields__})
    arguments = Namespace(
        original=None, model=tmp_path / "m.npz", data=None, samples=[tmp_path / "s.npz"], faces=5, window="original",
        feed_forward=None, tensor=None, adapt=None, out=tmp_path / "out", overwrite=False,
    )  # fmt: skip
    assert actions.evaluate(arguments) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["window"] == "original"
    assert (found["s"]["td"]["faces"], found["s"]["td"]["outside_window"], found["s"]["td"]["failures"]) == (2, 1, 1)
    assert "1 of 2" in capsys.readouterr().out
    with pytest.raises(HpeError, match=r"holds earlier results \(error_s\.png, results\.json\): use --overwrite"):
        actions.evaluate(arguments)


def test_a_feed_forward_network_takes_landmarks_and_an_image_network_in_its_place_is_one_line(faces_at, tmp_path):
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    faces = faces_at((0, 0, 0), (45, 0, 0))
    frontal = np.float32([1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
    nodes = [
        helper.make_node("ReduceMax", ["landmarks"], ["most"], axes=[1, 2], keepdims=0),
        helper.make_node("Sub", ["most", "most"], ["zero"]),
        helper.make_node("Unsqueeze", ["zero", "one"], ["column"]),
        helper.make_node("Add", ["column", "frontal"], ["rows"]),
    ]
    constants = [numpy_helper.from_array(frontal, "frontal"), numpy_helper.from_array(np.array([1]), "one")]
    landmarks = helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, ["faces", faces.points.shape[1], 4])
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["faces", 12])
    graph = helper.make_graph(nodes, "net", [landmarks], [rows], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    run = onnxruntime.function_of(model.SerializeToString(), 1, "ff.onnx")
    np.testing.assert_array_equal(actions.feed_forward(run, faces), 2 * [np.eye(3)])
    for data in (catalogue.read(catalogue.path_of("head6dof")), b"text"):
        with pytest.raises(HpeError, match=r"model other\.onnx"):
            actions.feed_forward(onnxruntime.function_of(data, 1, "other.onnx"), faces)
