"""ONNX Runtime on the CPU: the default everywhere."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hpe_core import inference
from hpe_core.backends.tensorrt import network_file
from hpe_core.errors import HpeError
from hpe_core.network_card import CROP, FREE_SIDES

# no Linux distribution of ROS packages it for Python
MISSING = "the package onnxruntime is not installed for this Python (pip install onnxruntime; with ROS: docs/ros.md)"


def unavailable() -> str | None:
    """Why this backend cannot be used here, or None."""
    return None if importlib.util.find_spec("onnxruntime") else MISSING


def provider_missing(provider: str) -> str | None:
    """Why one of ONNX Runtime's execution providers cannot be used here, or None."""
    if unavailable():
        return "it needs onnxruntime"
    import onnxruntime as ort

    if provider not in ort.get_available_providers():
        return f"the installed onnxruntime {ort.__version__} has no {provider}"
    return None


def function_of(onnx_bytes: bytes, threads: int = 0, where: str = "graph") -> Callable[..., np.ndarray]:
    """A graph (bytes of an ONNX file) on the CPU, as a function: named inputs (arrays) -> first output.

    Either raises HpeError, naming `where` it is from, when the graph cannot be loaded or does not take its inputs.
    """
    session = _session(onnx_bytes, threads, ("CPUExecutionProvider",), where)

    def run(**inputs):
        try:
            return np.asarray(session.run(None, inputs)[0])
        except Exception as error:  # onnxruntime raises its own unexported classes
            raise HpeError(f"model {where} does not run: {_first_line(error)}") from error

    return run


def _session(model, threads, providers, where, sides=()):
    """InferenceSession of a path or of bytes; sides (height, width): of an input that leaves them free. Raises HpeError
    when it cannot be loaded."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for name, side in zip(FREE_SIDES, sides, strict=False):
        options.add_free_dimension_override_by_name(name, side)
    try:
        return ort.InferenceSession(model, options, providers=list(providers))
    except Exception as error:  # onnxruntime raises its own unexported classes
        raise HpeError(f"cannot load model {where}: {_first_line(error)}") from error


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]


class Backend(inference.Backend):
    """One ONNX model on CPU threads. Subclasses name other providers."""

    name = "onnxruntime"
    concurrent = True  # InferenceSession.run is thread-safe, with intra_op_num_threads 1 each in its caller's thread
    providers = ("CPUExecutionProvider",)

    def __init__(
        self,
        model_path: str | Path,
        threads: int = 0,
        progress: Callable[[str], None] | None = None,
        width: int = 0,
    ):
        import onnxruntime as ort

        network = network_file.read(model_path, width)
        self.sha256, self.card = network.sha256, network.card
        self.input_shape = self.card.input_shape
        self._session = _session(str(model_path), threads, self.providers, model_path, self.input_shape[1:3])
        working = self._session.get_providers()
        if working[0] != self.providers[0]:  # onnxruntime falls back without an error
            raise HpeError(f"{self.providers[0]} does not start here, onnxruntime fell back to {working[0]}")
        inputs = self._session.get_inputs()
        if [one.type for one in inputs] != ["tensor(uint8)"]:
            found = ", ".join(f"{one.name} {one.type}" for one in inputs) or "nothing"
            raise HpeError(f"{model_path} must take one input of type tensor(uint8), it takes {found}")
        self._input = inputs[0]
        self.version = ort.__version__
        self._check_rows(model_path)

    def _check_rows(self, model_path):
        """Raises HpeError when black images do not give the rows of the card. Kernels are chosen in this first run, not
        on the first frame."""
        count, row = 2 if self.card.free_batch else 1, self.card.row
        try:
            rows = self.run(np.zeros((count, *self.input_shape[1:]), np.uint8))
        except Exception as error:  # onnxruntime raises its own unexported classes
            raise HpeError(f"model {model_path} does not run: {_first_line(error)}") from error
        expected = (count, row) if self.card.kind == CROP else (count, max(1, rows.size // (count * row)), row)
        if rows.shape != expected:
            raise HpeError(f"model {model_path} must give {expected} numbers as its card says, it gives {rows.shape}")
        if not np.isfinite(rows).all():
            raise HpeError(f"model {model_path} gives numbers that are not finite for a black image: it is damaged")

    def run(self, array: np.ndarray) -> np.ndarray:
        """First output for one input array of `input_shape`, of any length where its first axis is free."""
        return np.asarray(self._session.run(None, {self._input.name: array})[0], np.float32)
