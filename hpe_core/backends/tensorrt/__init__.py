"""TensorRT and TensorRT for RTX: what identifies an engine, where engines lie, how they are built, proven and run."""

from hpe_core.backends.tensorrt.backend import Backend, unavailable

__all__ = ["Backend", "unavailable"]
