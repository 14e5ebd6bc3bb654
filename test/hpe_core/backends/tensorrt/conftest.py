"""A key of an engine."""

from dataclasses import replace

import pytest

from hpe_core.backends.tensorrt.key import EngineKey

KEY = EngineKey(
    model="net",
    onnx_sha256="0" * 64,
    recipe=1,
    precision="fp16",
    max_batch=1,
    input_size="320x256",
    library="tensorrt_rtx 1.7.1.116",
    plugins="1.7.1.116",
    cuda="any",
    compute_capability="8.6",
    gpu="any",
)


@pytest.fixture
def key():
    return KEY


@pytest.fixture
def key_with():
    return lambda **changes: replace(KEY, **changes)
