"""INT8 by Q/DQ nodes in the ONNX: which layers, which types, ranges from images."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hpe_core.backends.tensorrt.onnx_graph import (
    copy_of,
    nodes_between,
    raw_card_of,
    with_initializers,
    within_steps,
)
from hpe_core.errors import HpeError
from training.deploy.model_file import with_half_storage, write_card
from training.deploy.rounding import with_compensated_rounding

TARGETS = ("cpu", "tensorrt")
QUANTISED_OPERATORS = {"cpu": ["Conv", "Gemm", "Relu", "Add", "Resize"], "tensorrt": ["Conv", "Add", "Resize"]}
# TensorRT joins a convolution with the ReLU behind it where no Q/DQ lies between them; on CPUs the ReLU is in the range
FLOAT_OUTPUTS = {"cpu": [], "tensorrt": ["Conv"]}


def quantise(
    model_path: str | Path,
    images: Iterable[np.ndarray],
    out: str | Path,
    target: str = "cpu",
    in_float: Sequence[str] = (),
) -> dict[str, Any]:
    """Write `out`: the model with Q/DQ around its inner layers, ranges from `images`; returns its card.

    images: iterable of the network's inputs, (N, H, W, 3) uint8. target: cpu (activations uint8, weights int8) or
    tensorrt (both int8 and symmetric, all it accepts). Weights have one scale per output channel (Krishnamoorthi,
    arXiv 1806.08342) and are rounded with training.deploy.rounding. The first and the last layers stay float32:
    measured faster and closer to float32 than with them, and so do layers whose weights' names begin with one of
    `in_float`. The card's precision becomes int8.
    """
    from onnxruntime import quantization as q

    if target not in TARGETS:
        raise HpeError(f"target must be one of {', '.join(TARGETS)}, got '{target}'")
    images = list(images)
    model = with_initializers(onnx.load(model_path))
    name = model.graph.input[0].name

    class Images(q.CalibrationDataReader):
        def __init__(self):
            self._feeds = ({name: image} for image in images)

        def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            return next(self._feeds, None)

    inner = {node.name for node in inner_nodes(model.graph)} - _layers(model.graph, in_float)
    q.quantize_static(
        copy_of(model),
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
    card = raw_card_of(model, model_path) | {"precision": "int8"}
    write_card(out, card)
    return card


def _layers(graph, prefixes):
    """Names of the nodes of the layers whose weights' names begin with one of these, with the ReLU behind each."""
    nodes, outputs = set(), set()
    for node in graph.node:
        own = any(name.startswith(prefix) for name in node.input for prefix in prefixes)
        if own or (node.op_type == "Relu" and node.input[0] in outputs):
            nodes.add(node.name)
            outputs.update(node.output)
    return nodes


def inner_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes that lie between two convolutions or dense layers: all of these but the first and the last, in a network
    of several steps of each step. Numbers that a step takes as a pose are too fine for eight bits."""
    return nodes_between(within_steps(graph), lambda node: node.op_type in ("Conv", "Gemm"))
