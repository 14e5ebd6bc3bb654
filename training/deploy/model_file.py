"""The file of a network as it ships: weights at half their size, and the card, in it and beside it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from hpe_core.backends.tensorrt.onnx_graph import STEP, STORED, copy_of, half_tensor, replace_nodes
from hpe_core.network_card import CARD_KEY

HALF_STORED_FROM = 256  # elements
BYTES_STORED_FROM = 100_000


def with_half_storage(model: ModelProto) -> ModelProto:
    """A copy that takes half the space: large weights are stored as float16 and cast to float32 when it is loaded.

    Scales of a quantised model stay as they are.
    """
    model = copy_of(model)
    graph, casts = model.graph, []
    scales = {node.input[1] for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in scales]:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= HALF_STORED_FROM:
            name = tensor.name
            half = half_tensor(tensor, name + STORED)
            graph.initializer.remove(tensor)
            graph.initializer.append(half)
            casts.append(helper.make_node("Cast", [name + STORED], [name], name=name + STORED, to=TensorProto.FLOAT))
    replace_nodes(graph, [*casts, *graph.node])
    return model


def with_byte_storage(model: ModelProto) -> ModelProto:
    """A copy whose largest weights are stored as int8: whole steps, of a size for each output channel. It computes in
    float32 all the same; a weight is off by half a step at most.
    """
    model = copy_of(model)
    graph, nodes = model.graph, []
    for tensor in [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT]:
        if len(tensor.dims) < 2 or np.prod(tensor.dims) < BYTES_STORED_FROM:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        step = np.abs(values).max(tuple(range(1, values.ndim)), keepdims=True).clip(1e-12) / 127.0
        whole = np.rint(values / step).astype(np.int8)
        graph.initializer.remove(tensor)
        graph.initializer.extend(
            [numpy_helper.from_array(whole, name + STORED), numpy_helper.from_array(step, name + STEP)]
        )
        steps = name + "_steps"
        nodes.append(helper.make_node("Cast", [name + STORED], [steps], name=name + STORED, to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [steps, name + STEP], [name], name=name + STEP))
    replace_nodes(graph, [*nodes, *graph.node])
    return model


def write_card(path: str | Path, card: dict[str, Any]) -> None:
    """Put a card into a model file and beside it, as JSON."""
    model = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props} | {CARD_KEY: json.dumps(card)}
    helper.set_model_props(model, properties)
    onnx.save(model, path)
    Path(path).with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
