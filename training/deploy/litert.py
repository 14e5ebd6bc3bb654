"""Networks for phones and small boards: LiteRT files (.tflite) from exported ONNX, float and with 8-bit weights.

`hpe export --to litert` calls `export`. The ONNX goes through PyTorch (training.deploy.onnx_torch) into litert-torch;
its 8-bit edition is made by ai-edge-quantizer of the same graph, whose weights were rounded as those of the INT8 ONNX
(training.deploy.rounding). Activations are quantised at run time, with the range that they have there.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import re
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from hpe_core import backends, catalogue
from hpe_core.backends.tensorrt import parity
from hpe_core.backends.tensorrt.onnx_graph import with_initializers
from hpe_core.errors import HpeError
from hpe_core.inference import Backend
from hpe_core.io.out_folder import check_new_file, new_file
from hpe_core.io.sources import open_source
from hpe_core.network_card import CARD_KEY, CROP
from training.deploy import quantise
from training.deploy.int8 import inner_nodes
from training.deploy.rounding import compensated, second_moments

LIMIT_DEG = {"float32": 0.1, "int8": 0.5}  # median rotation from ONNX Runtime in the parity check
PACKAGES = ("litert_torch", "ai_edge_litert", "ai_edge_quantizer")
LAYERS = ("CONV_2D", "FULLY_CONNECTED")  # whose weights 8 bits hold
INPUT = "image"
ROUNDS = 40  # of the measurement of latency
Run = Callable[[np.ndarray], np.ndarray]


def export(args: argparse.Namespace) -> int:
    """`hpe export MODEL --to litert`: two files and their cards for every network of the model; returns 0."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise HpeError(f"hpe export --to litert needs {missing[0]}: in the source checkout, pip install -e '.[litert]'")
    paths = networks_of(args.model)
    names = [[f"{path.stem}.tflite", f"{path.stem}_int8.tflite"] for path in paths]
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for name in [name for both in names for file in both for name in (file, f"{Path(file).stem}.json")]:
        check_new_file(out / name, args.overwrite, paths)
    for path, both in zip(paths, names, strict=True):
        reference = backends.create(backends.CPU, path, threads=1)
        if reference.card.quantised:
            raise HpeError(f"{path.name} is INT8 already: export the float network, its 8-bit edition comes with it")
        inputs = inputs_of(reference, args)
        with tempfile.TemporaryDirectory() as folder:
            grid = Path(folder) / "grid.onnx"
            onnx.save(on_grid(onnx.load(path), [image[None] for image in inputs]), grid)
            files = {"float32": float_file(path), "int8": with_8_bit_weights(float_file(grid))}
        for (precision, content), name in zip(files.items(), both, strict=True):
            facts = checked(reference, content, precision)
            written = with_card(content, card_for(reference, precision, facts))
            if not np.array_equal(*(runner(one)(inputs[:1]) for one in (content, written))):
                raise HpeError(f"{name} gives other numbers with its card than without: is {PACKAGES[1]} too new?")
            for file, text in ((name, written), (f"{Path(name).stem}.json", _text(card_of(written)))):
                with new_file(out / file, args.overwrite, paths) as staged:
                    staged.write_bytes(text)
            print(
                f"{out / name}: {len(written) / 1e6:.2f} MB, rotation {facts['rotation_deg_median']:.3f} deg "
                f"from ONNX Runtime (median of {facts['rows']} rows, max {facts['rotation_deg_max']:.3f}), "
                f"{facts['latency_ms']:.2f} ms, ONNX Runtime {facts['onnxruntime_ms']:.2f} ms (one thread)"
            )
    return 0


def networks_of(model: str) -> list[Path]:
    """Paths of the networks that a name means: one network, or those of a method."""
    if model.endswith(".onnx") or model in catalogue.networks():
        return [catalogue.path_of(model)]
    method = catalogue.method_of(model)
    return [catalogue.path_of(part) for part in (method.detector, method.refiner) if part]


