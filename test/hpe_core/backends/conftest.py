"""An engine cache of its own for every test, and a GPU that is a dict of arrays, where ONNX Runtime executes engines.

As on a GPU, nothing happens before the stream is waited for, a graph repeats what was put into the stream while it was
captured (and nothing that Python did beside), and it is bound to the state and the life of its execution contexts.
"""

import itertools
import json
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from hpe_core.backends.tensorrt import builder, gpu, memory
from hpe_core.errors import HpeError

PROFILES_END = b"\n---\n"
_sessions = {}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test touches the user's engines: the folder of this test's."""
    monkeypatch.setenv("HPE_ENGINE_CACHE", str(tmp_path / "engines"))
    return tmp_path / "engines"


@pytest.fixture
def array_gpu(monkeypatch):
    """array_gpu(graphs, rtx) -> Device, on which the backend `tensorrt` runs from then on.

    rtx: as TensorRT for RTX, else with the few functions of TensorRT 8.5.
    """

    def install(graphs=True, rtx=True):
        device = Device(graphs)
        rtx = library(rtx)
        found = gpu.Gpu("a dict of arrays", "8.6", "12.6"), None
        monkeypatch.setattr(builder, "load", lambda: rtx)
        monkeypatch.setattr(builder, "installed", lambda: "tensorrt_rtx")
        monkeypatch.setattr(builder, "build_plan", plan_of)
        monkeypatch.setattr(builder, "open_engine", device.engine)
        monkeypatch.setattr(gpu, "find", lambda: found)
        monkeypatch.setattr(memory, "unavailable", lambda: None)
        monkeypatch.setattr(memory, "create", device.memory)
        return device

    return install


def plan_of(trt, onnx_bytes, precision, profiles=None, capabilities=(), progress=None, exact=False, static=False):
    """In the place of builder.build_plan: the graph itself and its profiles."""
    return json.dumps(profiles or {}).encode() + PROFILES_END + onnx_bytes


def library(rtx):
    """What the backend asks the module tensorrt_rtx for."""
    newer = {
        "ExecutionContextAllocationStrategy": SimpleNamespace(USER_MANAGED="user"),
        "DynamicShapesKernelSpecializationStrategy": SimpleNamespace(EAGER="eager"),
    }
    return SimpleNamespace(
        __name__="tensorrt_rtx",
        __version__="0.0.test",
        TensorIOMode=SimpleNamespace(INPUT="input"),
        **(newer if rtx else {}),
    )


class RuntimeConfig:
    """Of TensorRT for RTX."""

    dynamic_shapes_kernel_specialization_strategy = strategy = None

    def set_execution_context_allocation_strategy(self, strategy):
        self.strategy = strategy


class Device:
    """Arrays by address; memories (one stream each) by stream."""

    def __init__(self, graphs=True):
        self.arrays, self.memories, self.with_graphs = {}, [], graphs
        self.addresses = itertools.count(1000, 1000)

    def memory(self):
        self.memories.append(Memory(self, len(self.memories)))
        return self.memories[-1]

    def engine(self, trt, plan):
        newer = hasattr(trt, "ExecutionContextAllocationStrategy")
        return (NewerEngine if newer else Engine)(self, plan)


class Memory:
    """hpe_core.backends.tensorrt.memory on a Device. uploads: bytes of each upload that was done."""

    def __init__(self, device, stream):
        self.device_, self.stream = device, stream
        self.uploads, self.graphs = [], {}
        self._pinned, self._own, self._queue, self._capturing = [], [], [], None

    def host(self, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._pinned.append(np.full(size, 255, np.uint8).view(dtype).reshape(shape))  # as floats: not a number
        return self._pinned[-1]

    def device(self, size):
        address = next(self.device_.addresses)
        self.device_.arrays[address] = np.full(size, 255, np.uint8)
        self._own.append(address)
        return address

    def upload(self, address, array):
        self._check(array)

        def copy():
            self.uploads.append(array.nbytes)
            self.device_.arrays[address][: array.nbytes] = array.reshape(-1).view(np.uint8)

        self.put(copy)

    def download(self, array, address):
        self._check(array)
        self.put(
            lambda: np.copyto(
                array, self.device_.arrays[address][: array.nbytes].view(array.dtype).reshape(array.shape)
            )
        )

    def put(self, operation):
        (self._queue if self._capturing is None else self._capturing).append(operation)

    def capture(self, work):
        if not self.device_.with_graphs:
            raise HpeError("no graphs here")
        self._capturing = []
        work()
        operations, self._capturing = self._capturing, None

        def replay():
            assert replay in self.graphs, "a graph that was given back is launched"
            self._queue.extend(operations)

        self.graphs[replay] = operations
        return replay

    def forget(self, replay):
        self.graphs.pop(replay, None)

    def synchronize(self):
        assert self._capturing is None, "waiting for a stream that is captured"
        queue, self._queue = self._queue, []
        for operation in queue:
            operation()

    def close(self):
        for address in self._own:
            self.device_.arrays.pop(address, None)
        self.graphs.clear()

    def _check(self, array):
        assert array.flags.c_contiguous and any(np.shares_memory(array, pinned) for pinned in self._pinned)


class Engine:
    """The ICudaEngine of a graph with its profiles, of TensorRT 8.5."""

    device_memory_size = 5000

    def __init__(self, device, plan):
        profiles, self._bytes = plan.split(PROFILES_END, 1)
        self.device, self.profiles = device, json.loads(profiles)
        self._onnx = pytest.importorskip("onnx")
        model = self._onnx.load_from_string(self._bytes)
        self._inputs = [value.name for value in model.graph.input]
        self._values = {value.name: value.type.tensor_type for value in (*model.graph.input, *model.graph.output)}

    @property
    def num_io_tensors(self):
        return len(self._values)

    def get_tensor_name(self, i):
        return list(self._values)[i]

    def get_tensor_mode(self, name):
        return "input" if name in self._inputs else "output"

    def get_tensor_shape(self, name):
        return [-1 if dim.dim_param else dim.dim_value for dim in self._values[name].shape.dim]

    def numpy_type(self, name):
        return self._onnx.helper.tensor_dtype_to_np_dtype(self._values[name].elem_type)

    def get_tensor_dtype(self, name):
        return SimpleNamespace(name={"float32": "FLOAT", "uint8": "UINT8"}[self.numpy_type(name).name])

    def create_execution_context(self):
        return Context(self, needs_memory=False)

    def create_execution_context_without_device_memory(self):
        return Context(self, needs_memory=True)

    def allows(self, name, shape):
        """Whether a shape is one of the input's, and within the profile."""
        fixed = self.get_tensor_shape(name)
        fits = len(shape) == len(fixed) and all(f in (-1, n) for f, n in zip(fixed, shape, strict=True))
        least, _, largest = self.profiles.get(name, [shape] * 3)
        return fits and all(a <= n <= b for a, n, b in zip(least, shape, largest, strict=True))

    def execute(self, feeds):
        """Outputs by name."""
        key = hash(self._bytes)
        if key not in _sessions:
            ort = pytest.importorskip("onnxruntime")
            options = ort.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = 1, 3
            _sessions[key] = ort.InferenceSession(self._bytes, options, providers=["CPUExecutionProvider"])
        outputs = [name for name in self._values if name not in self._inputs]
        return dict(zip(outputs, _sessions[key].run(outputs, feeds), strict=True))


