"""Precision baked into the ONNX: a typed FP16 graph for TensorRT, and a batch axis.

TensorRT 11 knows only strongly typed networks: what runs in half precision is what the graph says is half. The
conversion needs nothing but `onnx`, so a robot makes its engine from the one ONNX that ships. What changes these graphs
raises RECIPE in hpe_core.backends.tensorrt.key.
"""

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from hpe_core.backends.tensorrt.key import PRECISIONS
from hpe_core.backends.tensorrt.onnx_graph import (
    copy_of,
    half_tensor,
    is_quantised,
    nodes_between,
    replace_nodes,
    values_leading_to,
    with_initializers,
    within_steps,
)
from hpe_core.errors import HpeError

FLOAT_INPUTS = {"Resize": (1, 2)}  # inputs that stay float32 by the operator's definition: roi, scales


def for_tensorrt(model: ModelProto, precision: str, max_batch: int = 1) -> ModelProto:
    """A copy of an exported model as TensorRT takes it: strongly typed, batch 1 or, beyond 1, free.

    precision: fp16 converts; fp32 and int8 keep the types that are there (int8: the model must carry Q/DQ).
    Raises HpeError when the model does not fit the precision.
    """
    quantised = is_quantised(model)
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


def with_cast_first(model: ModelProto) -> ModelProto:
    """A copy in which an input that is transposed and then cast is cast and then transposed.

    TensorRT allows uint8 at the input only, right before a cast; on the CPU the exported order moves fewer bytes.
    """
    model = copy_of(model)
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
        replace_nodes(graph, nodes)
    return model


def with_half_convolutions(model: ModelProto) -> ModelProto:
    """A copy in which everything from the first to the last convolutions is float16, with casts at the borders.

    A node is half when it is a convolution or a hidden dense layer, or lies between two of these. So the scaling of
    pixels before, a last dense layer, and the decode after (pixel coordinates up to hundreds, exponentials) stay
    float32. Needs initializers instead of Constant nodes.
    Raises HpeError when a weight is beyond float16.
    """
    model = copy_of(model)
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
            graph.initializer.append(half_tensor(weights[name], name + "_half"))
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
    replace_nodes(graph, nodes)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    return model


def with_batch(model: ModelProto) -> ModelProto:
    """A copy whose first axis, 1 in the export, is free. Needs initializers instead of Constant nodes.

    A constant that is concatenated with activations (the stride column) has the exported batch: it is expanded.
    """
    model = copy_of(model)
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
    replace_nodes(graph, nodes)
    return model


def _between_convolutions(graph):
    """Nodes that are convolutions or hidden dense layers, or lie between two of these."""
    graph = within_steps(graph)
    dense = values_leading_to(graph, lambda node: node.op_type == "Gemm")

    def counts(node):
        return node.op_type == "Conv" or (node.op_type == "Gemm" and node.output[0] in dense)

    between = {node.output[0] for node in nodes_between(graph, counts)}
    return [node for node in graph.node if node.output[0] in between or counts(node)]
