import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from hpe_core import backends  # noqa: E402
from hpe_core.backends.tensorrt import onnx_graph, typed_graph  # noqa: E402
from hpe_core.errors import HpeError  # noqa: E402
from training.deploy import int8, rounding  # noqa: E402
from training.deploy.model_file import HALF_STORED_FROM  # noqa: E402


def images(batch=1, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (batch, 48, 64, 3)).astype(np.uint8)


def test_int8_needs_a_quantised_model_and_a_quantised_model_needs_int8(write_net, tmp_path):
    with pytest.raises(HpeError, match="precision int8 does not fit: the model carries no Q/DQ nodes"):
        typed_graph.for_tensorrt(onnx_graph.read(write_net()), "int8")
    int8.quantise(write_net(), [images(seed=s) for s in range(3)], tmp_path / "q.onnx", "tensorrt")
    with pytest.raises(HpeError, match="precision fp16 does not fit: the model carries Q/DQ nodes"):
        typed_graph.for_tensorrt(onnx_graph.read(tmp_path / "q.onnx"), "fp16")


@pytest.mark.parametrize("target", int8.TARGETS)
def test_a_quantised_model_is_near_float32_and_says_so_in_its_card(write_net, tmp_path, target):
    path = write_net()
    card = int8.quantise(path, [images(seed=s) for s in range(8)], tmp_path / "q.onnx", target)
    assert card["precision"] == "int8"
    backend = backends.create("onnxruntime", tmp_path / "q.onnx", threads=1)
    assert backend.card.raw == card
    full = backends.create("onnxruntime", path, threads=1).run(images())
    difference = np.abs(backend.run(images()) - full)[..., 4:10]
    assert 0 < np.median(difference) < 0.05
    types = onnx_graph.types_of(onnx_graph.read(tmp_path / "q.onnx"))
    assert types["quantised"] >= 8


def integers_of(path, name):
    """The int8 weights and their scales (N,) in a quantised model."""
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in onnx_graph.read(path).graph.initializer}
    return tensors[f"{name}_quantized"], tensors[f"{name}_scale"]


def test_int8_weights_keep_a_layers_output_better_than_the_nearest_ones(write_net, tmp_path):
    path, shown = write_net(), [images(seed=s) for s in range(8)]
    int8.quantise(path, shown, tmp_path / "q.onnx", "cpu")
    model = onnx_graph.with_initializers(onnx_graph.read(path))
    (node,) = (node for node in model.graph.node if node.name == "c")
    weights = next(onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "c.w")
    (moments,) = rounding.second_moments(model, [node], [(3, 3)], shown)
    rounded, scale = integers_of(tmp_path / "q.onnx", "c.w")
    np.testing.assert_allclose(scale, np.abs(weights).max((1, 2, 3)) / 127, rtol=1e-5)
    scale = scale[:, None, None, None]

    def error(integers):
        left = (integers * scale - weights).reshape(len(weights), -1)
        return np.einsum("ni,ij,nj->", left, moments, left)

    assert error(rounded) < 0.7 * error(np.round(weights / scale))


def test_nothing_is_quantised_between_a_layer_and_its_relu(write_net, tmp_path):
    for target, relus in (("cpu", 1), ("tensorrt", 3)):  # unsigned numbers end at zero: there the range is the ReLU
        int8.quantise(write_net(), [images()], tmp_path / "q.onnx", target)
        nodes = onnx_graph.read(tmp_path / "q.onnx").graph.node
        convolutions = {node.output[0] for node in nodes if node.op_type == "Conv"}
        found = [node for node in nodes if node.op_type == "Relu"]
        assert len(found) == relus and all(node.input[0] in convolutions for node in found)


def test_of_a_crop_network_the_hidden_dense_layer_is_int8_on_cpus_and_the_last_one_is_not(write_crop_net, tmp_path):
    crops = np.random.default_rng(2).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    int8.quantise(write_crop_net(), [crops], tmp_path / "q.onnx", "cpu")
    model = onnx_graph.read(tmp_path / "q.onnx")
    made = {name: node for node in model.graph.node for name in node.output}
    hidden, last = (node for node in model.graph.node if node.op_type == "Gemm")
    assert all(made[name].op_type == "DequantizeLinear" for name in hidden.input[:2])
    assert last.input[1] not in made


def test_what_stays_float_in_a_quantised_model_is_stored_as_float16_and_its_scales_are_not(tmp_path, write_crop_net):
    crops = np.random.default_rng(2).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    int8.quantise(write_crop_net(), [crops], tmp_path / "q.onnx", "cpu")
    model = onnx_graph.read(tmp_path / "q.onnx")
    types = {t.name: t.data_type for t in model.graph.initializer}
    large = {t.name for t in model.graph.initializer if np.prod(t.dims) >= HALF_STORED_FROM}
    assert large and all(types[name] != onnx.TensorProto.FLOAT for name in large)
    scales = [node.input[1] for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert scales and all(types[name] == onnx.TensorProto.FLOAT for name in scales)


def test_activations_are_unsigned_for_cpus_and_signed_for_tensorrt(write_net, tmp_path):
    for target, unsigned in (("cpu", True), ("tensorrt", False)):
        int8.quantise(write_net(), [images()], tmp_path / "q.onnx", target)
        model = onnx_graph.read(tmp_path / "q.onnx")
        assert any(t.data_type == onnx.TensorProto.UINT8 for t in model.graph.initializer) == unsigned
    int8.quantise(write_net(), [images()], tmp_path / "q.onnx", "cpu")
    with pytest.raises(HpeError, match="quantised with uint8 for CPUs"):
        typed_graph.for_tensorrt(onnx_graph.read(tmp_path / "q.onnx"), "int8")


def test_first_and_last_convolutions_are_not_quantised(write_net, tmp_path):
    int8.quantise(write_net(), [images()], tmp_path / "q.onnx", "cpu")
    names = {t.name for t in onnx_graph.read(tmp_path / "q.onnx").graph.initializer}
    assert {"a.w", "out.w"} <= names and "b.w" not in names


def quantised_weights(path):
    return {
        t.name.removesuffix("_quantized") for t in onnx_graph.read(path).graph.initializer if "_quantized" in t.name
    }


def test_a_named_layer_keeps_its_float_weights(write_net, tmp_path):
    for in_float, expected in ((), True), (("c",), False):
        int8.quantise(write_net(), [images()], tmp_path / "q.onnx", in_float=in_float)
        assert ("c.w" in quantised_weights(tmp_path / "q.onnx")) == expected


def test_in_a_network_of_two_steps_the_last_layer_of_each_stays_float():
    helper = onnx.helper
    steps = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "first"),
        helper.make_node("Gemm", ["a", "w2"], ["b"], "inner"),
        helper.make_node("Gemm", ["b", "w3"], ["pose"], "pose"),
        helper.make_node("Add", ["pose", "k"], ["grid"], "place"),
        helper.make_node("GridSample", ["x", "grid"], ["seen"], "look"),
        helper.make_node("Conv", ["seen", "w4"], ["c"], "second first"),
        helper.make_node("Conv", ["c", "w5"], ["d"], "second inner"),
        helper.make_node("Gemm", ["d", "w6"], ["y"], "last"),
    ]
    graph = onnx.GraphProto(node=steps)
    assert [node.name for node in int8.inner_nodes(graph)] == ["inner", "second inner"]