def inputs_of(network: Backend, args: argparse.Namespace) -> np.ndarray:
    """What 8-bit weights are rounded by: inputs (N, H, W, 3) uint8 of a network, from what the arguments name."""
    crops = network.card.kind == CROP
    if args.shards if crops else args.crops:
        raise HpeError(
            f"{network.card.name} takes {network.card.kind}s: {'--crops' if crops else '--shards'}, or --images"
        )
    if args.crops:
        try:
            stored, _, _ = quantise.crops_of_files(args.crops, args.count)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise HpeError(f"--crops takes files of training.data.crops: {error}") from error
        return quantise.views_of_crops(stored, network.input_shape[1], network.card.shown_m)
    if args.shards:
        found = quantise.images_of_shards(args.shards, args.count)
    else:
        with open_source(args.images or str(quantise.SAMPLE_BAG)) as source:
            found = [frame.image_bgr for frame in source if frame.image_bgr is not None]
            found = found[:: max(1, len(found) // args.count)]
    inputs = list(quantise.crops_of_images(network, found) if crops else quantise.inputs_of(found, network.input_shape))
    if not inputs:
        raise HpeError(f"{args.images} shows {'no face' if crops else 'no image'} that weights could be rounded by")
    return np.array(inputs[: args.count])


def on_grid(model: onnx.ModelProto, inputs: Iterable[np.ndarray]) -> onnx.ModelProto:
    """A copy whose inner layers have weights that 8 bits hold exactly, rounded by what each layer sees of the inputs.

    One scale per output channel; the first and the last layers, and depthwise ones, keep their weights.
    """
    model = with_initializers(model)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    inner = inner_nodes(model.graph)
    nodes = [node for node in inner if _is_dense(node) and node.input[1] in weights]
    values = [numpy_helper.to_array(weights[node.input[1]]) for node in nodes]
    moments = second_moments(model, nodes, [layer.shape[2:] for layer in values], inputs)
    for node, layer, moment in zip(nodes, values, moments, strict=True):
        rows = layer.reshape(len(layer), -1)
        scale = np.maximum(np.abs(rows).max(1), 1e-12) / 127.0
        rounded = compensated(rows, scale, moment) * scale[:, None]
        weights[node.input[1]].CopyFrom(
            numpy_helper.from_array(rounded.reshape(layer.shape).astype(np.float32), node.input[1])
        )
    return model


def _is_dense(node: onnx.NodeProto) -> bool:
    """Whether every output of a layer is made from all of its inputs, and its weights (outputs, ...) say so in rows."""
    options: dict[str, Any] = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Conv":
        return options.get("group", 1) == 1
    return node.op_type == "Gemm" and options.get("transB", 0) == 1


def float_file(path: str | Path) -> bytes:
    """The .tflite of an exported ONNX, for one image or crop a call: input `image`, output `rows`."""
    import litert_torch
    import torch

    from training.deploy.onnx_torch import OnnxModule, for_one_image

    class Named(torch.nn.Module):
        def __init__(self, net: torch.nn.Module):
            super().__init__()
            self.net = net

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"rows": self.net(image)}

    model = for_one_image(path)
    _, *side = (dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    example = {INPUT: torch.zeros(1, *side, dtype=torch.uint8)}
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
    ):  # a page of its own progress
        converted: Any = litert_torch.convert(Named(OnnxModule(model)).eval(), sample_kwargs=example)
        file = Path(folder) / "model.tflite"
        converted.export(str(file))
        return file.read_bytes()


def with_8_bit_weights(content: bytes) -> bytes:
    """A float .tflite whose inner layers hold int8 weights with a scale per output channel, and round activations to
    8 bits as they come. The first and the last layers stay float."""
    from ai_edge_quantizer import qtyping, quantizer

    maker = quantizer.Quantizer(content)
    for kind, name in _inner_layers(content):
        maker.add_dynamic_config(f"^{re.escape(name)};$", qtyping.TFLOperationName(kind), num_bits=8)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # bars without an end
        made = maker.quantize(enable_progress_report=False).quantized_model
    if made is None:
        raise HpeError("ai-edge-quantizer made no model")
    return bytes(made)


def _inner_layers(content: bytes) -> list[tuple[str, str]]:
    """(operator, name of its output) of all layers of a .tflite but the first and the last ones."""
    interpreter = _interpreter(content)
    names = {tensor["index"]: tensor["name"] for tensor in interpreter.get_tensor_details()}
    steps = [
        (op["op_name"], {*op["inputs"].tolist()}, {*op["outputs"].tolist()}) for op in interpreter._get_ops_details()
    ]
    steps = [step for step in steps if step[0] != "DELEGATE"]
    after: set[int] = set()
    behind, before = [], []
    for kind, inputs, outputs in steps:
        behind.append(bool(inputs & after))
        after |= outputs if kind in LAYERS or inputs & after else set()
    towards: set[int] = set()
    for kind, inputs, outputs in reversed(steps):
        before.append(bool(outputs & towards))
        towards |= inputs if kind in LAYERS or outputs & towards else set()
    both = zip(steps, behind, reversed(before), strict=True)
    return [(kind, names[min(outputs)]) for (kind, _, outputs), a, b in both if kind in LAYERS and a and b]


def _interpreter(content: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def runner(content: bytes) -> Run:
    """A .tflite as a function on one thread: inputs (N, H, W, 3) uint8, one by one, to rows (N, ...) float32."""
    interpreter = _interpreter(content)
    asked, given = (
        details[0]["index"] for details in (interpreter.get_input_details(), interpreter.get_output_details())
    )

    def run(images: np.ndarray) -> np.ndarray:
        rows = []
        for image in images:
            interpreter.set_tensor(asked, image[None])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(given))
        return np.concatenate(rows)

    return run


def checked(reference: Backend, content: bytes, precision: str) -> dict[str, Any]:
    """Differences from ONNX Runtime in the parity check, and latency, of a .tflite; HpeError beyond LIMIT_DEG."""
    run = runner(content)
    facts = parity.measure(reference.run, run, reference.card).as_dict()
    got, limit = facts["rotation_deg_median"] or 0.0, LIMIT_DEG[precision]
    if got > limit:
        raise HpeError(
            f"{reference.card.name} as {precision}: rotation differs by {got:.3f} deg in the median, allowed "
            f"{limit:g}; nothing is written"
            + ("; try more --count of --crops or --shards" if precision == "int8" else "")
        )
    image = parity.inputs(reference.card)[0][:1]
    times = np.empty((ROUNDS + 5, 2))
    for i in range(len(times)):
        for j, one in enumerate((run, reference.run)):
            start = time.perf_counter()
            one(image)
            times[i, j] = time.perf_counter() - start
    ours, theirs = (1e3 * np.median(times[5:], 0)).tolist()
    return facts | {"latency_ms": round(ours, 3), "onnxruntime_ms": round(theirs, 3)}


def card_for(reference: Backend, precision: str, facts: dict[str, Any]) -> dict[str, Any]:
    """The card of a network with what its LiteRT edition is, and how it was checked."""
    made = {"of": reference.sha256, "precision": precision, "parity": facts}
    made |= {name: metadata.version(name.replace("_", "-")) for name in PACKAGES}
    return reference.card.raw | {"precision": "fp32" if precision == "float32" else precision, "litert": made}


def with_card(content: bytes, card: dict[str, Any]) -> bytes:
    """A .tflite with a card as its metadata CARD_KEY."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for stored in model.buffers:
        if stored.offset > 1:  # large weights lie behind the tables: into them
            stored.data = np.frombuffer(content, np.uint8, stored.size, stored.offset)
            stored.offset = stored.size = 0
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_text(card), np.uint8)
    entry.name, entry.buffer = CARD_KEY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content) + len(buffer.data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def card_of(content: bytes) -> Any:
    """The card (JSON value) in a .tflite. Raises HpeError when there is none."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    for i in range(model.MetadataLength()):
        entry: Any = model.Metadata(i)
        if entry.Name().decode() == CARD_KEY:
            return json.loads(bytes(model.Buffers(entry.Buffer()).DataAsNumpy()))
    raise HpeError(f"the file carries no '{CARD_KEY}' metadata: it is no network of this project")


def _text(card: Any) -> bytes:
    return (json.dumps(card, indent=1) + "\n").encode()
