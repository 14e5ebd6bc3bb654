"""An exported ONNX graph: read from its file, copied, looked through. Needs nothing but `onnx`."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from hpe_core.errors import HpeError
from hpe_core.network_card import CARD_KEY, FREE_SIDES, card_of, parsed

HALF_MAX = 65504.0
GEOMETRY = ("Div", "GridSample")  # normalised columns of a rotation, and what is looked at by it
STORED = "_stored"  # ends the name of a weight that the file holds as float16, or as whole steps, and casts to float32
STEP = "_step"  # ends the name of the step (out, 1, ...) of such a weight, by which it is multiplied


def read(path: str | Path, width: int = 0) -> ModelProto:
    """ModelProto of a file, its input's sides as hpe_core.network_card.card_of has them of a width where the file
    leaves them free. Raises HpeError when there is none in it."""
    try:
        model = onnx.load_from_string(Path(path).read_bytes())
        onnx.checker.check_model(model)
    except Exception as error:  # onnx and protobuf raise classes of their own
        raise HpeError(f"cannot load model {path}: {(str(error) or type(error).__name__).splitlines()[0]}") from error
    shape = input_shape(model)
    if tuple(shape[1:3]) != FREE_SIDES:
        return model
    _, height, width, _ = card_of(raw_card_of(model, path), shape, str(path), width).input_shape
    return with_sides(model, height, width)


def raw_card_of(model: ModelProto, path: str | Path) -> Any:
    """The model card (JSON value) inside a model; `path` is for the error."""
    for entry in model.metadata_props:
        if entry.key == CARD_KEY:
            return parsed(entry.value, f"the model card in {path}")
    raise HpeError(f"{path} carries no '{CARD_KEY}' metadata: it is no network of this project")


def input_shape(model: ModelProto) -> list[int | str]:
    """Numbers, and names where an axis is free."""
    return [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]


def is_quantised(model: ModelProto) -> bool:
    """Whether the model carries Q/DQ nodes."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def types_of(model: ModelProto) -> dict[str, int]:
    """How many nodes compute in float16, how many Q/DQ nodes there are, how many nodes in all."""
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


def with_initializers(model: ModelProto) -> ModelProto:
    """A copy whose Constant nodes and stored weights are initializers, without shapes of intermediate values."""
    model = copy_of(model)
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer if tensor.name.endswith(STORED)}
    for node in [node for node in graph.node if node.op_type == "Cast" and node.input[0] in stored]:
        half, name = stored[node.input[0]], node.output[0]
        values = numpy_helper.to_array(half).astype(np.float32)
        graph.node.remove(node)
        for product in [product for product in graph.node if product.op_type == "Mul" and product.input[0] == name]:
            step = next(tensor for tensor in graph.initializer if tensor.name == product.input[1])
            values, name = values * numpy_helper.to_array(step), product.output[0]
            graph.initializer.remove(step)
            graph.node.remove(product)
        graph.initializer.append(numpy_helper.from_array(values, name))
        graph.initializer.remove(half)
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
        graph.node.remove(node)
    del graph.value_info[:]
    return model


def with_sides(model: ModelProto, height: int, width: int) -> ModelProto:
    """A copy of a model that leaves its input's sides free, with these, and constants for what follows from them."""
    model = with_initializers(model)
    graph = model.graph
    for dim, side in zip(graph.input[0].type.tensor_type.shape.dim[1:3], (height, width), strict=True):
        dim.dim_value = side
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph.value_info
    shape_of = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inferred}
    given = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    known: dict[str, np.ndarray] = {}
    for node in graph.node:
        if node.op_type == "Shape":
            name = node.input[0]
            known[node.output[0]] = np.array(known[name].shape if name in known else shape_of[name], np.int64)
        elif any(name in known for name in node.input) and all(name in known or name in given for name in node.input):
            inputs = {name: (known | given)[name] for name in node.input}
            values = [np.asarray(value) for value in ReferenceEvaluator(node).run(None, inputs)]
            known |= dict(zip(node.output, values, strict=True))
    replace_nodes(graph, [node for node in graph.node if node.output[0] not in known])
    used = {name for node in graph.node for name in node.input}
    graph.initializer.extend(numpy_helper.from_array(known[name], name) for name in known if name in used)
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    tensors = [type(tensor).FromString(tensor.SerializeToString()) for tensor in kept]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    return onnx.shape_inference.infer_shapes(model)


def within_steps(graph: onnx.GraphProto) -> onnx.GraphProto:
    """The nodes but for GEOMETRY: in a network that looks again, at what its first step found, no value leads from one
    step to the next."""
    parts = onnx.GraphProto()
    parts.node.extend(node for node in graph.node if node.op_type not in GEOMETRY)
    return parts


def nodes_between(graph: onnx.GraphProto, wanted: Callable[[onnx.NodeProto], bool]) -> list[onnx.NodeProto]:
    """Nodes made from the output of a node of which wanted(node) is true, and that another such node is made from."""
    after, before = set(), values_leading_to(graph, wanted)
    for node in graph.node:
        if wanted(node) or any(name in after for name in node.input):
            after.update(node.output)
    return [node for node in graph.node if {*node.input} & after and {*node.output} & before]


def values_leading_to(graph: onnx.GraphProto, wanted: Callable[[onnx.NodeProto], bool]) -> set[str]:
    """Names of the values that some node, of which wanted(node) is true, is made from."""
    names: set[str] = set()
    for node in reversed(graph.node):
        if wanted(node) or any(name in names for name in node.output):
            names.update(name for name in node.input if name)
    return names


def half_tensor(tensor: TensorProto, name: str) -> TensorProto:
    """A float16 copy of a weight. Raises HpeError when it reaches beyond float16."""
    values = numpy_helper.to_array(tensor)
    largest = float(np.abs(values).max(initial=0.0))
    if not largest <= HALF_MAX:
        raise HpeError(f"weight {tensor.name} reaches {largest:g}, float16 ends at {HALF_MAX:g}: use precision fp32")
    return numpy_helper.from_array(values.astype(np.float16), name)


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Give a graph these nodes, some of which may be its own."""
    nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)


def copy_of(model: ModelProto) -> ModelProto:
    """Another model with the same content."""
    duplicate = ModelProto()
    duplicate.CopyFrom(model)
    return duplicate
