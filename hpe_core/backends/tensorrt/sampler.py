"""The graph that cuts a network's input out of a whole image on the device: canvases of nodes, as OpenCV makes them in
hpe_core.pixels.canvas.

Inputs: `image` (H, W, 3) uint8, any size in IMAGE_SIZES; `nodes` (N, GRID, GRID, 2) float32, image pixels of evenly
spaced canvas pixels from the first to the last; `spread` (N,) float32, 0: bilinear at the pixels' centres, 1: the mean
over each pixel's whole area, SUB_PIXELS x SUB_PIXELS samples, so that nothing aliases when the image shrinks; beyond 1:
over a wider area. A sampler with one sample has no `spread` and serves where nothing shrinks, with a 16th of the work.
Output: `canvases` (N, height, width, 3) uint8, rounded.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpe_core.backends import onnxruntime
from hpe_core.catalogue import sha256_of
from hpe_core.errors import HpeError
from hpe_core.network_card import CROP, NetworkCard
from hpe_core.pixels.canvas import GRID, interpolation_weights

if TYPE_CHECKING:
    from onnx import ModelProto

VERSION = 2  # raise it when the graph of the same Sampler changes
OPSET = 17  # as the networks' export; GridSample came with 16
SUB_PIXELS = 4  # on each side of a canvas pixel that is spread
RULES = ("edge", "black")
MAX_CROPS = 8  # faces of one image; more go in several calls (8 crops of 128 px take 40 MB of samples and positions)
IMAGE_SIZES = ((16, 16), (480, 640), (1200, 1920))  # (height, width): least, usual, largest
ROUNDING = 1e-6  # of positions in [-1, 1]
TIE = 1e-3  # grey levels; positions are rounded, so an exact half can come out a little lower


@dataclass(frozen=True)
class Sampler:
    """Canvas of one network's input. rule: what lies beyond the image, its `edge` pixels repeated or `black`."""

    width: int
    height: int
    rule: str
    max_batch: int  # canvases per call
    sub_pixels: int  # SUB_PIXELS, or 1

    def __post_init__(self) -> None:
        known = self.rule in RULES and self.sub_pixels in (1, SUB_PIXELS)
        if not known or min(self.width, self.height) < 2 or not 1 <= self.max_batch <= MAX_CROPS:
            raise HpeError(f"no such sampler: {asdict(self)}")

    @property
    def name(self) -> str:
        return f"sampler_{self.width}x{self.height}_{self.rule}_{self.sub_pixels**2}"

    @property
    def sha256(self) -> str:
        """Identifies the graph without making it: a robot that has its engine needs no `onnx`."""
        text = json.dumps({"sampler": VERSION, "opset": OPSET, "grid": GRID} | asdict(self))
        return sha256_of(text.encode())

    @property
    def profiles(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Input -> its least, usual and largest shape."""
        batches = (1, 1, self.max_batch)
        shapes: dict[str, tuple[tuple[int, ...], ...]] = {
            "image": tuple((*size, 3) for size in IMAGE_SIZES),
            "nodes": tuple((batch, GRID, GRID, 2) for batch in batches),
        }
        if self.sub_pixels > 1:
            shapes["spread"] = tuple((batch,) for batch in batches)
        return shapes


def samplers_of(card: NetworkCard, max_batch: int) -> tuple[Sampler, Sampler]:
    """The Samplers (for points, for means) of a network that takes up to max_batch images per call."""
    _, height, width, _ = card.input_shape
    rule, batch = ("edge", min(max_batch, MAX_CROPS)) if card.kind == CROP else ("black", 1)
    return Sampler(width, height, rule, batch, 1), Sampler(width, height, rule, batch, SUB_PIXELS)


def takes(image_shape: tuple[int, ...]) -> bool:
    """Whether images of a shape (H, W, 3) lie within what samplers are built for."""
    (low_height, low_width), _, (height, width) = IMAGE_SIZES
    return low_height <= image_shape[0] <= height and low_width <= image_shape[1] <= width


def is_current(values: dict[str, Any], sha256: str) -> bool:
    """Whether this version makes a graph with this checksum for a Sampler, given as its dict."""
    try:
        return Sampler(**values).sha256 == sha256
    except (TypeError, HpeError):  # of another version
        return False


def reference(sampler: Sampler, threads: int = 0) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """The Sampler by ONNX Runtime, a function: image, nodes, spread -> canvases."""
    run = onnxruntime.function_of(graph(sampler).SerializeToString(), threads)

    def canvases(image, nodes, spread):
        spreads = {"spread": np.float32(spread)} if sampler.sub_pixels > 1 else {}
        return np.asarray(run(image=image, nodes=np.float32(nodes), **spreads))

    return canvases


def graph(sampler: Sampler) -> "ModelProto":
    """ModelProto of a Sampler. Raises HpeError when the package onnx is missing."""
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError as error:
        raise HpeError(f"building an engine needs the package {error.name}: pip install {error.name}") from error

    height, width, batch = sampler.height, sampler.width, "batch" if sampler.max_batch > 1 else 1
    spreads, weights = sampler.sub_pixels > 1, sampler_weights
    rows, columns = weights(height, sampler.sub_pixels), weights(width, sampler.sub_pixels)
    floats = {
        "rows": rows[0],
        "columns": columns[0].T,
        "one": 1.0,
        "two": 2.0,
        "half": 0.5 + TIE,
        "lightest": 255.0,
        "darkest": 0.0,
    }
    if spreads:
        floats |= {"rows_apart": rows[1], "columns_apart": columns[1].T}
    if sampler.rule == "black":
        floats["inside"] = 1.0 + ROUNDING
    integers = {
        "height_and_width": [1, 0],  # as x, y
        "first": [0],
        "tall": [1, -1, sampler.sub_pixels * width, 2],
        "canvas": [-1, height, width, 3],
    }
    if spreads:
        integers["per_canvas"] = [-1, 1, 1, 1]
    nodes = []

    def add(operator, inputs, output, **attributes):
        nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))

    add("Cast", ["image"], "image_float", to=TensorProto.FLOAT)  # TensorRT takes uint8 at the border only
    add("Transpose", ["image_float"], "channels", perm=[2, 0, 1])
    add("Unsqueeze", ["channels", "first"], "planes")
    # pixels become [-1, 1] from the outer edge of the first pixel to that of the last
    add("Shape", ["image_float"], "image_shape")
    add("Gather", ["image_shape", "height_and_width"], "size")
    add("Cast", ["size"], "size_float", to=TensorProto.FLOAT)
    add("Mul", ["nodes", "two"], "doubled")
    add("Add", ["doubled", "one"], "from_edge")
    add("Div", ["from_edge", "size_float"], "share")
    add("Sub", ["share", "one"], "normal")
    add("Transpose", ["normal"], "xy", perm=[0, 3, 1, 2])
    # positions of all sub-pixels: rows @ nodes @ columns
    across, along = "rows", "columns"
    if spreads:
        add("Reshape", ["spread", "per_canvas"], "spreads")
        for side in ("rows", "columns"):
            add("Mul", ["spreads", f"{side}_apart"], f"{side}_moved")
            add("Add", [f"{side}_moved", side], f"{side}_spread")
        across, along = "rows_spread", "columns_spread"
    add("MatMul", [across, "xy"], "between_rows")
    add("MatMul", ["between_rows", along], "xy_at")
    add("Transpose", ["xy_at"], "at_xy", perm=[0, 2, 3, 1])
    add("Reshape", ["at_xy", "tall"], "positions")  # all canvases below each other: one image serves them all
    sampling = {"mode": "bilinear", "padding_mode": "border", "align_corners": 0}
    add("GridSample", ["planes", "positions"], "samples", **sampling)
    values = "samples"
    if sampler.rule == "black":
        add("Abs", ["positions"], "distance")
        add("ReduceMax", ["distance"], "furthest", axes=[3], keepdims=0)
        add("Less", ["furthest", "inside"], "is_inside")
        add("Cast", ["is_inside"], "weight", to=TensorProto.FLOAT)
        add("Unsqueeze", ["weight", "first"], "weights")
        add("Mul", ["samples", "weights"], "masked")
        values = "masked"
    if spreads:
        size = 2 * [sampler.sub_pixels]
        add("AveragePool", [values], "means", kernel_shape=size, strides=size)
        values = "means"
    add("Add", [values, "half"], "raised")
    add("Floor", ["raised"], "rounded")  # halves upwards, as OpenCV does
    add("Clip", ["rounded", "darkest", "lightest"], "clipped")
    add("Transpose", ["clipped"], "channels_last", perm=[0, 2, 3, 1])
    add("Reshape", ["channels_last", "canvas"], "canvases_float")
    add("Cast", ["canvases_float"], "canvases", to=TensorProto.UINT8)
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.UINT8, ["height", "width", 3]),
        helper.make_tensor_value_info("nodes", TensorProto.FLOAT, [batch, GRID, GRID, 2]),
    ]
    if spreads:
        inputs.append(helper.make_tensor_value_info("spread", TensorProto.FLOAT, [batch]))
    outputs = [helper.make_tensor_value_info("canvases", TensorProto.UINT8, [batch, height, width, 3])]
    tensors = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in floats.items()]
    tensors += [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in integers.items()]
    model = helper.make_model(
        helper.make_graph(nodes, sampler.name, inputs, outputs, tensors),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    checker.check_model(model)
    return model


def sampler_weights(size: int, sub_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (size * sub_pixels, GRID) of each sub-pixel's pixel centre, and what leads from there to itself."""
    pixel = np.repeat(np.arange(size), sub_pixels)
    apart = np.tile((np.arange(sub_pixels) + 0.5) / sub_pixels - 0.5, size)
    per_pixel = (GRID - 1) / (size - 1)
    centre, itself = interpolation_weights(pixel * per_pixel), interpolation_weights((pixel + apart) * per_pixel)
    return centre, itself - centre
