"""ONNX Runtime on an NVIDIA GPU (package onnxruntime-gpu)."""

from hpe_core.backends import onnxruntime

PROVIDER = "CUDAExecutionProvider"


def unavailable():
    """Why this backend cannot be used here, or None."""
    return onnxruntime.provider_missing(PROVIDER)


class Backend(onnxruntime.Backend):
    """One ONNX model by the CUDA provider; operators that it lacks run on the CPU."""

    name = "onnxruntime_cuda"
    providers = (PROVIDER, "CPUExecutionProvider")

    def __init__(self, model_path, threads=0, progress=None):
        super().__init__(model_path, threads, progress)
        self.run(self.empty_input())  # kernels are chosen in the first run: not on the first frame
