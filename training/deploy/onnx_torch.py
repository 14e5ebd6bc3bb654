"""An exported ONNX graph as a PyTorch module again, for converters that start from PyTorch.

Only the operators of this project's networks are known, as opset 17 means them; another one is refused by name.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from hpe_core.backends.tensorrt import onnx_graph
from hpe_core.errors import HpeError

MOST_FIXED = 64  # numbers of a constant that may be a shape, axes or limits


def for_one_image(path: str | Path) -> onnx.ModelProto:
    """The graph of a file for a batch of one, with what follows from constants and shapes computed by ONNX Runtime."""
    import onnxruntime as ort

    model = onnx_graph.read(path)
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC  # standard operators only
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        for dim in model.graph.input[0].type.tensor_type.shape.dim:
            if dim.dim_param:
                options.add_free_dimension_override_by_name(dim.dim_param, 1)
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


class OnnxModule(nn.Module):
    """The graph of a `for_one_image`: forward(image) -> its first output."""

    def __init__(self, model: onnx.ModelProto):
        super().__init__()
        unknown = sorted({node.op_type for node in model.graph.node} - {*OPERATORS})
        if unknown:
            raise HpeError(f"operators {', '.join(unknown)} cannot be converted, known: {', '.join(sorted(OPERATORS))}")
        self._input, self._output = model.graph.input[0].name, model.graph.output[0].name
        self._fixed: dict[str, list] = {}  # constants as plain numbers: axes, shapes, sizes, limits
        self._names: dict[str, str] = {}  # of a constant -> of its buffer
        for number, tensor in enumerate(model.graph.initializer):
            values = numpy_helper.to_array(tensor)
            if values.ndim <= 1 and values.size <= MOST_FIXED:
                self._fixed[tensor.name] = values.ravel().tolist()
            self._names[tensor.name] = f"constant_{number}"
            self.register_buffer(f"constant_{number}", torch.tensor(np.array(values)))
        self._nodes = [
            (
                node.op_type,
                list(node.input),
                list(node.output),
                {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute},
            )
            for node in model.graph.node
        ]

    def forward(self, image: Tensor) -> Tensor:
        values: dict[str, Any] = {self._input: image, "": None}
        values |= {name: getattr(self, buffer) for name, buffer in self._names.items()}
        for kind, inputs, outputs, attributes in self._nodes:
            fixed = [self._fixed.get(name) for name in inputs]
            made = OPERATORS[kind]([values[name] for name in inputs], fixed, attributes)
            values |= zip(outputs, made if isinstance(made, list | tuple) else [made], strict=False)
        return values[self._output]


def _symmetric(x: Tensor, attributes: dict[str, Any], fill: float = 0.0) -> tuple[Tensor, list[int]]:
    """The input and the padding (2) of a window operator; what differs between the two sides is put on at once."""
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise HpeError(f"auto_pad {attributes['auto_pad'].decode()} cannot be converted")
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    if (top, left) == (bottom, right):
        return x, [top, left]
    return functional.pad(x, (left, right, top, bottom), value=fill), [0, 0]


def _conv(x, fixed, a):
    image, padding = _symmetric(x[0], a)
    bias = x[2] if len(x) > 2 else None
    return functional.conv2d(image, x[1], bias, a.get("strides", 1), padding, a.get("dilations", 1), a.get("group", 1))


def _conv_transpose(x, fixed, a):
    image, padding = _symmetric(x[0], a)
    bias = x[2] if len(x) > 2 else None
    more = a.get("output_padding", 0)
    return functional.conv_transpose2d(
        image, x[1], bias, a.get("strides", 1), padding, more, a.get("group", 1), a.get("dilations", 1)
    )


def _pool(x, fixed, a, average):
    if average:
        image, padding = _symmetric(x[0], a)
        count = bool(a.get("count_include_pad", 0)) or padding == [0, 0]
        return functional.avg_pool2d(
            image, a["kernel_shape"], a.get("strides", 1), padding, bool(a.get("ceil_mode", 0)), count
        )
    image, padding = _symmetric(x[0], a, float("-inf"))
    return functional.max_pool2d(
        image, a["kernel_shape"], a.get("strides", 1), padding, a.get("dilations", 1), bool(a.get("ceil_mode", 0))
    )


def _gemm(x, fixed, a):
    left = x[0].transpose(0, 1) if a.get("transA", 0) else x[0]
    right = x[1] if a.get("transB", 0) else x[1].transpose(0, 1)
    bias = a.get("beta", 1.0) * x[2] if len(x) > 2 else None
    return functional.linear(left, a.get("alpha", 1.0) * right, bias)


def _slice(x, fixed, a):
    starts, ends = fixed[1], fixed[2]
    axes = fixed[3] if len(fixed) > 3 else range(len(starts))
    steps = fixed[4] if len(fixed) > 4 else [1] * len(starts)
    wanted = [slice(None)] * x[0].dim()
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        wanted[axis] = slice(start, end, step)
    return x[0][tuple(wanted)]


def _gather(x, fixed, a):
    axis = a.get("axis", 0)
    taken = torch.index_select(x[0], axis, x[1].reshape(-1))
    shape = x[0].shape
    return taken.reshape(*shape[:axis], *x[1].shape, *(shape[axis + 1 :] if axis != -1 else ()))


def _reshape(x, fixed, a):
    return x[0].reshape([x[0].shape[i] if n == 0 else n for i, n in enumerate(fixed[1])])


def _split(x, fixed, a):
    parts = fixed[1] if len(fixed) > 1 else x[0].shape[a.get("axis", 0)] // a["num_outputs"]
    return torch.split(x[0], parts, a.get("axis", 0))


def _resize(x, fixed, a):
    height, width = (
        fixed[3][2:] if len(x) > 3 else [round(s * n) for s, n in zip(fixed[2][2:], x[0].shape[2:], strict=True)]
    )
    mode, where = a.get("mode", b"nearest"), a.get("coordinate_transformation_mode", b"half_pixel")
    if mode == b"nearest" and where == b"asymmetric" and a.get("nearest_mode", b"") == b"floor":
        return functional.interpolate(x[0], size=(height, width), mode="nearest")
    if mode == b"linear" and where in (b"half_pixel", b"pytorch_half_pixel", b"align_corners"):
        corners = where == b"align_corners"
        return functional.interpolate(x[0], size=(height, width), mode="bilinear", align_corners=corners)
    raise HpeError(f"Resize with {mode.decode()}, {where.decode()} cannot be converted")


def _pad(x, fixed, a):
    if a.get("mode", b"constant") != b"constant":
        raise HpeError(f"Pad with {a['mode'].decode()} cannot be converted")
    half = len(fixed[1]) // 2
    sides = [n for axis in reversed(range(half)) for n in (fixed[1][axis], fixed[1][axis + half])]
    return functional.pad(x[0], sides, value=fixed[2][0] if len(fixed) > 2 and fixed[2] else 0.0)


def _clip(x, fixed, a):
    low, high = (one[0] if one else None for one in [*fixed[1:], None, None][:2])
    return torch.clamp(x[0], low, high)


def _reduce(function: Callable[..., Tensor]):
    def run(x, fixed, a):
        axes = fixed[1] if len(fixed) > 1 else a.get("axes", list(range(x[0].dim())))
        return function(x[0], tuple(axes), bool(a.get("keepdims", 1)))

    return run


def _squeeze(x, fixed, a):
    for axis in sorted((n % x[0].dim() for n in fixed[1]), reverse=True):
        x = [x[0].squeeze(axis)]
    return x[0]


def _unsqueeze(x, fixed, a):
    rank = x[0].dim() + len(fixed[1])
    for axis in sorted(n % rank for n in fixed[1]):
        x = [x[0].unsqueeze(axis)]
    return x[0]


def _cast(x, fixed, a):
    if a["to"] not in CASTS:
        raise HpeError(f"Cast to {onnx.TensorProto.DataType.Name(a['to'])} cannot be converted")
    return x[0].to(CASTS[a["to"]])


def _one(function: Callable[[Tensor], Tensor]):
    return lambda x, fixed, a: function(x[0])


def _two(function: Callable[[Tensor, Tensor], Tensor]):
    return lambda x, fixed, a: function(x[0], x[1])


CASTS = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.INT32: torch.int32,
    onnx.TensorProto.BOOL: torch.bool,
}
OPERATORS: dict[
    str, Callable[..., Any]
] = {  # (inputs, inputs as plain numbers where they are constants, attributes) -> output or outputs
    "Abs": _one(torch.abs),
    "Add": _two(torch.add),
    "AveragePool": lambda x, fixed, a: _pool(x, fixed, a, True),
    "BatchNormalization": lambda x, fixed, a: functional.batch_norm(
        x[0], x[3], x[4], x[1], x[2], eps=a.get("epsilon", 1e-5)
    ),
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda x, fixed, a: torch.cat(x, a["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Cos": _one(torch.cos),
    "Div": _two(torch.div),
    "Equal": _two(torch.eq),
    "Exp": _one(torch.exp),
    "Expand": lambda x, fixed, a: x[0].expand(torch.broadcast_shapes(x[0].shape, tuple(fixed[1]))),
    "Flatten": lambda x, fixed, a: x[0].flatten(a.get("axis", 1)),
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _one(lambda x: x.mean((2, 3), keepdim=True)),
    "Greater": _two(torch.gt),
    "HardSigmoid": lambda x, fixed, a: torch.clamp(a.get("alpha", 0.2) * x[0] + a.get("beta", 0.5), 0.0, 1.0),
    "HardSwish": _one(functional.hardswish),
    "Identity": _one(lambda x: x),
    "LeakyRelu": lambda x, fixed, a: functional.leaky_relu(x[0], a.get("alpha", 0.01)),
    "Less": _two(torch.lt),
    "Log": _one(torch.log),
    "MatMul": _two(torch.matmul),
    "Max": _two(torch.maximum),
    "MaxPool": lambda x, fixed, a: _pool(x, fixed, a, False),
    "Min": _two(torch.minimum),
    "Mul": _two(torch.mul),
    "Neg": _one(torch.neg),
    "PRelu": _two(lambda x, slope: torch.where(x >= 0, x, slope * x)),
    "Pad": _pad,
    "Pow": _two(torch.pow),
    "Reciprocal": _one(torch.reciprocal),
    "ReduceL2": _reduce(lambda x, axes, keep: torch.sqrt((x * x).sum(axes, keep))),
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Relu": _one(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": _one(torch.sigmoid),
    "Sin": _one(torch.sin),
    "Slice": _slice,
    "Softmax": lambda x, fixed, a: torch.softmax(x[0], a.get("axis", -1)),
    "Softplus": _one(functional.softplus),
    "Split": _split,
    "Sqrt": _one(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _two(torch.sub),
    "Sum": lambda x, fixed, a: sum(x[1:], x[0]),
    "Tanh": _one(torch.tanh),
    "Transpose": lambda x, fixed, a: x[0].permute(a["perm"]),
    "Unsqueeze": _unsqueeze,
    "Where": lambda x, fixed, a: torch.where(x[0], x[1], x[2]),
}
