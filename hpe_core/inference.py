"""What a backend (hpe_core.backends) is to a network (hpe_core.networks), and to whoever measures one."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.network_card import NetworkCard


class ImageOnDevice(Protocol):
    """One image for several networks (hpe_core.pixels.canvas.SourceImage)."""

    array: np.ndarray  # (H, W, 3) uint8 BGR
    on_device: object  # what a backend notes about its copy


class Backend(Protocol):
    """One loaded model file. sha256: of the file; version: of the library; choice: which backend was taken and why, one
    line, set by hpe_core.backends.create; concurrent: whether several threads may call `run` at once.
    """

    name: str
    card: NetworkCard
    input_shape: tuple[int | str, int, int, int]
    sha256: str
    version: str
    choice: str = ""
    concurrent: bool = False

    def run(self, array: np.ndarray) -> np.ndarray:
        """First output as float32 for one array of `input_shape`, of any length where its first axis is a name, if need
        be in several calls of the engine.
        """
        ...

    def samples(self, image_shape: tuple[int, ...]) -> bool:
        """Whether `run_on` cuts the network's inputs out of whole images of a shape (H, W, 3)."""
        return False

    def run_on(self, source: ImageOnDevice, nodes: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """First output for N canvases of an image that this backend samples itself.

        nodes (N, GRID, GRID, 2): image pixels of evenly spaced canvas pixels; spread (N,): the width that each canvas
        pixel is the mean of, in canvas pixels, 0 for a point (hpe_core.pixels.canvas makes both).
        """
        raise HpeError(f"backend {self.name} takes finished canvases only")
