"""TensorRT or TensorRT for RTX on an NVIDIA GPU, desktop or Jetson: engines from the cache, one CUDA graph per call.

Engines of a network and of the samplers before it are built, warmed up and compared with ONNX Runtime while loading,
never on the first frame.
"""

import contextlib
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hpe_core import inference
from hpe_core.backends import onnxruntime
from hpe_core.backends.tensorrt import builder, gpu, make, memory, network_file, parity, sampler
from hpe_core.backends.tensorrt.gpu import Gpu
from hpe_core.backends.tensorrt.network_file import NetworkFile
from hpe_core.backends.tensorrt.prove import RefusedEngine, Wanted, obtain_proven_engines
from hpe_core.backends.tensorrt.runner import Runner
from hpe_core.backends.tensorrt.sampler import Sampler
from hpe_core.backends.tensorrt.sampling import Sampling
from hpe_core.backends.tensorrt.store import EngineStore, Entry
from hpe_core.errors import HpeError
from hpe_core.pixels.canvas import GRID, SourceImage

FAILURES = (HpeError, RuntimeError, TypeError, AttributeError)  # the latter where a version's bindings differ
log = logging.getLogger(__name__)


def unavailable() -> str | None:
    """Why this backend cannot be used here, or None."""
    if builder.installed() is None:
        return f"neither {' nor '.join(builder.LIBRARIES)} is installed"
    return gpu.find()[1] or memory.unavailable()


class Backend(inference.Backend):
    """One engine. precision: fp16 (default), fp32, or int8 for a model with Q/DQ; folder: of the engine cache.

    max_batch: most images per call of the engine; by default 16 for a model that takes any number, else 1; width: as of
    hpe_core.backends.create.
    """

    name = "tensorrt"
    sampler_entries: tuple[Entry, ...] = ()
    _sampling: Sampling | None = None
    _size_was_reported = False

    def __init__(
        self,
        model_path: str | Path,
        threads: int = 0,
        progress: Callable[[str], None] | None = None,
        precision: str | None = None,
        max_batch: int | None = None,
        folder: str | Path | None = None,
        width: int = 0,
    ):
        progress = progress or (lambda text: None)
        trt = builder.load()
        device, reason = gpu.find()
        if device is None:
            raise HpeError(str(reason))
        network, store = network_file.read(model_path, width), EngineStore(folder)
        self.card = network.card
        self.input_shape = network.card.input_shape
        self.sha256 = network.sha256
        self.version = builder.describe(trt)
        self.key = make.key_for(trt, network, device, precision=precision, max_batch=max_batch)
        wanted = Wanted(
            key=self.key,
            build=functools.partial(make.build, trt, network, self.key, False, progress),
            measure=functools.partial(_measure, network, threads),
        )
        try:
            self._runner, (entry,) = obtain_proven_engines(
                trt, store, [wanted], lambda engines: Runner(trt, engines[0], self.key.max_batch), progress
            )
        except RefusedEngine as error:
            raise HpeError(
                f"{error}; use another precision or backend (`hpe engine prune --refused` forgets the verdict)"
            ) from error
        self.facts, self.parity = entry.facts, entry.parity
        try:
            self._start_sampling(trt, store, device, threads, progress)
        except FAILURES as error:
            if isinstance(error, RefusedEngine):
                self.sampler_entries = error.entries
            log.warning("preprocessing for %s stays on the CPU: %s", self.key.model, error)

    def _start_sampling(
        self, trt: ModuleType, store: EngineStore, device: Gpu, threads: int, progress: Callable[[str], None]
    ) -> None:
        """Make the Sampling before the network, proven. Raises HpeError when there can be none."""
        samplers = sampler.samplers_of(self.card, self.key.max_batch)
        keys = [make.sampler_key(trt, one, device) for one in samplers]
        wanted = [
            Wanted(
                key=key,
                build=functools.partial(make.build_sampler, trt, one, key, False, progress),
                measure=functools.partial(_measure_sampler, one, threads),
            )
            for key, one in zip(keys, samplers, strict=True)
        ]
        sampling, self.sampler_entries = obtain_proven_engines(
            trt,
            store,
            wanted,
            lambda engines: Sampling(dict(zip(samplers, engines, strict=True)), self._runner),
            progress,
        )
        usual = SourceImage(np.zeros((*sampler.IMAGE_SIZES[1], 3), np.uint8))
        try:
            for spread in (0.0, 1.0):  # too little memory shows here
                sampling.run(usual, np.zeros((1, GRID, GRID, 2)), np.array([spread]))
        except BaseException:
            sampling.close()
            raise
        self._sampling = sampling

    def samples(self, image_shape: tuple[int, ...]) -> bool:
        """Whether `run_on` takes images of a shape (H, W, 3)."""
        if self._sampling is None:
            return False
        if sampler.takes(image_shape):
            return True
        if not self._size_was_reported:
            self._size_was_reported = True
            (low_height, low_width), _, (height, width) = sampler.IMAGE_SIZES
            log.warning(
                "images of %dx%d are preprocessed on the CPU, the GPU takes %dx%d to %dx%d",
                *(image_shape[1], image_shape[0], low_width, low_height, width, height),
            )
        return False

    def run_on(self, source: SourceImage, nodes: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """First output for canvases of a SourceImage; see hpe_core.backends.

        Raises HpeError when the GPU does not do it, as with too little memory for another image size: `samples` is
        False from then on.
        """
        sampling = self._sampling
        if sampling is None:
            raise HpeError(f"preprocessing for {self.key.model} is not on the GPU: give `run` finished canvases")
        limit = sampling.max_batch
        starts = range(0, len(nodes), limit)
        try:
            rows = [sampling.run(source, nodes[i : i + limit], spread[i : i + limit]) for i in starts]
        except (HpeError, RuntimeError) as error:
            log.warning("preprocessing for %s goes on by the CPU: %s", self.key.model, error)
            self._sampling = None
            with contextlib.suppress(HpeError, RuntimeError):  # what began may still be running
                self._runner.memory.synchronize()
                sampling.close()
            raise
        return np.concatenate(rows) if len(rows) > 1 else rows[0]

    def run(self, array: np.ndarray) -> np.ndarray:
        """First output for one input array of `input_shape`, or of up to max_batch images.

        A model that takes any number of images gets more than max_batch in several calls.
        """
        return self._runner.run_all(array) if self.card.free_batch else self._runner.run(array)

    def close(self) -> None:
        """Free the GPU's memory; the backend is of no use afterwards."""
        if self._sampling is not None:
            self._sampling.close()
        self._runner.close()

    def __del__(self) -> None:
        if hasattr(self, "_runner"):  # else loading failed
            with contextlib.suppress(Exception):  # the interpreter may be on its way out
                self.close()


def _measure(network: NetworkFile, threads: int, runner: Runner) -> dict[str, Any]:
    """How a network's Runner differs from ONNX Runtime."""
    reference = onnxruntime.Backend(network.path, threads, width=network.width)
    run = runner.run_all if network.card.free_batch else runner.run
    return parity.measure(reference.run, run, network.card).as_dict()


def _measure_sampler(wanted: Sampler, threads: int, sampling: Sampling) -> dict[str, Any]:
    """How one Sampler in a Sampling differs from ONNX Runtime."""
    run = functools.partial(sampling.canvases, wanted)
    return parity.measure_sampler(sampler.reference(wanted, threads), run, wanted)
