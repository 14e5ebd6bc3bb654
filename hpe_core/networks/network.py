"""A network: the backend that runs it and the decoder of its rows, one file per architecture in `whole` and `crop`.

A decoder's module has COLUMNS (name -> width of what it reads of a row), NEEDED (those that no row may lack) and
`Decoder(card)`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Generic, Protocol, TypeVar

import numpy as np

from hpe_core import registry
from hpe_core.candidates import Candidates
from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.inference import Backend
from hpe_core.network_card import CROP, WHOLE_IMAGE, NetworkCard
from hpe_core.pixels.canvas import Canvases

ROOMS = {WHOLE_IMAGE: "hpe_core.networks.whole", CROP: "hpe_core.networks.crop"}


class WholeImageDecoder(Protocol):
    """Rows of a network that sees a whole image on a canvas (hpe_core.pixels.canvas.letterbox)."""

    def decode(self, rows: np.ndarray, scales: tuple[float, float], least_score: float) -> Candidates:
        """Candidates of rows (N, C) with a score above least_score, best first, in image pixels; several of them may
        describe one face. scales: canvas pixels per image pixel (x, y).
        """
        ...


class CropDecoder(Protocol):
    """Rows of a network that sees the face-centred crops of a virtual camera (hpe_core.pixels.canvas.crop_canvases).

    places_faces: whether the rows say where a face is, how large, and whether it is one. Only then is a face tracked by
    its crops, and shown better by a second pass.
    """

    places_faces: bool

    def decode(
        self, rows: np.ndarray, score: np.ndarray, camera: CameraModel, rays: np.ndarray, range_m: np.ndarray
    ) -> Candidates:
        """Candidates of rows (N, C) of crops around unit rays (N, 3) at ranges (N,); score (N,): what found the faces.

        centre_px is NaN where the face lies beyond the lens (CameraModel.in_range); confirmed is that of `confirmed`.
        Where the rows do not tell them, place and size are those of the crop. R_local is NaN where a row gives no
        rotation.
        """
        ...

    def mirrored(self, rows: np.ndarray) -> np.ndarray:
        """What rows (N, C) of mirrored crops say about the crops as they are."""
        ...

    def half_turned(self, rows: np.ndarray) -> np.ndarray:
        """What rows (N, C) of crops turned by 180 degrees say about the crops as they are."""
        ...

    def confirmed(self, rows: np.ndarray) -> np.ndarray | None:
        """Whether (N,) the crops show faces; None where the rows do not tell."""
        ...

    def doubtful(self, rows: np.ndarray) -> np.ndarray:
        """Where (N,) the face may be upside down, so that the crop turned by 180 degrees is worth a call."""
        ...

    def better_way_up(self, rows: np.ndarray, turned_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Masks (N,): whether one of two ways up shows a face, and whether the better one is the turned one."""
        ...


Decoder = TypeVar("Decoder", WholeImageDecoder, CropDecoder)


class Network(Generic[Decoder]):
    """decode: of its rows; card: what it is."""

    def __init__(self, backend: Backend, decoder: Decoder):
        self._backend, self.decoder = backend, decoder

    @property
    def card(self) -> NetworkCard:
        return self._backend.card

    def prepared(self, inputs: Canvases) -> Callable[[], np.ndarray]:
        """A function that runs the network; what the CPU does to the pixels has been done before.

        It returns rows (1, N, C) of a whole image or (N, C) of N crops, float32, and raises HpeError when they are not
        finite.
        """
        return functools.partial(self._finite, prepared(self._backend, inputs))

    def rows(self, inputs: Canvases) -> np.ndarray:
        """The rows at once, see `prepared`."""
        return self.prepared(inputs)()

    def _finite(self, run: Callable[[], np.ndarray]) -> np.ndarray:
        rows = run()
        if not np.isfinite(rows).all():
            raise HpeError(f"the output of {self.card.name} is not finite: its weights or its precision are broken")
        return rows


def prepared(backend: Backend, inputs: Canvases) -> Callable[[], np.ndarray]:
    """A function that gives the first output of a backend for these inputs; what the CPU does to the pixels is done."""
    if backend.samples(inputs.source.array.shape):
        return functools.partial(backend.run_on, inputs.source, inputs.nodes, inputs.spread)
    return functools.partial(backend.run, inputs.by_opencv())


def whole_image_network(backend: Backend) -> Network[WholeImageDecoder]:
    """The network of a backend whose model takes whole images. HpeError when its decoder or a column is missing."""
    return Network(backend, _decoder_class(backend.card, WHOLE_IMAGE)(backend.card))


def crop_network(backend: Backend) -> Network[CropDecoder]:
    """The network of a backend whose model takes face crops. HpeError when its decoder or a column is missing."""
    return Network(backend, _decoder_class(backend.card, CROP)(backend.card))


def _decoder_class(card, kind):
    if card.kind != kind:
        raise HpeError(f"{card.name} takes {card.kind}s, not {kind}s")
    module = registry.load(ROOMS[kind], card.estimator, f"estimator for {kind}s")
    check_columns(card, module.COLUMNS, module.NEEDED)
    return module.Decoder


def check_columns(card: NetworkCard, widths: Mapping[str, int], needed: Collection[str]) -> None:
    """Raises HpeError unless the rows of a network have the needed columns, and all of these names their widths."""
    for name, width in widths.items():
        if name not in card.columns:
            if name in needed:
                raise HpeError(f"spec.columns of {card.name} lacks '{name}', which {card.estimator} needs")
            continue
        first, end = card.columns[name]
        if end - first != width:
            raise HpeError(
                f"column '{name}' of {card.name} must be {width} wide for {card.estimator}, got {end - first}"
            )
