"""TensorRT's builder: a typed ONNX goes in, a plan comes out. The same code for TensorRT 8.5 to 11 and for RTX.

`tensorrt_rtx` (TensorRT for RTX) has the same interface and builds for GPUs that are not there; `tensorrt` builds for
the GPU it runs on. TensorRT 8 has no strongly typed networks: there the builder is permitted the types in the graph.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from hpe_core.backends.tensorrt.store import UnusableEngine
from hpe_core.errors import HpeError

LIBRARIES = ("tensorrt", "tensorrt_rtx")
NUMPY_TYPES = {"FLOAT": np.float32, "HALF": np.float16, "INT8": np.int8, "INT32": np.int32, "UINT8": np.uint8}
OPTIMUM_BATCH = 4  # of a batch profile: what the kernels are chosen for
Profiles = Mapping[str, Sequence[tuple[int, ...]]]  # input -> its least, usual and largest shape


class NamedType(Protocol):
    """tensorrt.DataType."""

    name: str


class Context(Protocol):
    """What is used of tensorrt.IExecutionContext."""

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool: ...

    def set_tensor_address(self, name: str, address: int) -> bool: ...

    def execute_async_v3(self, stream: int) -> bool: ...


class Engine(Protocol):
    """What is used of tensorrt.ICudaEngine; contexts are made by `new_context`."""

    @property
    def num_io_tensors(self) -> int: ...

    def get_tensor_name(self, i: int) -> str: ...

    def get_tensor_mode(self, name: str) -> object: ...

    def get_tensor_shape(self, name: str) -> Sequence[int]: ...

    def get_tensor_dtype(self, name: str) -> NamedType: ...


def installed() -> str | None:
    """Name of the first library that is installed, or None; nothing is imported."""
    return next((name for name in LIBRARIES if importlib.util.find_spec(name)), None)


def load() -> ModuleType:
    """The first of LIBRARIES that imports. Raises HpeError with the reasons."""
    reasons = []
    for name in LIBRARIES:
        try:
            return importlib.import_module(name)
        except Exception as error:  # its loader raises many kinds when libraries are missing
            reasons.append(f"{name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
    raise HpeError(f"TensorRT does not import ({'; '.join(reasons)})")


def describe(trt: ModuleType) -> str:
    """Name and version, like "tensorrt 10.3.0"."""
    return f"{trt.__name__} {trt.__version__}"


def plugin_version(trt: ModuleType) -> str:
    """Version of the plugin library that plans may call into; it is released with TensorRT itself."""
    return trt.__version__ if hasattr(trt, "init_libnvinfer_plugins") else "none"


def builds_ahead(trt: ModuleType) -> bool:
    """Whether this library builds for GPUs that are not there."""
    return hasattr(trt.IBuilderConfig, "set_compute_capability")


def capability_value(trt: ModuleType, text: str) -> object:
    """The library's constant for a compute capability like "8.6". Raises HpeError listing what it knows."""
    known = {
        f"{name[2:-1]}.{name[-1]}": value for name, value in vars(trt.ComputeCapability).items() if name[:2] == "SM"
    }
    if text not in known:
        listed = ", ".join(sorted(known, key=float))
        raise HpeError(f"{describe(trt)} does not build for compute capability {text}, allowed: {listed}")
    return known[text]


def batch_profiles(name: str, shape: Sequence[int | str], max_batch: int) -> Profiles:
    """Profiles of a network whose input `name` takes any number of images, up to max_batch; none for a fixed shape."""
    if isinstance(shape[0], int):
        return {}
    sides = tuple(side for side in shape[1:] if isinstance(side, int))
    return {name: tuple((batch, *sides) for batch in (1, min(OPTIMUM_BATCH, max_batch), max_batch))}


def build_plan(
    trt: ModuleType,
    onnx_bytes: bytes,
    precision: str,
    profiles: Profiles | None = None,
    capabilities: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
    exact: bool = False,
    static: bool = False,
) -> bytes:
    """Plan (bytes) of a typed ONNX (hpe_core.backends.tensorrt.typed_graph.for_tensorrt).

    profiles: dict input -> (least, usual, largest) shape, of every input with a free axis. capabilities: texts like
    "8.6" to build for; none means the GPU at hand. progress(text) hears percentages. exact: products of float32 in
    all their bits, where the default takes 10. static: no memory is allotted while the engine runs (TensorRT for RTX
    does so for large tensors, and then no CUDA graph can be captured); its contexts share theirs.
    Raises HpeError with TensorRT's own words.
    """
    log = collecting_logger(trt)
    builder = _made(trt, "builder", lambda: trt.Builder(log))
    flags = trt.NetworkDefinitionCreationFlag
    typed = hasattr(flags, "STRONGLY_TYPED")
    network = builder.create_network(1 << int(flags.STRONGLY_TYPED if typed else flags.EXPLICIT_BATCH))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(onnx_bytes):
        raise HpeError(f"{describe(trt)} cannot read the network: {' '.join(parser.get_error(0).desc().split())}")
    config = builder.create_builder_config()
    if not typed:
        for flag in {"fp16": ("FP16",), "int8": ("FP16", "INT8")}.get(precision, ()):
            config.set_flag(getattr(trt.BuilderFlag, flag))
    if exact and hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)
    if static and hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if profiles:
        profile = builder.create_optimization_profile()
        for name, shapes in profiles.items():
            profile.set_shape(name, *shapes)
        config.add_optimization_profile(profile)
    _aim(trt, config, capabilities)
    monitor = _monitor(trt, progress) if progress and hasattr(trt, "IProgressMonitor") else None
    if monitor is not None:
        config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise HpeError(f"{describe(trt)} cannot build the engine: {log.last_error()}")
    return bytes(plan)


