"""Device and pinned host memory, one stream and CUDA graphs, by cuda-python or else by torch. Needs a GPU when used."""

import ctypes
import importlib.util
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hpe_core.errors import HpeError


class Memory(Protocol):
    """Device and pinned host memory, and the stream that copies and engines go into."""

    stream: int

    def host(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray: ...

    def device(self, size: int) -> int: ...

    def upload(self, address: int, array: np.ndarray) -> None: ...

    def download(self, array: np.ndarray, address: int) -> None: ...

    def capture(self, work: Callable[[], None]) -> Callable[[], None]: ...

    def forget(self, replay: Callable[[], None]) -> None: ...

    def synchronize(self) -> None: ...

    def close(self) -> None: ...


def unavailable() -> str | None:
    """Why there is no way to GPU memory, or None; imports nothing."""
    if any(importlib.util.find_spec(name) for name in ("cuda", "torch")):
        return None
    return "neither cuda-python nor torch is installed"


def create() -> Memory:
    """CudaPython or Torch, the first that works. Raises HpeError with the reasons."""
    reasons = []
    for kind in (CudaPython, Torch):
        try:
            return kind()
        except (ImportError, HpeError) as error:
            reasons.append(f"{kind.__name__}: {error}")
    raise HpeError(f"no way to GPU memory ({'; '.join(reasons)})")


class CudaPython:
    """The CUDA runtime through NVIDIA's Python bindings."""

    def __init__(self):
        try:
            from cuda.bindings import runtime  # pyright: ignore[reportAttributeAccessIssue]
        except ImportError:
            # cuda-python before 12.8, as on JetPack 5 and 6
            from cuda import cudart as runtime  # pyright: ignore[reportAttributeAccessIssue]
        self._cuda: Any = runtime
        self._device: list[Any] = []  # addresses
        self._host: list[Any] = []
        self._graphs: dict[Callable[[], None], Any] = {}
        self._call("cudaSetDevice", 0)
        self._stream = self._call("cudaStreamCreateWithFlags", runtime.cudaStreamNonBlocking)
        self.stream = int(self._stream)

    def host(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
        """Pinned array."""
        dtype = np.dtype(dtype)
        size = max(1, int(np.prod(shape)) * dtype.itemsize)
        address = self._call("cudaHostAlloc", size, self._cuda.cudaHostAllocDefault)
        self._host.append(address)
        buffer = (ctypes.c_uint8 * size).from_address(int(address))
        return np.ctypeslib.as_array(buffer)[: int(np.prod(shape)) * dtype.itemsize].view(dtype).reshape(shape)

    def device(self, size: int) -> int:
        """Address of `size` bytes on the device."""
        address = self._call("cudaMalloc", size)
        self._device.append(address)
        return int(address)

    def upload(self, address: int, array: np.ndarray) -> None:
        """Copy a pinned array to the device, in the stream."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, self._stream)

    def download(self, array: np.ndarray, address: int) -> None:
        """Copy from the device into a pinned array, in the stream."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, self._stream)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """What work() puts into the stream, as one function that puts it there again. Raises HpeError.

        What work() uses must live as long as the function.
        """
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self._stream, mode)
        try:
            work()
        finally:
            graph = self._call("cudaStreamEndCapture", self._stream)
        try:
            executable = self._call("cudaGraphInstantiateWithFlags", graph, 0)  # the form that CUDA 11 to 13 share
        finally:
            self._call("cudaGraphDestroy", graph)

        def replay():
            self._call("cudaGraphLaunch", executable, self._stream)

        self._graphs[replay] = executable
        return replay

    def forget(self, replay: Callable[[], None]) -> None:
        """Give back what `capture` made; harmless for any other function."""
        if replay in self._graphs:
            self._call("cudaGraphExecDestroy", self._graphs.pop(replay))

    def synchronize(self) -> None:
        """Wait until the stream is empty."""
        self._call("cudaStreamSynchronize", self._stream)

    def close(self) -> None:
        """Give everything back; arrays from `host` are invalid afterwards."""
        for replay in list(self._graphs):
            self.forget(replay)
        for function, items in (("cudaFree", self._device), ("cudaFreeHost", self._host)):
            while items:
                self._call(function, items.pop())
        if self._stream is not None:
            self._call("cudaStreamDestroy", self._stream)
            self._stream = None

    def _call(self, function: str, *arguments: Any) -> Any:
        error, *results = getattr(self._cuda, function)(*arguments)
        if int(error) != 0:
            raise HpeError(f"{function} failed: {self._cuda.cudaError_t(int(error)).name}")
        return results[0] if results else None


class Torch:
    """The same through torch, where cuda-python is absent."""

    def __init__(self):
        import torch

        if not torch.cuda.is_available():
            raise HpeError(f"torch {torch.__version__} sees no GPU")
        self._torch, self._tensors = torch, {}
        self._stream = torch.cuda.Stream()
        self.stream = self._stream.cuda_stream

    def host(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
        """Pinned array."""
        dtype = np.dtype(dtype)
        tensor = self._empty(int(np.prod(shape)) * dtype.itemsize, pin_memory=True)
        array = tensor.numpy().view(dtype).reshape(shape)
        self._tensors[array.ctypes.data] = tensor
        return array

    def device(self, size: int) -> int:
        """Address of `size` bytes on the device."""
        tensor = self._empty(size, device="cuda")
        self._tensors[tensor.data_ptr()] = tensor
        return tensor.data_ptr()

    def upload(self, address: int, array: np.ndarray) -> None:
        """Copy a pinned array to the device, in the stream."""
        self._copy(address, array.ctypes.data, array.nbytes)

    def download(self, array: np.ndarray, address: int) -> None:
        """Copy from the device into a pinned array, in the stream."""
        self._copy(array.ctypes.data, address, array.nbytes)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """What work() puts into the stream, as one function that puts it there again."""
        graph = self._torch.cuda.CUDAGraph()
        with self._torch.cuda.graph(graph, stream=self._stream):
            work()

        def replay():
            with self._torch.cuda.stream(self._stream):
                graph.replay()

        return replay

    def forget(self, replay: Callable[[], None]) -> None:
        """Nothing to do: the graph lives as long as the function."""

    def synchronize(self) -> None:
        """Wait until the stream is empty."""
        self._stream.synchronize()

    def close(self) -> None:
        """Give everything back; arrays from `host` are invalid afterwards."""
        self._tensors.clear()

    def _empty(self, size, **where):
        try:
            return self._torch.empty(size, dtype=self._torch.uint8, **where)
        except RuntimeError as error:  # out of memory
            raise HpeError(f"torch: {str(error).splitlines()[0]}") from error

    def _copy(self, to, origin, size):
        with self._torch.cuda.stream(self._stream):
            self._tensors[to][:size].copy_(self._tensors[origin][:size], non_blocking=True)
