"""ONNX Runtime on the CPU: the default everywhere."""

import importlib.util
import json

import numpy as np

from hpe_core.errors import HpeError

CARD_KEY = "hpe_model_card"


def unavailable():
    """Why this backend cannot be used here, or None."""
    return None if importlib.util.find_spec("onnxruntime") else "the package onnxruntime is not installed"


def provider_missing(provider):
    """Why one of ONNX Runtime's execution providers cannot be used here, or None."""
    reason = unavailable()
    if reason:
        return reason
    import onnxruntime as ort

    if provider not in ort.get_available_providers():
        return f"the installed onnxruntime {ort.__version__} has no {provider}"
    return None


def function_of(onnx_bytes, threads=0):
    """A graph (bytes of an ONNX file) on the CPU, as a function: named inputs (arrays) -> first output."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
    return lambda **inputs: session.run(None, inputs)[0]


class Backend:
    """One ONNX model on CPU threads. Subclasses name other providers."""

    name = "onnxruntime"
    providers = ("CPUExecutionProvider",)

    def __init__(self, model_path, threads=0, progress=None):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(model_path), options, providers=list(self.providers))
        except Exception as error:  # onnxruntime raises its own unexported classes
            raise HpeError(f"cannot load model {model_path}: {str(error).splitlines()[0]}") from error
        working = self._session.get_providers()
        if working[0] != self.providers[0]:  # onnxruntime falls back without an error
            raise HpeError(f"{self.providers[0]} does not start here, onnxruntime fell back to {working[0]}")
        text = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        if text is None:
            raise HpeError(f"{model_path} carries no '{CARD_KEY}' metadata: it was not exported by hpe_core.export")
        try:
            self.card = json.loads(text)
        except ValueError as error:
            raise HpeError(f"the model card in {model_path} is not JSON: {error}") from error
        self._input = self._session.get_inputs()[0]
        self.input_shape = tuple(self._input.shape)
        self.version = ort.__version__

    def empty_input(self):
        """One black image of the input's shape."""
        return np.zeros((1, *self.input_shape[1:]), np.uint8)

    def run(self, array):
        """First output for one input array of `input_shape`, of any length where its first axis is free."""
        return np.asarray(self._session.run(None, {self._input.name: array})[0], np.float32)
