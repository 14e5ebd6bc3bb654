"""Rounding of INT8 weights that keeps a layer's output instead of each weight.

GPTQ (Frantar et al., arXiv 2210.17323): the columns of a layer's weights are rounded one after the other, and those
that are left make up for the error so far, by the second moments of the layer's inputs.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, NodeProto, helper, numpy_helper

from hpe_core.backends.tensorrt.onnx_graph import copy_of

PER_IMAGE = 64  # places of each convolution that its second moments are taken from, per image
DAMPING = 0.01  # share of the mean second moment, added to all


def with_compensated_rounding(model: ModelProto, reference: ModelProto, inputs: Iterable[np.ndarray]) -> ModelProto:
    """A copy of a model with Q/DQ (ModelProto) whose int8 weights are rounded again; scales and the rest stay.

    reference: the float model (ModelProto with initializers), nodes named alike; inputs: iterable of its inputs.
    """
    model = copy_of(model)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    made_by = {name: node for node in model.graph.node for name in node.output}
    layers = {}  # node's name -> DequantizeLinear of its weights
    for node in model.graph.node:
        dequantise = made_by.get(node.input[1]) if node.op_type in ("Conv", "Gemm") else None
        if dequantise is not None and dequantise.input[0] in weights:
            layers[node.name] = dequantise
    full = {tensor.name: tensor for tensor in reference.graph.initializer}
    nodes = [node for node in reference.graph.node if node.name in layers]
    values = [numpy_helper.to_array(full[node.input[1]]) for node in nodes]
    moments = second_moments(reference, nodes, [layer.shape[2:] for layer in values], inputs)
    for node, layer, moment in zip(nodes, values, moments, strict=True):
        dequantise = layers[node.name]
        scale = numpy_helper.to_array(weights[dequantise.input[1]])
        rounded = compensated(layer.reshape(len(layer), -1), scale, moment).reshape(layer.shape)
        weights[dequantise.input[0]].CopyFrom(numpy_helper.from_array(rounded, dequantise.input[0]))
    return model


def compensated(weights: np.ndarray, scale: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """int8 weights (N, D) for weights (N, D) on grids of scale (N,), second moments (D, D) of the layer's inputs."""
    left, rounded = np.array(weights, float), np.empty(weights.shape, np.int8)
    damped = moments + DAMPING * np.mean(np.diag(moments)) * np.eye(len(moments))
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    for i in range(len(moments)):
        rounded[:, i] = np.clip(np.round(left[:, i] / scale), -127, 127)
        error = (left[:, i] - rounded[:, i] * scale) / upper[i, i]
        left[:, i + 1 :] -= error[:, None] * upper[i, i + 1 :]
    return rounded


def second_moments(
    model: ModelProto,
    nodes: Sequence[NodeProto],
    kernels: Sequence[tuple[int, ...]],
    inputs: Iterable[np.ndarray],
    seed: int = 0,
) -> list[np.ndarray]:
    """For each of some convolutions and dense layers (D, D): the mean of x x' over what its weights multiply.

    kernels: (height, width) of each node, of a dense layer ().
    """
    probe = copy_of(model)
    del probe.graph.output[:]
    names = list(dict.fromkeys(node.input[0] for node in nodes))
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rng, counts = np.random.default_rng(seed), [0] * len(nodes)
    sums = [np.zeros(()) for _ in nodes]
    for image in inputs:
        values = dict(zip(names, session.run(None, {model.graph.input[0].name: image}), strict=True))
        for i, node in enumerate(nodes):
            x = operands(node, np.asarray(values[node.input[0]]), kernels[i], rng).astype(float)
            sums[i] = sums[i] + x.T @ x
            counts[i] += len(x)
    return [total / count for total, count in zip(sums, counts, strict=True)]


def operands(
    node: NodeProto, x: np.ndarray, kernel: tuple[int, ...], rng: np.random.Generator, count: int = PER_IMAGE
) -> np.ndarray:
    """What a layer multiplies with a row of weights (M, D): all rows of a dense layer, `count` places of others."""
    if not kernel:
        return x
    options: dict[str, Any] = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    top, left, bottom, right = options.get("pads", (0, 0, 0, 0))
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    down, across = options.get("strides", (1, 1))
    places = np.lib.stride_tricks.sliding_window_view(x, kernel, (2, 3))[:, :, ::down, ::across]
    b, i, j = (rng.integers(0, places.shape[axis], count) for axis in (0, 2, 3))
    return places[b, :, i, j].reshape(count, -1)
