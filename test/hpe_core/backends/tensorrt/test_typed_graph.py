import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from hpe_core import backends, catalogue  # noqa: E402
from hpe_core.backends.tensorrt import network_file, onnx_graph, parity, typed_graph  # noqa: E402
from hpe_core.errors import HpeError  # noqa: E402


def session(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def rows_of(model, images):
    return session(model).run(None, {"image": images})[0]


def images(batch=1, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (batch, 48, 64, 3)).astype(np.uint8)


def test_float32_for_tensorrt_computes_the_very_same(write_net):
    model = onnx_graph.read(write_net())
    np.testing.assert_array_equal(rows_of(typed_graph.for_tensorrt(model, "fp32"), images()), rows_of(model, images()))


def test_half_precision_stays_within_a_thousandth_of_float32(write_net):
    model = onnx_graph.read(write_net())
    half = rows_of(typed_graph.for_tensorrt(model, "fp16"), images())
    full = rows_of(model, images())
    assert half.dtype == np.float32 and np.abs(half - full).max() > 0
    np.testing.assert_allclose(half, full, rtol=5e-3, atol=5e-3)


def test_convolutions_are_half_while_pixels_and_decode_stay_float32(write_net):
    half = typed_graph.for_tensorrt(onnx_graph.read(write_net()), "fp16")
    types = {v.name: v.type.tensor_type.elem_type for v in onnx.shape_inference.infer_shapes(half).graph.value_info}
    for name in ("a", "ar", "b", "up", "sum", "c", "raw"):
        assert types[name] == onnx.TensorProto.FLOAT16, name
    for name in ("x", "rows13", "score", "centre", "size"):
        assert types[name] == onnx.TensorProto.FLOAT, name
    weights = {t.name: t.data_type for t in half.graph.initializer}
    assert weights["zoom"] == onnx.TensorProto.FLOAT  # Resize takes its scales in float32 only
    assert all(weights[f"{n}.w_half"] == onnx.TensorProto.FLOAT16 and f"{n}.w" not in weights for n in "abc")


def test_the_image_is_cast_before_anything_else_touches_it(write_net):
    for model in (typed_graph.for_tensorrt(onnx_graph.read(write_net()), p) for p in ("fp16", "fp32")):
        users = [node.op_type for node in model.graph.node if "image" in node.input]
        assert users == ["Cast"]


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_images_of_a_batch_give_what_each_gives_alone(write_net, precision):
    model = typed_graph.for_tensorrt(onnx_graph.read(write_net()), precision, max_batch=16)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    together = rows_of(model, images(3))
    for i in range(3):
        np.testing.assert_allclose(together[i], rows_of(model, images(3)[i : i + 1])[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(together[i, :, 13], 4.0)


def test_of_a_crop_network_the_hidden_dense_layer_is_half_and_the_last_one_is_not(write_crop_net):
    half = typed_graph.for_tensorrt(onnx_graph.read(write_crop_net()), "fp16", max_batch=16)
    types = {v.name: v.type.tensor_type.elem_type for v in onnx.shape_inference.infer_shapes(half).graph.value_info}
    assert all(types[name] == onnx.TensorProto.FLOAT16 for name in ("a", "b", "flat", "h"))
    assert all(types[name] == onnx.TensorProto.FLOAT for name in ("x", "hr", "raw", "metres"))


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_batch_that_is_free_already_stays_free(write_crop_net, precision):
    model = onnx_graph.read(write_crop_net())
    crops = np.random.default_rng(2).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    for max_batch in (1, 16):
        typed = typed_graph.for_tensorrt(model, precision, max_batch)
        np.testing.assert_allclose(rows_of(typed, crops), rows_of(model, crops), atol=5e-3)


def test_the_model_given_is_left_as_it_was(write_net):
    model = onnx_graph.read(write_net())
    before = model.SerializeToString()
    typed_graph.for_tensorrt(model, "fp16", max_batch=16)
    assert model.SerializeToString() == before


def test_the_card_survives(write_net):
    path = write_net()
    model = typed_graph.for_tensorrt(onnx_graph.read(path), "fp16")
    assert onnx_graph.raw_card_of(model, path)["name"] == "net"


def test_a_weight_beyond_float16_is_refused_by_name_and_size(write_net):
    model = onnx_graph.read(write_net(scale=1e6))
    with pytest.raises(HpeError, match=r"weight a\.w reaches .*, float16 ends at 65504: use precision fp32"):
        typed_graph.for_tensorrt(model, "fp16")
    typed_graph.for_tensorrt(model, "fp32")


def test_unknown_precision_lists_the_known_ones(write_net):
    with pytest.raises(HpeError, match="precision must be one of fp16, fp32, int8, got 'fp4'"):
        typed_graph.for_tensorrt(onnx_graph.read(write_net()), "fp4")


def test_no_model_is_named(tmp_path):
    (tmp_path / "text.onnx").write_bytes(b"this is no model")
    with pytest.raises(HpeError, match=r"cannot load model .*text\.onnx"):
        onnx_graph.read(tmp_path / "text.onnx")


FLOAT_NETWORKS = [
    name for name in catalogue.networks() if not network_file.read(catalogue.path_of(name)).card.quantised
]


@pytest.mark.parametrize("name", FLOAT_NETWORKS)
def test_every_shipped_network_keeps_its_poses_in_half_precision(name):
    reference = backends.create("onnxruntime", catalogue.path_of(name), threads=1)
    half = session(typed_graph.for_tensorrt(onnx_graph.read(catalogue.path_of(name)), "fp16"))
    found = parity.measure(
        reference.run,
        lambda image: half.run(None, {"image": image})[0],
        reference.card,
    )
    assert found.rows >= 16
    assert parity.refusal(found.as_dict(), "fp16") is None, found
