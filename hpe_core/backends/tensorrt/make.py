"""From a model file to its engine in the store: the key, the typed graph, the build."""

import time
from dataclasses import asdict
from pathlib import Path

from hpe_core import model_store
from hpe_core.backends.tensorrt import builder, sampler
from hpe_core.backends.tensorrt.key import ANY, PRECISIONS, RECIPE, EngineKey
from hpe_core.errors import HpeError
from hpe_core.network_card import card_of

MAX_BATCH = 16
RTX = "tensorrt_rtx"


def default_precision(onnx_bytes):
    """int8 for a model with Q/DQ nodes, else fp16; their operator's name is in the file as plain text."""
    return "int8" if b"QuantizeLinear" in onnx_bytes else "fp16"


def free_batch(onnx_bytes):
    """Whether a model takes any number of images: the exporter calls such an axis "batch", plain text in the file."""
    return b"\n\x07\x12\x05batch" in onnx_bytes  # a dimension (7 bytes) with a name (5 bytes) instead of a value


def key_for(trt, model_path, onnx_bytes, gpu=None, capability=None, precision=None, max_batch=None):
    """EngineKey for the GPU at hand (engines.gpu.Gpu), or for a compute capability like "8.6" elsewhere.

    max_batch: most images per call; by default MAX_BATCH for a model that takes any number, else 1.
    Raises HpeError when one of them does not fit, or a shipped model is not what was shipped.
    """
    precision = precision or default_precision(onnx_bytes)
    if max_batch is None:
        max_batch = MAX_BATCH if free_batch(onnx_bytes) else 1
    if precision not in PRECISIONS:
        raise HpeError(f"precision must be one of {', '.join(PRECISIONS)}, got '{precision}'")
    if not 1 <= max_batch <= MAX_BATCH:
        raise HpeError(f"max_batch must lie in [1, {MAX_BATCH}], got {max_batch}")
    sha256 = model_store.sha256_of(onnx_bytes)
    model_store.verify(model_path, sha256)
    return _key(trt, Path(model_path).stem, sha256, precision, max_batch, gpu, capability)


def sampler_key(trt, wanted, gpu=None, capability=None):
    """EngineKey of a Sampler, as of a model by `key_for`."""
    return _key(trt, wanted.name, wanted.sha256, "fp32", wanted.max_batch, gpu, capability)


def _key(trt, model, onnx_sha256, precision, max_batch, gpu, capability):
    portable = trt.__name__ == RTX  # such a plan fits every GPU of its compute capability, whatever the driver
    if gpu is None and not portable:
        raise HpeError(f"{builder.describe(trt)} builds only for the GPU at hand, and there is none")
    return EngineKey(
        model=model,
        onnx_sha256=onnx_sha256,
        recipe=RECIPE,
        precision=precision,
        max_batch=max_batch,
        library=builder.describe(trt),
        plugins=builder.plugin_version(trt),
        cuda=ANY if portable else gpu.cuda,
        compute_capability=capability or gpu.compute_capability,
        gpu=ANY if portable else gpu.name,
    )


def build(trt, model_path, key, ahead, progress):
    """(plan bytes, facts dict) of `key`; ahead: for its compute capability instead of the GPU at hand.

    facts: card and input_shape of the model, types (what the typed graph computes in which precision), build_s.
    Raises HpeError when the model or the precision does not fit, or a package is missing.
    """
    try:
        from hpe_core.backends.tensorrt import onnx_graph, typed_graph
    except ImportError as error:
        raise HpeError(f"building an engine needs the package {error.name}: pip install {error.name}") from error
    start = time.perf_counter()
    model = onnx_graph.read(model_path)
    card = onnx_graph.raw_card_of(model, model_path)
    card_of(card, onnx_graph.input_shape(model), str(model_path))
    typed = typed_graph.for_tensorrt(model, key.precision, key.max_batch)
    plan = builder.build_plan(
        trt,
        typed.SerializeToString(),
        key.precision,
        builder.batch_profiles(typed.graph.input[0].name, onnx_graph.input_shape(typed), key.max_batch),
        (key.compute_capability,) if ahead else (),
        progress,
    )
    return plan, {
        "card": card,
        "input_shape": onnx_graph.input_shape(model),
        "types": onnx_graph.types_of(typed),
        "build_s": round(time.perf_counter() - start, 2),
    }


def build_sampler(trt, wanted, key, ahead, progress):
    """(plan bytes, facts dict) of a Sampler, as `build` of a model; float32 in all its bits, for positions."""
    start = time.perf_counter()
    model = sampler.graph(wanted)
    plan = builder.build_plan(
        trt,
        model.SerializeToString(),
        key.precision,
        wanted.profiles,
        (key.compute_capability,) if ahead else (),
        progress,
        exact=True,
        static=True,
    )
    types = {"float16": 0, "quantised": 0, "nodes": len(model.graph.node)}
    return plan, {"sampler": asdict(wanted), "types": types, "build_s": round(time.perf_counter() - start, 2)}
