"""TensorRT or TensorRT for RTX on an NVIDIA GPU, desktop or Jetson: an engine from the cache, one CUDA graph per call.

The engine is built, warmed up and compared with ONNX Runtime while loading, never on the first frame. Named tensors and
`execute_async_v3` only: the interface that TensorRT 8.5 to 11 share.
"""

import contextlib
import logging

import numpy as np

from hpe_core.backends import _cuda_memory, onnxruntime
from hpe_core.engines import gpu, make, parity, tensorrt_build
from hpe_core.engines.store import EngineStore
from hpe_core.errors import HpeError

WARM_UP_RUNS = 3
log = logging.getLogger(__name__)


def unavailable():
    """Why this backend cannot be used here, or None."""
    if tensorrt_build.installed() is None:
        return f"neither {' nor '.join(tensorrt_build.LIBRARIES)} is installed"
    return gpu.find()[1] or _cuda_memory.unavailable()


class Backend:
    """One engine. precision: fp16 (default), fp32, or int8 for a model with Q/DQ; folder: of the engine cache.

    max_batch: most images per call of the engine; by default 16 for a model that takes any number, else 1.
    """

    name = "tensorrt"

    def __init__(self, model_path, threads=0, progress=None, precision=None, max_batch=None, folder=None):
        progress = progress or (lambda text: None)
        trt = tensorrt_build.load()
        device, reason = gpu.find()
        if device is None:
            raise HpeError(reason)
        onnx_bytes = make.read_model(model_path)
        key = make.key_for(trt, model_path, onnx_bytes, device, precision=precision, max_batch=max_batch)
        store = EngineStore(folder)
        entry, engine = store.obtain(
            key,
            lambda: make.build(trt, model_path, key, False, progress),
            lambda entry: (entry, tensorrt_build.open_engine(trt, entry.plan)),
            progress,
        )
        self.facts = entry.facts
        self.card, self.input_shape = self.facts["card"], tuple(self.facts["input_shape"])
        self.version, self.key = tensorrt_build.describe(trt), key
        self._runner = Runner(trt, engine, key.max_batch)
        if entry.parity is None:
            progress(f"comparing engine {key.stem} with ONNX Runtime")
            reference = onnxruntime.Backend(model_path, threads)
            found = parity.measure(reference.run, self.run, self.input_shape, self.card["spec"]["columns"])
            with store.locked(key, progress):
                entry = store.note_parity(entry, found.as_dict())
        self.parity = entry.parity
        problem = parity.refusal(self.parity, key.precision)
        if problem:
            self.close()
            raise HpeError(
                f"engine {key.stem} is refused: {problem}; use another precision or backend "
                "(`hpe engine prune --refused` forgets the verdict)"
            )

    def run(self, array):
        """First output for one input array of `input_shape`, or of up to max_batch images.

        A model that takes any number of images gets more than max_batch in several calls.
        """
        limit = self.key.max_batch
        if isinstance(self.input_shape[0], int) or len(array) <= limit:
            return self._runner.run(array)
        return np.concatenate([self._runner.run(array[i : i + limit]) for i in range(0, len(array), limit)])

    def close(self):
        """Free the GPU's memory; the backend is of no use afterwards."""
        self._runner.close()

    def __del__(self):
        if hasattr(self, "_runner"):  # else loading failed
            with contextlib.suppress(Exception):  # the interpreter may be on its way out
                self._runner.close()


class Runner:
    """An engine with its buffers: pinned memory, upload, execution and download captured as one graph per batch size.

    Sizes are 1, 2, 4 ... max_batch, all made when it is built; fewer images run in the next size, beside leftovers of
    earlier calls. Each size has its own execution context, because a graph is bound to the state of its context.
    """

    def __init__(self, trt, engine, max_batch):
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        outputs = [name for name in names if name not in inputs]
        if len(inputs) != 1 or not outputs:
            raise HpeError(f"the engine has inputs {inputs} and outputs {outputs}, needed: one input, one output")
        self._engine = engine
        self._input, self._output, self._max_batch = inputs[0], outputs[0], max_batch
        shapes = {name: (max_batch, *tuple(engine.get_tensor_shape(name))[1:]) for name in names}
        self._memory = _cuda_memory.create()
        self._addresses, self._arrays, self._contexts = {}, {}, []
        self.why_no_graph = None
        for name in names:
            dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
            size = int(np.prod(shapes[name])) * dtype.itemsize
            self._addresses[name] = self._memory.device(size)
            if name in (self._input, self._output):
                self._arrays[name] = self._memory.host(shapes[name], dtype)
        self._arrays[self._input][...] = 0
        self._calls = {size: self._prepared(size) for size in batch_sizes(max_batch)}

    def run(self, array):
        """First output (B, ...) float32 for images (B, H, W, 3) uint8 of one batch."""
        image = self._arrays[self._input]
        if array.shape[1:] != image.shape[1:] or not 1 <= len(array) <= self._max_batch or array.dtype != image.dtype:
            raise HpeError(
                f"the engine takes (1..{self._max_batch}, {', '.join(map(str, image.shape[1:]))}) {image.dtype}, "
                f"got {array.shape} {array.dtype}"
            )
        image[: len(array)] = array
        self._calls[min(size for size in self._calls if size >= len(array))]()
        self._memory.synchronize()
        return self._arrays[self._output][: len(array)].astype(np.float32)

    def close(self):
        """Free contexts and memory; harmless when it has been done."""
        self._calls.clear()
        self._arrays.clear()
        self._contexts.clear()
        self._engine = None
        self._memory.close()

    def _prepared(self, size):
        """A function that does one call of `size` images: a CUDA graph, or plain steps where none can be made."""
        context = self._engine.create_execution_context()
        if context is None:
            raise HpeError("TensorRT makes no execution context: too little GPU memory?")
        self._contexts.append(context)
        for name, address in self._addresses.items():
            if not context.set_tensor_address(name, address):
                raise HpeError(f"TensorRT refuses the address of tensor {name}")
        image, rows = self._arrays[self._input][:size], self._arrays[self._output][:size]
        if not context.set_input_shape(self._input, image.shape):
            raise HpeError(f"TensorRT refuses inputs of shape {image.shape}")

        def steps():
            self._memory.upload(self._addresses[self._input], image)
            if not context.execute_async_v3(self._memory.stream):
                raise HpeError("TensorRT does not execute the engine")
            self._memory.download(rows, self._addresses[self._output])

        for _ in range(WARM_UP_RUNS):  # lazy kernels are loaded here: loading cannot be captured
            steps()
        self._memory.synchronize()
        try:
            return self._memory.capture(steps)
        except (HpeError, RuntimeError) as error:
            self.why_no_graph = str(error)
            log.warning("no CUDA graph, calls are some microseconds slower: %s", error)
            return steps


def batch_sizes(max_batch):
    """Powers of two below max_batch, and max_batch."""
    return (*(2**i for i in range(max_batch.bit_length()) if 2**i < max_batch), max_batch)
