"""TensorRT and TensorRT for RTX: what identifies an engine, where engines lie, how they are built, proven and run.

`Backend` and `unavailable` are those of the module `backend`, which is imported when one of them is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpe_core.backends.tensorrt.backend import Backend, unavailable

__all__ = ["Backend", "unavailable"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from hpe_core.backends.tensorrt import backend

    return getattr(backend, name)
