"""Inference backends, one file each. A backend module has `unavailable()` -> reason or None, and `Backend`.

`Backend(model_path, threads, progress, width=0)` loads a model and is a hpe_core.inference.Backend. progress(text)
hears what takes long. HpeError when the model cannot be read.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from hpe_core import registry
from hpe_core.errors import HpeError
from hpe_core.inference import Backend

CPU = "onnxruntime"
AUTO_ORDER = ("tensorrt", "onnxruntime_cuda", CPU)
log = logging.getLogger(__name__)


def create(
    name: str,
    model_path: str | Path,
    threads: int = 0,
    progress: Callable[[str], None] = log.warning,
    width: int = 0,
) -> Backend:
    """A loaded Backend. `auto` takes the first of AUTO_ORDER that works here; threads 0 means the library's choice;
    width: of the canvas, for a whole-image network that leaves it free; 0 as its card says.

    Raises HpeError for an unknown or unavailable backend, saying why.
    """
    if name != "auto":
        module = registry.load(__name__, name)
        reason = module.unavailable()
        if reason:
            raise HpeError(f"backend '{name}' cannot be used here: {reason}")
        return _chosen(module.Backend(model_path, threads, progress, width=width), "asked for by name")
    reasons = []
    for candidate in AUTO_ORDER:
        module = registry.load(__name__, candidate)
        reason = module.unavailable()
        if reason is None:
            try:
                backend = module.Backend(model_path, threads, progress, width=width)
            except HpeError as error:
                if candidate == AUTO_ORDER[-1]:  # nothing after it could do better
                    raise
                reason = str(error)
                log.warning("backend %s does not work here: %s", candidate, reason)
            else:
                return _chosen(backend, f"first that works here ({'; '.join(reasons) or 'nothing comes before it'})")
        reasons.append(f"{candidate}: {reason}")
    raise HpeError(f"no inference backend works here ({'; '.join(reasons)})")


def first_available(name: str) -> str:
    """The backend that `create` tries first: for `auto` the first of AUTO_ORDER that is installed, with its device."""
    candidates = AUTO_ORDER if name == "auto" else ()
    return next((one for one in candidates if registry.load(__name__, one).unavailable() is None), name)


def _chosen(backend, why):
    backend.choice = f"{backend.name}, {why}"
    return backend
