"""Loaded models that several pipelines of one process have in common."""

import logging
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hpe_core import backends
from hpe_core.inference import Backend, ImageOnDevice

log = logging.getLogger(__name__)


class SharedModels:
    """Loads every model once, however many threads ask for it, and lets go of it with the last pipeline that has it.

    Pipelines in threads of their own run a `concurrent` backend (ONNX Runtime) at once, any other one by turns.
    """

    def __init__(self):
        self._loading = threading.Lock()
        self._loaded: weakref.WeakValueDictionary[tuple[str, str, int, int], Backend] = weakref.WeakValueDictionary()

    def create(
        self,
        name: str,
        model_path: str | Path,
        threads: int = 0,
        progress: Callable[[str], None] = log.warning,
        width: int = 0,
    ) -> Backend:
        """As hpe_core.backends.create; the same Backend for the same arguments while somebody holds it."""
        key = (name, os.path.realpath(model_path), threads, width)
        with self._loading:  # who asks second waits for the first one's model
            backend = self._loaded.get(key)
            if backend is None:
                backend = backends.create(name, model_path, threads, progress, width)
                backend = backend if backend.concurrent else OneAtATime(backend)
                self._loaded[key] = backend
            return backend


class OneAtATime(Backend):
    """A backend whose calls from several threads wait for each other."""

    def __init__(self, backend: Backend):
        self._backend, self._lock = backend, threading.Lock()
        self.name, self.card, self.input_shape = backend.name, backend.card, backend.input_shape
        self.sha256, self.version, self.choice = backend.sha256, backend.version, backend.choice

    def run(self, array: np.ndarray) -> np.ndarray:
        """As the backend's."""
        with self._lock:
            return self._backend.run(array)

    def samples(self, image_shape: tuple[int, ...]) -> bool:
        """As the backend's."""
        return self._backend.samples(image_shape)

    def run_on(self, source: ImageOnDevice, nodes: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """As the backend's."""
        with self._lock:
            return self._backend.run_on(source, nodes, spread)