class Context:
    """An execution context of TensorRT 8.5: shapes and addresses that are set before it executes."""

    device_memory = None

    def __init__(self, engine, needs_memory):
        self._engine, self._addresses, self._shapes = engine, {}, {}
        self._needs_memory = needs_memory

    def set_tensor_address(self, name, address):
        self._addresses[name] = address
        return True

    def set_input_shape(self, name, shape):
        if not self._engine.allows(name, tuple(shape)):
            return False
        self._shapes[name] = tuple(shape)
        return True

    def execute_async_v3(self, stream):
        engine, state, this = self._engine, self._state(), weakref.ref(self)
        assert set(self._addresses) == set(engine._values) and set(self._shapes) == set(engine._inputs)

        def run():
            context = this()
            assert context is not None, "the context of a graph is gone"
            assert context._state() == state, "the context of a graph has changed"
            addresses, shapes = state
            arrays = engine.device.arrays
            if context._needs_memory:
                assert arrays[context.device_memory].nbytes >= 5000
                arrays[context.device_memory][...] = 0  # there is some, and nothing in it outlives another execution
            feeds = {}
            for name, shape in shapes.items():
                dtype = engine.numpy_type(name)
                size = int(np.prod(shape)) * dtype.itemsize
                feeds[name] = arrays[addresses[name]][:size].view(dtype).reshape(shape)
                assert np.isfinite(feeds[name]).all(), f"{name} was not filled"
            for name, value in engine.execute(feeds).items():
                arrays[addresses[name]][: value.nbytes] = np.ascontiguousarray(value).reshape(-1).view(np.uint8)

        engine.device.memories[stream].put(run)
        return True

    def _state(self):
        return dict(self._addresses), dict(self._shapes)


class NewerEngine(Engine):
    """Of TensorRT for RTX."""

    device_memory_size_v2, device_memory_size = Engine.device_memory_size, None
    create_runtime_config = staticmethod(RuntimeConfig)
    create_execution_context_without_device_memory = None

    def create_execution_context(self, config):
        assert config.dynamic_shapes_kernel_specialization_strategy == "eager"
        return NewerContext(self, config.strategy == "user")


class NewerContext(Context):
    """Of TensorRT 10.1 and later."""

    def set_device_memory(self, address, size):
        assert self._needs_memory and size >= self._engine.device_memory_size_v2
        self.device_memory = address
