"""Inference backends, one file each. A backend module has `unavailable()` -> reason or None, and `Backend`.

`Backend(model_path, threads, progress)` loads a model; `.card` is its NetworkCard, `.sha256` that of its file,
`.input_shape` its input's shape, `.run(array)` its first output as float32, `.version` the library's. A first axis with
a name instead of a number is free: `.run` takes any number of images, in several calls of the engine where that has a
limit.
progress(text) hears what takes long. HpeError when the model cannot be read. `create` adds `.choice`: which backend was
taken and why, one line.

A backend that cuts its network's inputs out of a whole image itself has `.samples(shape)`, whether it does so for
images of a shape (H, W, 3), and `.run_on(source, nodes, spread)`, its first output for N canvases of a SourceImage.
nodes (N, GRID, GRID, 2): image pixels of evenly spaced canvas pixels; spread (N,): the width that each canvas pixel is
the mean of, in canvas pixels, 0 for a point. hpe_core.pixels.canvas makes these and gives all others finished canvases.
"""

import logging

from hpe_core import registry
from hpe_core.errors import HpeError

CPU = "onnxruntime"
AUTO_ORDER = ("tensorrt", "onnxruntime_cuda", CPU)
log = logging.getLogger(__name__)


def create(name, model_path, threads=0, progress=log.warning):
    """A loaded Backend. `auto` takes the first of AUTO_ORDER that works here; threads 0 means the library's choice.

    Raises HpeError for an unknown or unavailable backend, saying why.
    """
    if name != "auto":
        module = registry.load(__name__, name)
        reason = module.unavailable()
        if reason:
            raise HpeError(f"backend '{name}' cannot be used here: {reason}")
        return _chosen(module.Backend(model_path, threads, progress), "asked for by name")
    reasons = []
    for candidate in AUTO_ORDER:
        module = registry.load(__name__, candidate)
        reason = module.unavailable()
        if reason is None:
            try:
                backend = module.Backend(model_path, threads, progress)
            except HpeError as error:
                if candidate == AUTO_ORDER[-1]:  # nothing after it could do better
                    raise
                reason = str(error)
                log.warning("backend %s does not work here: %s", candidate, reason)
            else:
                return _chosen(backend, f"first that works here ({'; '.join(reasons) or 'nothing comes before it'})")
        reasons.append(f"{candidate}: {reason}")
    raise HpeError(f"no inference backend works here ({'; '.join(reasons)})")


def first_available(name):
    """The backend that `create` tries first: for `auto` the first of AUTO_ORDER that is installed, with its device."""
    candidates = AUTO_ORDER if name == "auto" else ()
    return next((one for one in candidates if registry.load(__name__, one).unavailable() is None), name)


def _chosen(backend, why):
    backend.choice = f"{backend.name}, {why}"
    return backend
