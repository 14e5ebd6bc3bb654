"""Preprocessing on the GPU: samplers' engines cut the network's inputs out of the image, in the network's stream.

The image goes to the device once: the first network that needs it notes its place in the SourceImage for the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpe_core.backends.tensorrt import builder
from hpe_core.backends.tensorrt import sampler as samplers
from hpe_core.backends.tensorrt.builder import Engine
from hpe_core.backends.tensorrt.memory import Memory
from hpe_core.backends.tensorrt.runner import Runner, Steps
from hpe_core.backends.tensorrt.sampler import Sampler
from hpe_core.errors import HpeError
from hpe_core.pixels.canvas import GRID, SourceImage

LARGEST = samplers.IMAGE_SIZES[-1]
PLACES = 2  # this network's own and another one's


@dataclass(frozen=True)
class OnDevice:
    """Where the image of a SourceImage lies, as long as its ticket is the newest there."""

    image: "DeviceImage"
    ticket: object


class DeviceImage:
    """Room for one image in pinned memory and on the device."""

    def __init__(self, memory: Memory):
        size = 3 * LARGEST[0] * LARGEST[1]
        self._memory = memory
        self._host = memory.host((size,), np.uint8)
        self.address = memory.device(size)
        self.ticket: object | None = None  # of the image that lies there now

    def upload(self, source: SourceImage) -> None:
        """Put a SourceImage there, in the stream, and note that in it."""
        pinned = self._host[: source.array.size].reshape(source.array.shape)
        pinned[...] = source.array
        self._memory.upload(self.address, pinned)
        self.ticket = object()
        source.on_device = OnDevice(self, self.ticket)


class Sampling:
    """The engines of samplers in front of a network's Runner; what they make is the network's input.

    engines: of Samplers, all for as many canvases: with one sample per pixel, and with several for where the
    image shrinks.

    A graph belongs to the image's shape and its place on the device (it lies where the first network of a frame put it)
    and to a batch size. It is captured when it is first needed; then those of another shape are dropped, and all when
    the image comes from more than PLACES, so the memory stays bounded.
    """

    def __init__(self, engines: Mapping[Sampler, Engine], runner: Runner):
        self._runner, self._memory = runner, runner.memory
        self._engines = {sampler.sub_pixels: engine for sampler, engine in engines.items()}
        self.max_batch = min(sampler.max_batch for sampler in engines)
        shapes = {"nodes": (self.max_batch, GRID, GRID, 2), "spread": (self.max_batch,)}
        self._host = {name: self._memory.host(shape, np.float32) for name, shape in shapes.items()}
        self._addresses = {name: self._memory.device(array.nbytes) for name, array in self._host.items()}
        for array in self._host.values():
            array[...] = 0  # what is left over from earlier calls is sampled, too
        size = max(1, *(builder.scratch_size(engine) for engine in engines.values()))
        self._scratch = self._memory.device(size), size
        self._image: DeviceImage | None = None
        self._shape: tuple[int, ...] | None = None  # of the images
        self._calls: dict[int, dict[tuple[int, int], Steps]] = {}  # address -> (sub_pixels, batch size) -> function

    def run(self, source: SourceImage, nodes: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """The network's rows (N, ...) float32 for canvases of nodes (N, GRID, GRID, 2), spread (N,) of a SourceImage.

        The image's size is in sampler.IMAGE_SIZES, N at most `max_batch`.
        """
        address = self._filled(source, nodes, spread)
        if source.array.shape != self._shape or (address not in self._calls and len(self._calls) == PLACES):
            self._drop()
            self._shape = source.array.shape
        calls = self._calls.setdefault(address, {})
        wanted = samplers.SUB_PIXELS if np.any(spread) else 1, self._runner.size_for(len(nodes))
        if wanted not in calls:
            calls[wanted] = self._prepared(address, source.array.shape, *wanted)
        return self._runner.rows_after(calls[wanted], len(nodes))

    def canvases(self, sampler: Sampler, image: np.ndarray, nodes: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """Canvases (N, h, w, 3) uint8 of an image (H, W, 3) uint8: one Sampler alone, for its comparison."""
        address, found = self._filled(SourceImage(image), nodes, spread), self._runner.images[: len(nodes)]
        # its context must live until all is done
        steps = self._sampler_steps(address, image.shape, sampler.sub_pixels, len(nodes))
        steps()
        self._memory.download(found, self._runner.input_address)
        self._memory.synchronize()
        return found.copy()

    def close(self) -> None:
        """Let go of contexts and graphs; the memory is the Runner's."""
        self._drop()
        if self._image is not None:
            self._image.ticket = None
        self._engines.clear()

    def _filled(self, source: SourceImage, nodes: np.ndarray, spread: np.ndarray) -> int:
        """Address of the image on the device, uploaded if it is not there; nodes and spread are in pinned memory."""
        if not 1 <= len(nodes) <= self.max_batch:
            raise HpeError(f"the sampler makes 1 to {self.max_batch} canvases, got nodes of shape {np.shape(nodes)}")
        self._host["nodes"][: len(nodes)] = nodes
        self._host["spread"][: len(nodes)] = spread
        place = source.on_device
        if isinstance(place, OnDevice) and place.image.ticket is place.ticket:  # else another image lies there by now
            return place.image.address
        if self._image is None:
            self._image = DeviceImage(self._memory)
        self._image.upload(source)
        return self._image.address

    def _prepared(self, address: int, image_shape: tuple[int, ...], sub_pixels: int, size: int) -> Steps:
        """A function that samples and runs the network for `size` canvases of the image at an address."""
        sample = self._sampler_steps(address, image_shape, sub_pixels, size)
        network = self._runner.network_steps(size)

        def steps():
            sample()
            network()

        return self._runner.captured(steps)

    def _sampler_steps(self, address: int, image_shape: tuple[int, ...], sub_pixels: int, size: int) -> Steps:
        names = ("nodes", "spread") if sub_pixels > 1 else ("nodes",)
        arrays = {name: self._host[name][:size] for name in names}
        shapes = {"image": image_shape} | {name: array.shape for name, array in arrays.items()}
        addresses = {name: self._addresses[name] for name in names}
        addresses |= {"image": address, "canvases": self._runner.input_address}
        context = self._runner.context(self._engines[sub_pixels], shapes, addresses, self._scratch)

        def steps():
            for name, array in arrays.items():
                self._memory.upload(self._addresses[name], array)
            if not context.execute_async_v3(self._memory.stream):
                raise HpeError("TensorRT does not execute the sampler")

        return steps

    def _drop(self):
        for calls in self._calls.values():
            for call in calls.values():
                self._runner.forget(call)
        self._calls.clear()
        self._shape = None
