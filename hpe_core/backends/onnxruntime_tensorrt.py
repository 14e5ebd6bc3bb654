"""ONNX Runtime's own TensorRT provider (package onnxruntime-gpu with TensorRT beside it).

It keeps engines by rules of its own and is for comparison; `tensorrt` is the backend with a checked engine cache.
"""

from hpe_core.backends import onnxruntime, onnxruntime_cuda

PROVIDER = "TensorrtExecutionProvider"


def unavailable() -> str | None:
    """Why this backend cannot be used here, or None."""
    return onnxruntime.provider_missing(PROVIDER)


class Backend(onnxruntime_cuda.Backend):
    """One ONNX model by the TensorRT provider, its engine built in the first run at loading time."""

    name = "onnxruntime_tensorrt"
    providers = (PROVIDER, "CUDAExecutionProvider", "CPUExecutionProvider")
