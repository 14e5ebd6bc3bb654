"""Inference backends, one file each. A backend module has `unavailable()` -> reason or None, and `Backend`.

`Backend(model_path, threads)` loads a model; `.card` is the model's own description (dict), `.input_shape` its first
input's shape, `.run(array)` its first output as float32. HpeError when the model cannot be read.
"""

from hpe_core import registry
from hpe_core.errors import HpeError

AUTO_ORDER = ("onnxruntime",)


def create(name, model_path, threads=0):
    """A loaded Backend. `auto` takes the first of AUTO_ORDER that works here; threads 0 means the library's choice.

    Raises HpeError for an unknown or unavailable backend, saying why.
    """
    if name != "auto":
        module = registry.load(__name__, name)
        reason = module.unavailable()
        if reason:
            raise HpeError(f"backend '{name}' cannot be used here: {reason}")
        return module.Backend(model_path, threads)
    reasons = []
    for candidate in AUTO_ORDER:
        module = registry.load(__name__, candidate)
        reason = module.unavailable()
        if reason is None:
            return module.Backend(model_path, threads)
        reasons.append(f"{candidate}: {reason}")
    raise HpeError(f"no inference backend works here ({'; '.join(reasons)})")