def numpy_type(tensor_type: NamedType) -> np.dtype:
    """NumPy's type for a TensorRT DataType. `tensorrt.nptype` of 8.5 fails with NumPy from 1.24 on (np.bool).

    Raises HpeError for a type that no network here has.
    """
    if tensor_type.name not in NUMPY_TYPES:
        raise HpeError(f"the engine has a tensor of type {tensor_type.name}, allowed: {', '.join(NUMPY_TYPES)}")
    return np.dtype(NUMPY_TYPES[tensor_type.name])


def open_engine(trt: ModuleType, plan: bytes) -> Engine:
    """The ICudaEngine of a plan. Raises UnusableEngine when TensorRT refuses it. Needs a GPU."""
    log = collecting_logger(trt)
    engine = _made(trt, "runtime", lambda: trt.Runtime(log)).deserialize_cuda_engine(plan)
    if engine is None:
        raise UnusableEngine(f"{describe(trt)} does not load it: {log.last_error()}")
    return engine


def scratch_size(engine: Any) -> int:
    """Bytes that a context of an engine works in."""
    if hasattr(engine, "device_memory_size_v2"):  # since TensorRT 10.1
        return engine.device_memory_size_v2
    return engine.device_memory_size


def new_context(trt: ModuleType, engine: Any, scratch: tuple[int, int] | None = None) -> Context:
    """An execution context. scratch: (address, bytes) to work in, shared with others that never run at the same time.

    TensorRT for RTX has to compile its kernels for a shape before it runs: a CUDA graph keeps those it captured.
    Raises HpeError when TensorRT makes none.
    """
    strategies: Any = getattr(trt, "ExecutionContextAllocationStrategy", None)  # since TensorRT 10.0
    if hasattr(trt, "DynamicShapesKernelSpecializationStrategy"):
        config = engine.create_runtime_config()
        config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        if scratch:
            config.set_execution_context_allocation_strategy(strategies.USER_MANAGED)
        context = engine.create_execution_context(config)
    elif scratch is None:
        context = engine.create_execution_context()
    elif strategies:
        context = engine.create_execution_context(strategies.USER_MANAGED)
    else:
        context = engine.create_execution_context_without_device_memory()
    if context is None:
        raise HpeError("TensorRT makes no execution context: too little GPU memory?")
    if scratch and hasattr(context, "set_device_memory"):
        context.set_device_memory(*scratch)
    elif scratch:
        context.device_memory = scratch[0]
    return context


def _made(trt, what, make):
    try:
        return make()
    except (RuntimeError, TypeError) as error:  # TypeError: the library returned nothing, e.g. without a driver
        raise HpeError(f"{describe(trt)} makes no {what}: {collecting_logger(trt).last_error()}") from error


_loggers = {}


def collecting_logger(trt: ModuleType) -> Any:
    """The library's one logger, which remembers its latest error instead of printing; made once, it must not die."""
    if trt not in _loggers:

        class Collecting(trt.ILogger):
            def __init__(self):
                super().__init__()
                self.errors = []

            def log(self, severity, message):
                if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                    self.errors = [*self.errors[-9:], " ".join(message.split())]

            def last_error(self):
                return self.errors[-1] if self.errors else "no reason given"

        _loggers[trt] = Collecting()
    return _loggers[trt]


def _aim(trt, config, capabilities):
    """Set what the engine is built for: the GPU at hand unless compute capabilities are given."""
    if not builds_ahead(trt):
        if capabilities:
            raise HpeError(f"{describe(trt)} builds only for the GPU at hand; tensorrt_rtx builds for others")
        return
    targets = [capability_value(trt, text) for text in capabilities] or [trt.ComputeCapability.CURRENT]
    config.num_compute_capabilities = len(targets)
    for i, target in enumerate(targets):
        if not config.set_compute_capability(target, i):
            raise HpeError(f"{describe(trt)} refuses compute capability {target}")


def _monitor(trt, progress):
    """TensorRT's progress, as the share of the outermost phase's steps."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self):
            super().__init__()
            self._outer, self._steps = None, 1

        def phase_start(self, phase_name, parent_phase, num_steps):
            if parent_phase is None:
                self._outer, self._steps = phase_name, max(1, num_steps)
                progress(f"{phase_name}: 0 %")

        def step_complete(self, phase_name, step):
            if phase_name == self._outer:
                progress(f"{phase_name}: {100 * (step + 1) // self._steps} %")
            return True

        def phase_finish(self, phase_name):
            if phase_name == self._outer:
                progress(f"{phase_name}: done")

    return Monitor()
