"""From a network's file to its engine in the store: the key, the typed graph, the build."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from types import ModuleType
from typing import Any

from hpe_core.backends.tensorrt import builder, sampler
from hpe_core.backends.tensorrt.gpu import Gpu
from hpe_core.backends.tensorrt.key import ANY, PRECISIONS, RECIPE, EngineKey
from hpe_core.backends.tensorrt.network_file import NetworkFile
from hpe_core.backends.tensorrt.sampler import Sampler
from hpe_core.errors import HpeError

MAX_BATCH = 16
RTX = "tensorrt_rtx"


def key_for(
    trt: ModuleType,
    network: NetworkFile,
    gpu: Gpu | None = None,
    capability: str | None = None,
    precision: str | None = None,
    max_batch: int | None = None,
) -> EngineKey:
    """EngineKey for the GPU at hand, or for a compute capability like "8.6" elsewhere.

    precision: by default int8 for a quantised network, else fp16. max_batch: most images per call; by default MAX_BATCH
    for a network that takes any number, else 1. Raises HpeError when one of them does not fit.
    """
    if precision is None:
        precision = "int8" if network.card.quantised else "fp16"
    if max_batch is None:
        max_batch = MAX_BATCH if network.card.free_batch else 1
    if precision not in PRECISIONS:
        raise HpeError(f"precision must be one of {', '.join(PRECISIONS)}, got '{precision}'")
    if not 1 <= max_batch <= MAX_BATCH:
        raise HpeError(f"max_batch must lie in [1, {MAX_BATCH}], got {max_batch}")
    _, height, width, _ = network.card.input_shape
    return _key(trt, network.name, network.sha256, precision, max_batch, f"{width}x{height}", gpu, capability)


def sampler_key(trt: ModuleType, wanted: Sampler, gpu: Gpu | None = None, capability: str | None = None) -> EngineKey:
    """EngineKey of a Sampler, as of a network by `key_for`."""
    return _key(
        trt, wanted.name, wanted.sha256, "fp32", wanted.max_batch, f"{wanted.width}x{wanted.height}", gpu, capability
    )


def _key(
    trt: ModuleType,
    model: str,
    onnx_sha256: str,
    precision: str,
    max_batch: int,
    input_size: str,
    gpu: Gpu | None,
    capability: str | None,
) -> EngineKey:
    portable = trt.__name__ == RTX  # such a plan fits every GPU of its compute capability, whatever the driver
    if gpu is None:
        if capability is None or not portable:
            raise HpeError(f"{builder.describe(trt)} builds only for the GPU at hand, and there is none")
        gpu = Gpu(name=ANY, compute_capability=capability, cuda=ANY)
    elif portable:
        gpu = replace(gpu, name=ANY, cuda=ANY)
    return EngineKey(
        model=model,
        onnx_sha256=onnx_sha256,
        recipe=RECIPE,
        precision=precision,
        max_batch=max_batch,
        input_size=input_size,
        library=builder.describe(trt),
        plugins=builder.plugin_version(trt),
        cuda=gpu.cuda,
        compute_capability=capability or gpu.compute_capability,
        gpu=gpu.name,
    )


def build(
    trt: ModuleType, network: NetworkFile, key: EngineKey, ahead: bool, progress: Callable[[str], None] | None
) -> tuple[bytes, dict[str, Any]]:
    """(plan bytes, facts) of `key`; ahead: for its compute capability instead of the GPU at hand.

    facts: card and input_shape of the network, types (what the typed graph computes in which precision), build_s.
    Raises HpeError when the network or the precision does not fit, or a package is missing.
    """
    try:
        from hpe_core.backends.tensorrt import onnx_graph, typed_graph
    except ImportError as error:
        raise HpeError(f"building an engine needs the package {error.name}: pip install {error.name}") from error
    start = time.perf_counter()
    typed = typed_graph.for_tensorrt(onnx_graph.read(network.path, network.width), key.precision, key.max_batch)
    plan = builder.build_plan(
        trt,
        typed.SerializeToString(),
        key.precision,
        builder.batch_profiles(typed.graph.input[0].name, onnx_graph.input_shape(typed), key.max_batch),
        (key.compute_capability,) if ahead else (),
        progress,
    )
    return plan, {
        "card": network.card.raw,
        "input_shape": list(network.card.input_shape),
        "types": onnx_graph.types_of(typed),
        "build_s": round(time.perf_counter() - start, 2),
    }


def build_sampler(
    trt: ModuleType, wanted: Sampler, key: EngineKey, ahead: bool, progress: Callable[[str], None] | None
) -> tuple[bytes, dict[str, Any]]:
    """(plan bytes, facts) of a Sampler, as `build` of a network; float32 in all its bits, for positions."""
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
