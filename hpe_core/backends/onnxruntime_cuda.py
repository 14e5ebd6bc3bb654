"""ONNX Runtime on an NVIDIA GPU (package onnxruntime-gpu)."""

from hpe_core.backends import onnxruntime

PROVIDER = "CUDAExecutionProvider"


def unavailable() -> str | None:
    """Why this backend cannot be used here, or None."""
    return onnxruntime.provider_missing(PROVIDER)


class Backend(onnxruntime.Backend):
    """One ONNX model by the CUDA provider; operators that it lacks run on the CPU."""

    name = "onnxruntime_cuda"
    providers = (PROVIDER, "CPUExecutionProvider")
