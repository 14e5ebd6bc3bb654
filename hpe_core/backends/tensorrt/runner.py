"""An engine with its buffers, as CUDA graphs. Named tensors and `execute_async_v3` only: the interface that TensorRT
8.5 to 11 share."""

import logging
from collections.abc import Callable, Mapping
from types import ModuleType

import numpy as np

from hpe_core.backends.tensorrt import builder, memory
from hpe_core.backends.tensorrt.builder import Context, Engine
from hpe_core.errors import HpeError

Steps = Callable[[], None]  # puts work into the stream
WARM_UP_RUNS = 3
log = logging.getLogger(__name__)


class Runner:
    """An engine with its buffers: pinned memory, upload, execution and download captured as one graph per batch size.

    Sizes are 1, 2, 4 ... max_batch, all made when it is built; fewer images run in the next size, beside leftovers of
    earlier calls. Each size has its own execution context, because a graph is bound to the state of its context.
    """

    def __init__(self, trt: ModuleType, engine: Engine, max_batch: int):
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        outputs = [name for name in names if name not in inputs]
        if len(inputs) != 1 or not outputs:
            raise HpeError(f"the engine has inputs {inputs} and outputs {outputs}, needed: one input, one output")
        self.trt = trt
        self._engine: Engine | None = engine
        self._input, self._output = inputs[0], outputs[0]
        self._max_batch = max_batch
        shapes = {name: (max_batch, *tuple(engine.get_tensor_shape(name))[1:]) for name in names}
        types = {name: builder.numpy_type(engine.get_tensor_dtype(name)) for name in names}
        self.memory = memory.create()
        self._sizes = batch_sizes(max_batch)
        self._steps: dict[Steps, Steps] = {}  # of the captured functions: a graph needs its contexts
        self.why_no_graph: str | None = None
        self._addresses = {
            name: self.memory.device(int(np.prod(shapes[name])) * types[name].itemsize) for name in names
        }
        self.input_address = self._addresses[self._input]
        self.images = self.memory.host(shapes[self._input], types[self._input])
        self.rows = self.memory.host(shapes[self._output], types[self._output])
        self.images[...] = 0
        self._calls = {size: self._prepared(size) for size in self._sizes}

    def run(self, array: np.ndarray) -> np.ndarray:
        """First output (B, ...) float32 for images (B, H, W, 3) uint8 of one batch."""
        images = self.images
        if array.shape[1:] != images.shape[1:] or not 1 <= len(array) <= self._max_batch or array.dtype != images.dtype:
            raise HpeError(
                f"the engine takes (1..{self._max_batch}, {', '.join(map(str, images.shape[1:]))}) {images.dtype}, "
                f"got {array.shape} {array.dtype}"
            )
        images[: len(array)] = array
        return self.rows_after(self._calls[self.size_for(len(array))], len(array))

    def run_all(self, array: np.ndarray) -> np.ndarray:
        """First output (N, ...) float32 for any number of images (N, H, W, 3) uint8, in several calls if need be."""
        limit = self._max_batch
        if len(array) <= limit:
            return self.run(array)
        return np.concatenate([self.run(array[i : i + limit]) for i in range(0, len(array), limit)])

    def rows_after(self, call: Steps, count: int) -> np.ndarray:
        """First output (count, ...) float32 after call(), one of the functions that `captured` made."""
        call()
        self.memory.synchronize()
        return self.rows[:count].astype(np.float32)

    def size_for(self, count: int) -> int:
        """The batch size that so many images run in."""
        return min(size for size in self._sizes if size >= count)

    def close(self) -> None:
        """Free contexts and memory; harmless when it has been done."""
        self._calls.clear()
        self._steps.clear()
        self._engine = None
        self.images = self.rows = np.empty((0, 0, 0, 0), np.uint8)  # pinned memory is gone
        self.memory.close()

    def _prepared(self, size: int) -> Steps:
        """A function that does one call of `size` images."""
        images, network = self.images[:size], self.network_steps(size)

        def steps():
            self.memory.upload(self.input_address, images)
            network()

        return self.captured(steps)

    def network_steps(self, size: int) -> Steps:
        """A function that puts into the stream: the network on `size` images at input_address, its rows' way back."""
        shape, rows = self.images[:size].shape, self.rows[:size]
        if self._engine is None:
            raise HpeError("the engine has been closed")
        context = self.context(self._engine, {self._input: shape}, self._addresses)

        def steps():
            if not context.execute_async_v3(self.memory.stream):
                raise HpeError("TensorRT does not execute the engine")
            self.memory.download(rows, self._addresses[self._output])

        return steps

    def context(
        self,
        engine: Engine,
        shapes: Mapping[str, tuple[int, ...]],
        addresses: Mapping[str, int],
        scratch: tuple[int, int] | None = None,
    ) -> Context:
        """An engine's execution context that knows its inputs' shapes and its tensors' addresses (dicts by name)."""
        context = builder.new_context(self.trt, engine, scratch)
        for name, shape in shapes.items():
            if not context.set_input_shape(name, shape):
                raise HpeError(f"TensorRT refuses shape {tuple(shape)} of input {name}")
        for name, address in addresses.items():
            if not context.set_tensor_address(name, address):
                raise HpeError(f"TensorRT refuses the address of tensor {name}")
        return context

    def captured(self, steps: Steps) -> Steps:
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

    def forget(self, call: Steps) -> None:
        """Give back what `captured` made."""
        self.memory.forget(call)
        self._steps.pop(call, None)


def batch_sizes(max_batch: int) -> tuple[int, ...]:
    """Powers of two below max_batch, and max_batch."""
    return (*(2**i for i in range(max_batch.bit_length()) if 2**i < max_batch), max_batch)
