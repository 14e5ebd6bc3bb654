import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from onnx import helper, numpy_helper  # noqa: E402

from training.deploy import rounding  # noqa: E402

RNG = np.random.default_rng(0)


def test_inputs_that_have_nothing_to_do_with_each_other_are_rounded_to_the_nearest():
    weights, scale = RNG.normal(0, 1, (5, 7)), RNG.uniform(0.05, 0.1, 5)
    nearest = np.round(weights / scale[:, None])
    np.testing.assert_array_equal(rounding.compensated(weights, scale, np.eye(7)), nearest)


def test_of_two_weights_on_the_same_input_the_second_makes_up_for_the_first():
    (rounded,) = rounding.compensated(np.array([[0.4, 0.4]]), np.ones(1), np.ones((2, 2)))
    assert rounded.tolist() == [0, 1]  # 0.8 x is nearer to 1 x than to 0 x


def test_weights_stay_within_seven_bits_and_a_sign():
    rounded = rounding.compensated(np.array([[-1.0, 0.9, 1.0]]), np.array([1 / 127]), np.ones((3, 3)))
    assert rounded.dtype == np.int8 and rounded.min() == -127


@pytest.mark.parametrize("strides, pads", [([1, 1], [1, 1, 1, 1]), ([2, 1], [0, 2, 1, 0])])
def test_operands_times_weights_are_outputs_of_the_convolution(strides, pads):
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=strides, pads=pads)
    weights, x = RNG.normal(0, 1, (4, 3, 3, 2)).astype(np.float32), RNG.normal(0, 1, (2, 3, 9, 8)).astype(np.float32)
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)]
    graph = helper.make_graph(
        [node], "g", inputs, [helper.make_empty_tensor_value_info("y")], [numpy_helper.from_array(weights, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (y,) = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    outputs = y.transpose(0, 2, 3, 1).reshape(-1, 4)
    found = rounding.operands(node, x, (3, 2), RNG, count=50) @ weights.reshape(4, -1).T
    distance = np.abs(found[:, None] - outputs).max(-1)
    assert found.shape == (50, 4) and distance.min(1).max() < 1e-4
    assert len(set(distance.argmin(1))) > 20  # from all over


def test_all_rows_of_a_dense_layer_count():
    x = RNG.normal(0, 1, (3, 5))
    assert rounding.operands(helper.make_node("Gemm", ["x", "w"], ["y"]), x, (), RNG) is x
