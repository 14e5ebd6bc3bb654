import contextlib
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hpe_core.backends.tensorrt import gpu, memory
from hpe_core.errors import HpeError


def test_every_function_of_the_cuda_runtime_that_is_called_exists():
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="cuda-python is not installed")
    called = set(re.findall(r'"(cuda[A-Z]\w+)"', Path(memory.__file__).read_text()))
    assert len(called) > 10
    assert [name for name in sorted(called) if not hasattr(runtime, name)] == []


@pytest.mark.skipif(gpu.find()[0] is not None, reason="states what happens without a GPU")
def test_without_a_gpu_each_way_says_why_it_fails():
    with pytest.raises(HpeError, match=r"no way to GPU memory \(CudaPython: .+; Torch: .+\)"):
        memory.create()


def torch_without_gpu(monkeypatch, empty):
    """memory.Torch whose device is the CPU; empty(size) makes its tensors."""
    stream = SimpleNamespace(cuda_stream=0, synchronize=lambda: None)
    cuda = SimpleNamespace(
        is_available=lambda: True, Stream=lambda: stream, stream=lambda stream: contextlib.nullcontext()
    )
    fake = SimpleNamespace(cuda=cuda, uint8=None, empty=lambda size, **where: empty(size))
    monkeypatch.setitem(__import__("sys").modules, "torch", fake)
    return memory.Torch()


def test_torch_copies_the_first_images_of_an_array_and_no_more(monkeypatch):
    torch = pytest.importorskip("torch")
    memory = torch_without_gpu(monkeypatch, lambda size: torch.empty(size, dtype=torch.uint8))
    sent, received = memory.host((4, 3), np.float32), memory.host((4, 3), np.float32)
    sent[...], received[...] = np.arange(12).reshape(4, 3), -1.0
    address = memory.device(sent.nbytes)
    memory.upload(address, sent[:2])
    memory.download(received[:2], address)
    assert received.tolist() == [[0, 1, 2], [3, 4, 5], [-1, -1, -1], [-1, -1, -1]]


def test_torch_without_memory_is_an_error_that_can_be_read(monkeypatch):
    def full(size):
        raise RuntimeError("CUDA out of memory. Tried to allocate 40.00 MiB.\nmore")

    with pytest.raises(HpeError, match=r"^torch: CUDA out of memory. Tried to allocate 40.00 MiB.$"):
        torch_without_gpu(monkeypatch, full).device(40_000_000)


@pytest.mark.trt_gpu
@pytest.mark.parametrize("kind", [memory.CudaPython, memory.Torch])
def test_bytes_come_back_from_the_device_also_by_a_graph(kind):
    try:
        memory = kind()
    except (ImportError, HpeError) as error:
        pytest.skip(f"{kind.__name__}: {error}")
    sent, received = memory.host((4, 100), np.uint8), memory.host((4, 100), np.uint8)
    address = memory.device(sent.nbytes)

    def there_and_back():
        memory.upload(address, sent)
        memory.download(received, address)

    there_and_back()
    memory.synchronize()
    replay = memory.capture(there_and_back)
    for value in (3, 7):
        sent[...] = value
        replay()
        memory.synchronize()
        assert (received == value).all()
    memory.close()
