"""How weights lie in the file of a network."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from hpe_core.backends.tensorrt.onnx_graph import with_initializers  # noqa: E402
from training.deploy.model_file import BYTES_STORED_FROM, with_byte_storage  # noqa: E402

LARGE = np.random.default_rng(4).normal(size=(400, 300)).astype(np.float32) * np.logspace(-3, 2, 400)[:, None]
SMALL = np.ones((300, 2), np.float32)


def model():
    """y = x LARGE SMALL."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]) for name, width in (("x", 400), ("y", 2))
    ]
    nodes = [helper.make_node("MatMul", ["x", "large"], ["h"]), helper.make_node("MatMul", ["h", "small"], ["y"])]
    weights = [numpy_helper.from_array(LARGE.astype(np.float32), "large"), numpy_helper.from_array(SMALL, "small")]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def weights_of(made):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}


def test_a_large_weight_is_off_by_half_a_step_of_its_channel_at_most_and_takes_a_quarter_of_the_space():
    small = with_byte_storage(model())
    onnx.checker.check_model(small)
    read = weights_of(with_initializers(small))
    assert SMALL.size < BYTES_STORED_FROM <= LARGE.size and read.keys() == {"large", "small"}
    step = np.abs(LARGE).max(1, keepdims=True) / 127
    assert np.all(np.abs(read["large"] - LARGE) <= 0.501 * step) and np.any(read["large"] != LARGE)
    np.testing.assert_array_equal(read["small"], SMALL)
    assert small.ByteSize() < 0.27 * model().ByteSize()


def test_onnx_runtime_computes_with_the_weights_as_they_are_read():
    ort = pytest.importorskip("onnxruntime")
    small = with_byte_storage(model())
    x = np.random.default_rng(5).normal(size=(1, 400)).astype(np.float32)
    (y,) = ort.InferenceSession(small.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    np.testing.assert_allclose(y, x @ weights_of(with_initializers(small))["large"] @ SMALL, rtol=1e-4, atol=1e-3)
