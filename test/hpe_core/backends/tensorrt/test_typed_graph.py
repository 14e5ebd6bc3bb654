import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from hpe_core import backends, model_store  # noqa: E402
from hpe_core.backends.tensorrt import make, parity, typed_graph  # noqa: E402
from hpe_core.errors import HpeError  # noqa: E402
from training.deploy import rounding  # noqa: E402


def session(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def rows_of(model, images):
    return session(model).run(None, {"image": images})[0]


def images(batch=1, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (batch, 48, 64, 3)).astype(np.uint8)


def test_float32_for_tensorrt_computes_the_very_same(write_net):
    model = typed_graph.read(write_net())
    np.testing.assert_array_equal(rows_of(typed_graph.for_tensorrt(model, "fp32"), images()), rows_of(model, images()))


def test_half_precision_stays_within_a_thousandth_of_float32(write_net):
    model = typed_graph.read(write_net())
    half = rows_of(typed_graph.for_tensorrt(model, "fp16"), images())
    full = rows_of(model, images())
    assert half.dtype == np.float32 and np.abs(half - full).max() > 0
    np.testing.assert_allclose(half, full, rtol=5e-3, atol=5e-3)


def test_convolutions_are_half_while_pixels_and_decode_stay_float32(write_net):
    half = typed_graph.for_tensorrt(typed_graph.read(write_net()), "fp16")
    types = {v.name: v.type.tensor_type.elem_type for v in onnx.shape_inference.infer_shapes(half).graph.value_info}
    for name in ("a", "ar", "b", "up", "sum", "c", "raw"):
        assert types[name] == onnx.TensorProto.FLOAT16, name
    for name in ("x", "rows13", "score", "centre", "size"):
        assert types[name] == onnx.TensorProto.FLOAT, name
    weights = {t.name: t.data_type for t in half.graph.initializer}
    assert weights["zoom"] == onnx.TensorProto.FLOAT  # Resize takes its scales in float32 only
    assert all(weights[f"{n}.w_half"] == onnx.TensorProto.FLOAT16 and f"{n}.w" not in weights for n in "abc")


def test_the_image_is_cast_before_anything_else_touches_it(write_net):
    for model in (typed_graph.for_tensorrt(typed_graph.read(write_net()), p) for p in ("fp16", "fp32")):
        users = [node.op_type for node in model.graph.node if "image" in node.input]
        assert users == ["Cast"]


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_images_of_a_batch_give_what_each_gives_alone(write_net, precision):
    model = typed_graph.for_tensorrt(typed_graph.read(write_net()), precision, max_batch=16)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    together = rows_of(model, images(3))
    for i in range(3):
        np.testing.assert_allclose(together[i], rows_of(model, images(3)[i : i + 1])[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(together[i, :, 13], 4.0)


def test_of_a_crop_network_the_hidden_dense_layer_is_half_and_the_last_one_is_not(write_crop_net):
    half = typed_graph.for_tensorrt(typed_graph.read(write_crop_net()), "fp16", max_batch=16)
    types = {v.name: v.type.tensor_type.elem_type for v in onnx.shape_inference.infer_shapes(half).graph.value_info}
    assert all(types[name] == onnx.TensorProto.FLOAT16 for name in ("a", "b", "flat", "h"))
    assert all(types[name] == onnx.TensorProto.FLOAT for name in ("x", "hr", "raw", "metres"))


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_batch_that_is_free_already_stays_free(write_crop_net, precision):
    model = typed_graph.read(write_crop_net())
    crops = np.random.default_rng(2).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    for max_batch in (1, 16):
        typed = typed_graph.for_tensorrt(model, precision, max_batch)
        np.testing.assert_allclose(rows_of(typed, crops), rows_of(model, crops), atol=5e-3)


def test_the_model_given_is_left_as_it_was(write_net):
    model = typed_graph.read(write_net())
    before = model.SerializeToString()
    typed_graph.for_tensorrt(model, "fp16", max_batch=16)
    assert model.SerializeToString() == before


def test_the_card_survives(write_net):
    path = write_net()
    model = typed_graph.for_tensorrt(typed_graph.read(path), "fp16")
    assert typed_graph.card_of(model, path)["name"] == "net"


def test_a_weight_beyond_float16_is_refused_by_name_and_size(write_net):
    model = typed_graph.read(write_net(scale=1e6))
    with pytest.raises(HpeError, match=r"weight a\.w reaches .*, float16 ends at 65504: use precision fp32"):
        typed_graph.for_tensorrt(model, "fp16")
    typed_graph.for_tensorrt(model, "fp32")


def test_unknown_precision_lists_the_known_ones(write_net):
    with pytest.raises(HpeError, match="precision must be one of fp16, fp32, int8, got 'fp4'"):
        typed_graph.for_tensorrt(typed_graph.read(write_net()), "fp4")


def test_int8_needs_a_quantised_model_and_a_quantised_model_needs_int8(write_net, tmp_path):
    with pytest.raises(HpeError, match="precision int8 does not fit: the model carries no Q/DQ nodes"):
        typed_graph.for_tensorrt(typed_graph.read(write_net()), "int8")
    typed_graph.quantise(write_net(), [images(seed=s) for s in range(3)], tmp_path / "q.onnx", "tensorrt")
    with pytest.raises(HpeError, match="precision fp16 does not fit: the model carries Q/DQ nodes"):
        typed_graph.for_tensorrt(typed_graph.read(tmp_path / "q.onnx"), "fp16")


@pytest.mark.parametrize("target", typed_graph.TARGETS)
def test_a_quantised_model_is_near_float32_and_says_so_in_its_card(write_net, tmp_path, target):
    path = write_net()
    card = typed_graph.quantise(path, [images(seed=s) for s in range(8)], tmp_path / "q.onnx", target)
    assert card["precision"] == "int8"
    backend = backends.create("onnxruntime", tmp_path / "q.onnx", threads=1)
    assert backend.card.raw == card
    full = rows_of(typed_graph.read(path), images())
    difference = np.abs(backend.run(images()) - full)[..., 4:10]
    assert 0 < np.median(difference) < 0.05
    types = typed_graph.types_of(typed_graph.read(tmp_path / "q.onnx"))
    assert types["quantised"] >= 8


def integers_of(path, name):
    """The int8 weights and their scales (N,) in a quantised model."""
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in typed_graph.read(path).graph.initializer}
    return tensors[f"{name}_quantized"], tensors[f"{name}_scale"]


def test_int8_weights_keep_a_layers_output_better_than_the_nearest_ones(write_net, tmp_path):
    path, shown = write_net(), [images(seed=s) for s in range(8)]
    typed_graph.quantise(path, shown, tmp_path / "q.onnx", "cpu")
    model = typed_graph.with_initializers(typed_graph.read(path))
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
        typed_graph.quantise(write_net(), [images()], tmp_path / "q.onnx", target)
        nodes = typed_graph.read(tmp_path / "q.onnx").graph.node
        convolutions = {node.output[0] for node in nodes if node.op_type == "Conv"}
        found = [node for node in nodes if node.op_type == "Relu"]
        assert len(found) == relus and all(node.input[0] in convolutions for node in found)


def test_of_a_crop_network_the_hidden_dense_layer_is_int8_on_cpus_and_the_last_one_is_not(write_crop_net, tmp_path):
    crops = np.random.default_rng(2).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    typed_graph.quantise(write_crop_net(), [crops], tmp_path / "q.onnx", "cpu")
    model = typed_graph.read(tmp_path / "q.onnx")
    made = {name: node for node in model.graph.node for name in node.output}
    hidden, last = (node for node in model.graph.node if node.op_type == "Gemm")
    assert all(made[name].op_type == "DequantizeLinear" for name in hidden.input[:2])
    assert last.input[1] not in made


def test_what_stays_float_in_a_quantised_model_is_stored_as_float16_and_its_scales_are_not(tmp_path, write_crop_net):
    crops = np.random.default_rng(2).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    typed_graph.quantise(write_crop_net(), [crops], tmp_path / "q.onnx", "cpu")
    model = typed_graph.read(tmp_path / "q.onnx")
    types = {t.name: t.data_type for t in model.graph.initializer}
    large = {t.name for t in model.graph.initializer if np.prod(t.dims) >= typed_graph.HALF_STORED_FROM}
    assert large and all(types[name] != onnx.TensorProto.FLOAT for name in large)
    scales = [node.input[1] for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert scales and all(types[name] == onnx.TensorProto.FLOAT for name in scales)


def test_activations_are_unsigned_for_cpus_and_signed_for_tensorrt(write_net, tmp_path):
    for target, unsigned in (("cpu", True), ("tensorrt", False)):
        typed_graph.quantise(write_net(), [images()], tmp_path / "q.onnx", target)
        model = typed_graph.read(tmp_path / "q.onnx")
        assert any(t.data_type == onnx.TensorProto.UINT8 for t in model.graph.initializer) == unsigned
    typed_graph.quantise(write_net(), [images()], tmp_path / "q.onnx", "cpu")
    with pytest.raises(HpeError, match="quantised with uint8 for CPUs"):
        typed_graph.for_tensorrt(typed_graph.read(tmp_path / "q.onnx"), "int8")


def test_first_and_last_convolutions_are_not_quantised(write_net, tmp_path):
    typed_graph.quantise(write_net(), [images()], tmp_path / "q.onnx", "cpu")
    names = {t.name for t in typed_graph.read(tmp_path / "q.onnx").graph.initializer}
    assert {"a.w", "out.w"} <= names and "b.w" not in names


def test_no_model_is_named(tmp_path):
    (tmp_path / "text.onnx").write_bytes(b"this is no model")
    with pytest.raises(HpeError, match=r"cannot load model .*text\.onnx"):
        typed_graph.read(tmp_path / "text.onnx")


FLOAT_NETWORKS = [
    name
    for name in model_store.names()
    if make.default_precision(model_store.read(model_store.path_of(name))) == "fp16"
]


@pytest.mark.parametrize("name", FLOAT_NETWORKS)
def test_every_shipped_network_keeps_its_poses_in_half_precision(name):
    reference = backends.create("onnxruntime", model_store.path_of(name), threads=1)
    half = session(typed_graph.for_tensorrt(typed_graph.read(model_store.path_of(name)), "fp16"))
    found = parity.measure(
        reference.run,
        lambda image: half.run(None, {"image": image})[0],
        reference.input_shape,
        reference.card.columns,
    )
    assert found.rows >= 16
    assert parity.refusal(found.as_dict(), "fp16") is None, found
