"""TensorRT or TensorRT for RTX on an NVIDIA GPU, desktop or Jetson: engines from the cache, one CUDA graph per call.

Engines of a network and of the samplers before it are built, warmed up and compared with ONNX Runtime while loading,
never on the first frame. Named tensors and `execute_async_v3` only: the interface that TensorRT 8.5 to 11 share.
"""

import contextlib
import functools
import logging

import numpy as np

from hpe_core.backends import onnxruntime
from hpe_core.backends.tensorrt import builder, gpu, make, memory, network_file, parity, sampler
from hpe_core.backends.tensorrt.sampling import Sampling
from hpe_core.backends.tensorrt.store import EngineStore
from hpe_core.errors import HpeError
from hpe_core.pixels.canvas import GRID, SourceImage

WARM_UP_RUNS = 3
FAILURES = (HpeError, RuntimeError, TypeError, AttributeError)  # the latter where a version's bindings differ
log = logging.getLogger(__name__)


def unavailable():
    """Why this backend cannot be used here, or None."""
    if builder.installed() is None:
        return f"neither {' nor '.join(builder.LIBRARIES)} is installed"
    return gpu.find()[1] or memory.unavailable()


class Backend:
    """One engine. precision: fp16 (default), fp32, or int8 for a model with Q/DQ; folder: of the engine cache.

    max_batch: most images per call of the engine; by default 16 for a model that takes any number, else 1.
    """

    name = "tensorrt"

    def __init__(self, model_path, threads=0, progress=None, precision=None, max_batch=None, folder=None):
        progress = progress or (lambda text: None)
        trt = builder.load()
        device, reason = gpu.find()
        if device is None:
            raise HpeError(reason)
        network = network_file.read(model_path)
        key = make.key_for(trt, network, device, precision=precision, max_batch=max_batch)
        store = EngineStore(folder)
        entry, engine = store.obtain(
            key,
            lambda: make.build(trt, network, key, False, progress),
            lambda entry: (entry, builder.open_engine(trt, entry.plan)),
            progress,
        )
        self.facts = entry.facts
        self.card = network.card
        self.input_shape = self.card.input_shape
        self.version, self.key, self.sha256 = builder.describe(trt), key, key.onnx_sha256
        self._runner = Runner(trt, engine, key.max_batch)
        if entry.parity is None:
            progress(f"comparing engine {key.stem} with ONNX Runtime")
            reference = onnxruntime.Backend(model_path, threads)
            found = parity.measure(reference.run, self.run, self.input_shape, self.card.columns)
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
        self.sampler_entries, self._sampling, self._told = (), None, False
        try:
            self._sampling = self._sampling_from(trt, store, device, threads, progress)
        except FAILURES as error:
            log.warning("preprocessing for %s stays on the CPU: %s", key.model, error)

    def _sampling_from(self, trt, store, device, threads, progress):
        """The Sampling before the network, proven. Raises HpeError when there can be none."""
        samplers = sampler.samplers_of(self.card, self.key.max_batch)
        keys = [make.sampler_key(trt, wanted, device) for wanted in samplers]
        stored = [
            store.obtain(
                key,
                functools.partial(make.build_sampler, trt, wanted, key, False, progress),
                lambda entry: (entry, builder.open_engine(trt, entry.plan)),
                progress,
            )
            for key, wanted in zip(keys, samplers, strict=True)
        ]
        engines = {wanted: engine for wanted, (_, engine) in zip(samplers, stored, strict=True)}
        with contextlib.ExitStack() as unless_proven:
            sampling = Sampling(engines, self._runner)
            unless_proven.callback(sampling.close)
            for key, wanted, (entry, _) in zip(keys, samplers, stored, strict=True):
                if entry.parity is None:
                    progress(f"comparing engine {key.stem} with ONNX Runtime")
                    run = functools.partial(sampling.canvases, wanted)
                    found = parity.measure_sampler(sampler.reference(wanted, threads), run, wanted)
                    with store.locked(key, progress):
                        entry = store.note_parity(entry, found)
                self.sampler_entries = (*self.sampler_entries, entry)
                problem = parity.refusal(entry.parity, key.precision)
                if problem:
                    raise HpeError(f"engine {key.stem} is refused: {problem}")
            usual = SourceImage(np.zeros((*sampler.IMAGE_SIZES[1], 3), np.uint8))
            for spread in (0.0, 1.0):  # too little memory is told here
                sampling.run(usual, np.zeros((1, GRID, GRID, 2)), np.array([spread]))
            unless_proven.pop_all()
            return sampling

    def samples(self, image_shape):
        """Whether `run_on` takes images of a shape (H, W, 3)."""
        if self._sampling is None:
            return False
        if sampler.takes(image_shape):
            return True
        if not self._told:
            self._told = True
            (low_height, low_width), _, (height, width) = sampler.IMAGE_SIZES
            log.warning(
                "images of %dx%d are preprocessed on the CPU, the GPU takes %dx%d to %dx%d",
                *(image_shape[1], image_shape[0], low_width, low_height, width, height),
            )
        return False

    def run_on(self, source, nodes, spread):
        """First output for canvases of a SourceImage; see hpe_core.backends.

        Raises HpeError when the GPU does not do it, as with too little memory for another image size: `samples` is
        False from then on.
        """
        limit = self._sampling.max_batch
        starts = range(0, len(nodes), limit)
        try:
            rows = [self._sampling.run(source, nodes[i : i + limit], spread[i : i + limit]) for i in starts]
        except (HpeError, RuntimeError) as error:
            log.warning("preprocessing for %s goes on by the CPU: %s", self.key.model, error)
            sampling, self._sampling = self._sampling, None
            with contextlib.suppress(HpeError, RuntimeError):  # what began may still be running
                self._runner.memory.synchronize()
                sampling.close()
            raise
        return np.concatenate(rows) if len(rows) > 1 else rows[0]

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
        if getattr(self, "_sampling", None) is not None:
            self._sampling.close()
        self._runner.close()

    def __del__(self):
        if hasattr(self, "_runner"):  # else loading failed
            with contextlib.suppress(Exception):  # the interpreter may be on its way out
                self.close()


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
        self.trt, self._engine = trt, engine
        self._input, self._output, self._max_batch = inputs[0], outputs[0], max_batch
        shapes = {name: (max_batch, *tuple(engine.get_tensor_shape(name))[1:]) for name in names}
        self.memory, self._sizes = memory.create(), batch_sizes(max_batch)
        self._addresses = {}
        self._steps = {}  # of the captured functions: a graph needs its contexts
        self.why_no_graph = None
        for name in names:
            dtype = builder.numpy_type(engine.get_tensor_dtype(name))
            size = int(np.prod(shapes[name])) * dtype.itemsize
            self._addresses[name] = self.memory.device(size)
            if name == self._input:
                self.images, self.input_address = self.memory.host(shapes[name], dtype), self._addresses[name]
            elif name == self._output:
                self.rows = self.memory.host(shapes[name], dtype)
        self.images[...] = 0
        self._calls = {size: self._prepared(size) for size in self._sizes}

    def run(self, array):
        """First output (B, ...) float32 for images (B, H, W, 3) uint8 of one batch."""
        images = self.images
        if array.shape[1:] != images.shape[1:] or not 1 <= len(array) <= self._max_batch or array.dtype != images.dtype:
            raise HpeError(
                f"the engine takes (1..{self._max_batch}, {', '.join(map(str, images.shape[1:]))}) {images.dtype}, "
                f"got {array.shape} {array.dtype}"
            )
        images[: len(array)] = array
        return self.rows_after(self._calls[self.size_for(len(array))], len(array))

    def rows_after(self, call, count):
        """First output (count, ...) float32 after call(), one of the functions that `captured` made."""
        call()
        self.memory.synchronize()
        return self.rows[:count].astype(np.float32)

    def size_for(self, count):
        """The batch size that so many images run in."""
        return min(size for size in self._sizes if size >= count)

    def close(self):
        """Free contexts and memory; harmless when it has been done."""
        self._calls.clear()
        self._steps.clear()
        self._engine = self.images = self.rows = None
        self.memory.close()

    def _prepared(self, size):
        """A function that does one call of `size` images."""
        images, network = self.images[:size], self.network_steps(size)

        def steps():
            self.memory.upload(self.input_address, images)
            network()

        return self.captured(steps)

    def network_steps(self, size):
        """A function that puts into the stream: the network on `size` images at input_address, its rows' way back."""
        shape, rows = self.images[:size].shape, self.rows[:size]
        context = self.context(self._engine, {self._input: shape}, self._addresses)

        def steps():
            if not context.execute_async_v3(self.memory.stream):
                raise HpeError("TensorRT does not execute the engine")
            self.memory.download(rows, self._addresses[self._output])

        return steps

    def context(self, engine, shapes, addresses, scratch=None):
        """An engine's execution context that knows its inputs' shapes and its tensors' addresses (dicts by name)."""
        context = builder.new_context(self.trt, engine, scratch)
        for name, shape in shapes.items():
            if not context.set_input_shape(name, shape):
                raise HpeError(f"TensorRT refuses shape {tuple(shape)} of input {name}")
        for name, address in addresses.items():
            if not context.set_tensor_address(name, address):
                raise HpeError(f"TensorRT refuses the address of tensor {name}")
        return context

    def captured(self, steps):
        """A function that does what steps() does: a CUDA graph, or steps itself where none can be made."""
        for _ in range(WARM_UP_RUNS):  # lazy kernels are loaded here: loading cannot be captured
            steps()
        self.memory.synchronize()
        try:
            call = self.memory.capture(steps)
        except (HpeError, RuntimeError) as error:
            self.why_no_graph = str(error)
            log.warning("no CUDA graph, calls are some microseconds slower: %s", error)
            return steps
        self._steps[call] = steps
        return call

    def forget(self, call):
        """Give back what `captured` made."""
        self.memory.forget(call)
        self._steps.pop(call, None)


def batch_sizes(max_batch):
    """Powers of two below max_batch, and max_batch."""
    return (*(2**i for i in range(max_batch.bit_length()) if 2**i < max_batch), max_batch)
