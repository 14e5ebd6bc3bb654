"""Precision baked into the ONNX: a typed FP16 graph for TensorRT, Q/DQ for INT8, and a batch axis.

TensorRT 11 knows only strongly typed networks: what runs in half precision is what the graph says is half. The
conversion needs nothing but `onnx`, so a robot makes its engine from the one ONNX that ships. What changes these graphs
raises RECIPE in hpe_core.backends.tensorrt.key.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hpe_core.backends.onnxruntime import CARD_KEY
from hpe_core.backends.tensorrt.key import PRECISIONS
from hpe_core.errors import HpeError
from hpe_core.network_card import parsed

HALF_MAX = 65504.0
HALF_STORED_FROM = 256  # elements
STORED = "_stored"
FLOAT_INPUTS = {"Resize": (1, 2)}  # inputs that stay float32 by the operator's definition: roi, scales
TARGETS = ("cpu", "tensorrt")
QUANTISED_OPERATORS = {"cpu": ["Conv", "Gemm", "Relu", "Add", "Resize"], "tensorrt": ["Conv", "Add", "Resize"]}
# TensorRT joins a convolution with the ReLU behind it where no Q/DQ lies between them; on CPUs the ReLU is in the range
FLOAT_OUTPUTS = {"cpu": [], "tensorrt": ["Conv"]}


def for_tensorrt(model, precision, max_batch=1):
    """A copy of an exported model (ModelProto) as TensorRT takes it: strongly typed, batch 1 or, beyond 1, free.

    precision: fp16 converts; fp32 and int8 keep the types that are there (int8: the model must carry Q/DQ).
    Raises HpeError when the model does not fit the precision.
    """
    quantised = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    if precision not in PRECISIONS:
        raise HpeError(f"precision must be one of {', '.join(PRECISIONS)}, got '{precision}'")
    if quantised != (precision == "int8"):
        state = "carries" if quantised else "carries no"
        raise HpeError(f"precision {precision} does not fit: the model {state} Q/DQ nodes")
    if quantised and any(tensor.data_type == TensorProto.UINT8 for tensor in model.graph.initializer):
        raise HpeError("the model was quantised with uint8 for CPUs, TensorRT takes int8 only: quantise for tensorrt")
    model = with_initializers(model)
    model = with_cast_first(model)
    if precision == "fp16":
        model = with_half_convolutions(model)
    if max_batch > 1 and not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        model = with_batch(model)
    onnx.checker.check_model(model)
    return model


def with_half_storage(model):
    """A copy that takes half the space: large weights are stored as float16 and cast to float32 when it is loaded.

    Scales of a quantised model stay as they are.
    """
    model = _copy(model)
    graph, casts = model.graph, []
    scales = {node.input[1] for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in scales]:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= HALF_STORED_FROM:
            name = tensor.name
            half = _half_tensor(tensor, name + STORED)
            graph.initializer.remove(tensor)
            graph.initializer.append(half)
            casts.append(helper.make_node("Cast", [name + STORED], [name], name=name + STORED, to=TensorProto.FLOAT))
    _replace_nodes(graph, [*casts, *graph.node])
    return model


def with_initializers(model):
    """A copy whose Constant nodes and stored half weights are initializers, without shapes of intermediate values."""
    model = _copy(model)
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer if tensor.name.endswith(STORED)}
    for node in [node for node in graph.node if node.op_type == "Cast" and node.input[0] in stored]:
        half = stored[node.input[0]]
        full = numpy_helper.from_array(numpy_helper.to_array(half).astype(np.float32), node.output[0])
        graph.initializer.append(full)
        graph.initializer.remove(half)
        graph.node.remove(node)
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
        graph.node.remove(node)
    del graph.value_info[:]
    return model


def with_cast_first(model):
    """A copy in which an input that is transposed and then cast is cast and then transposed.

    TensorRT allows uint8 at the input only, right before a cast; on the CPU the exported order moves fewer bytes.
    """
    model = _copy(model)
    graph = model.graph
    inputs = {value.name for value in graph.input}
    for move in [node for node in graph.node if node.op_type == "Transpose" and node.input[0] in inputs]:
        users = [node for node in graph.node if move.output[0] in node.input]
        if len(users) != 1 or users[0].op_type != "Cast":
            continue
        cast = users[0]
        image, between, out = move.input[0], move.output[0], cast.output[0]
        cast.input[0], cast.output[0] = image, between
        move.input[0], move.output[0] = between, out
        nodes = list(graph.node)
        i, j = nodes.index(move), nodes.index(cast)
        nodes[i], nodes[j] = nodes[j], nodes[i]
        _replace_nodes(graph, nodes)
    return model


def with_half_convolutions(model):
    """A copy in which everything from the first to the last convolutions is float16, with casts at the borders.

    A node is half when it is a convolution or a hidden dense layer, or lies between two of these. So the scaling of
    pixels before, a last dense layer, and the decode after (pixel coordinates up to hundreds, exponentials) stay
    float32. Needs initializers instead of Constant nodes.
    Raises HpeError when a weight is beyond float16.
    """
    model = _copy(model)
    graph = model.graph
    half_values = {name for node in _between_convolutions(graph) for name in node.output}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes, made = [], set()

    def cast(name, to, suffix):
        if name + suffix not in made:
            made.add(name + suffix)
            nodes.append(helper.make_node("Cast", [name], [name + suffix], name=f"{name}{suffix}", to=to))
        return name + suffix

    def half_weight(name):
        if name + "_half" not in made:
            made.add(name + "_half")
            graph.initializer.append(_half_tensor(weights[name], name + "_half"))
        return name + "_half"

    for node in graph.node:
        for i, name in enumerate(node.input):
            if node.output[0] not in half_values:
                if name in half_values:
                    node.input[i] = cast(name, TensorProto.FLOAT, "_float")
            elif not name or name in half_values or i in FLOAT_INPUTS.get(node.op_type, ()):
                continue
            elif name not in weights:
                node.input[i] = cast(name, TensorProto.FLOAT16, "_half")
            elif weights[name].data_type == TensorProto.FLOAT:
                node.input[i] = half_weight(name)
        nodes.append(node)
    _replace_nodes(graph, nodes)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    return model


def with_batch(model):
    """A copy whose first axis, 1 in the export, is free. Needs initializers instead of Constant nodes.

    A constant that is concatenated with activations (the stride column) has the exported batch: it is expanded.
    """
    model = _copy(model)
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    weights = {tensor.name: tensor for tensor in graph.initializer}
    first = np.array([0], np.int64)
    graph.initializer.append(numpy_helper.from_array(first, "batch_axis"))
    nodes = []
    for node in graph.node:
        axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
        activations = [name for name in node.input if name not in weights]
        if node.op_type == "Concat" and axis != 0 and activations:
            for i, name in enumerate(node.input):
                if name in weights and weights[name].dims and weights[name].dims[0] == 1:
                    shape = f"{name}_shape_rest"
                    rest = np.array(weights[name].dims[1:], np.int64)
                    graph.initializer.append(numpy_helper.from_array(rest, shape))
                    nodes += [
                        helper.make_node("Shape", [activations[0]], [f"{name}_of"]),
                        helper.make_node("Gather", [f"{name}_of", "batch_axis"], [f"{name}_batch"]),
                        helper.make_node("Concat", [f"{name}_batch", shape], [f"{name}_shape"], axis=0),
                        helper.make_node("Expand", [name, f"{name}_shape"], [f"{name}_expanded"]),
                    ]
                    node.input[i] = f"{name}_expanded"
        nodes.append(node)
    _replace_nodes(graph, nodes)
    return model


def quantise(model_path, images, out, target="cpu"):
    """Write `out`: the model with Q/DQ around its inner layers, ranges from `images`; returns its card (dict).

    images: iterable of the network's inputs, (N, H, W, 3) uint8. target: cpu (activations uint8, weights int8) or
    tensorrt (both int8 and symmetric, all it accepts). Weights have one scale per output channel (Krishnamoorthi,
    arXiv 1806.08342) and are rounded with training.deploy.rounding. The first and the last layers stay float32:
    measured faster and closer to float32 than with them. The card's precision becomes int8.
    """
    from onnxruntime import quantization as q

    from training.deploy.rounding import with_compensated_rounding

    if target not in TARGETS:
        raise HpeError(f"target must be one of {', '.join(TARGETS)}, got '{target}'")
    images = list(images)
    model = with_initializers(onnx.load(model_path))
    name = model.graph.input[0].name

    class Images(q.CalibrationDataReader):
        def __init__(self):
            self._feeds = ({name: image} for image in images)

        def get_next(self):
            return next(self._feeds, None)

    inner = {node.name for node in _inner(model.graph)}
    q.quantize_static(
        _copy(model),
        str(out),
        Images(),
        quant_format=q.QuantFormat.QDQ,
        op_types_to_quantize=QUANTISED_OPERATORS[target],
        nodes_to_exclude=[node.name for node in model.graph.node if node.name not in inner],
        per_channel=True,
        activation_type=q.QuantType.QUInt8 if target == "cpu" else q.QuantType.QInt8,
        weight_type=q.QuantType.QInt8,
        calibrate_method=q.CalibrationMethod.MinMax,
        extra_options={
            "ActivationSymmetric": target == "tensorrt",
            "WeightSymmetric": True,
            "QuantizeBias": target == "cpu",  # int32 biases: TensorRT refuses them
            "OpTypesToExcludeOutputQuantization": FLOAT_OUTPUTS[target],
        },
    )
    quantised = with_compensated_rounding(onnx.load(out), model, images)
    del quantised.graph.value_info[:]
    onnx.save(with_half_storage(quantised), out)
    card = card_of(model, model_path) | {"precision": "int8"}
    write_card(out, card)
    return card


def card_of(model, path):
    """The model card (dict) inside a ModelProto; `path` is for the error."""
    for entry in model.metadata_props:
        if entry.key == CARD_KEY:
            return parsed(entry.value, f"the model card in {path}")
    raise HpeError(f"{path} carries no '{CARD_KEY}' metadata: it was not exported by training.deploy.export")


def write_card(path, card):
    """Put a card (dict) into a model file and beside it, as JSON."""
    model = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props} | {CARD_KEY: json.dumps(card)}
    helper.set_model_props(model, properties)
    onnx.save(model, path)
    Path(path).with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")


def read(path):
    """ModelProto of a file. Raises HpeError when there is none in it."""
    try:
        model = onnx.load_from_string(Path(path).read_bytes())
        onnx.checker.check_model(model)
    except Exception as error:  # onnx and protobuf raise classes of their own
        raise HpeError(f"cannot load model {path}: {(str(error) or type(error).__name__).splitlines()[0]}") from error
    return model


def types_of(model):
    """dict: how many nodes compute in float16, how many Q/DQ nodes there are, how many nodes in all."""
    half = {t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT16}
    nodes = model.graph.node
    for node in nodes:
        to = next((a.i for a in node.attribute if a.name == "to"), None)
        if to == TensorProto.FLOAT16 or (to is None and any(name in half for name in node.input)):
            half.update(node.output)
    return {
        "float16": sum(node.output[0] in half for node in nodes if node.op_type != "Cast"),
        "quantised": sum(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in nodes),
        "nodes": len(nodes),
    }


def _between_convolutions(graph):
    """Nodes that are convolutions or hidden dense layers, or lie between two of these."""
    dense = _leading_to(graph, lambda node: node.op_type == "Gemm")

    def counts(node):
        return node.op_type == "Conv" or (node.op_type == "Gemm" and node.output[0] in dense)

    between = {node.output[0] for node in _between(graph, counts)}
    return [node for node in graph.node if node.output[0] in between or counts(node)]


def _inner(graph):
    """Nodes that lie between two convolutions or dense layers: all of these but the first and the last."""
    return _between(graph, lambda node: node.op_type in ("Conv", "Gemm"))


def _between(graph, wanted):
    """Nodes made from the output of a node of which wanted(node) is true, and that another such node is made from."""
    after, before = set(), _leading_to(graph, wanted)
    for node in graph.node:
        if wanted(node) or any(name in after for name in node.input):
            after.update(node.output)
    return [node for node in graph.node if {*node.input} & after and {*node.output} & before]


def _leading_to(graph, wanted):
    """Names of the values that some node, of which wanted(node) is true, is made from."""
    names = set()
    for node in reversed(graph.node):
        if wanted(node) or any(name in names for name in node.output):
            names.update(name for name in node.input if name)
    return names


def _half_tensor(tensor, name):
    values = numpy_helper.to_array(tensor)
    largest = float(np.abs(values).max(initial=0.0))
    if not largest <= HALF_MAX:
        raise HpeError(f"weight {tensor.name} reaches {largest:g}, float16 ends at {HALF_MAX:g}: use precision fp32")
    return numpy_helper.from_array(values.astype(np.float16), name)


def _replace_nodes(graph, nodes):
    nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)


def _copy(model):
    duplicate = onnx.ModelProto()
    duplicate.CopyFrom(model)
    return duplicate
