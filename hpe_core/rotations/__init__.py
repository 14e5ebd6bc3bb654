"""Ways to the rotation of a face, one class each (hpe_core.rotations.source.RotationSource), by a method's name."""

from __future__ import annotations

from collections.abc import Callable

from hpe_core.errors import HpeError
from hpe_core.network_card import NetworkCard
from hpe_core.rotations.fusing import FusedRotation
from hpe_core.rotations.landmarks import LandmarkRotation
from hpe_core.rotations.nlml import NlmlSolver
from hpe_core.rotations.source import CropRotation, RotationSource

SOURCES: dict[str, Callable[[NetworkCard], RotationSource]] = {
    "crop": lambda card: CropRotation(),
    "fused": lambda card: FusedRotation(card.calibration.correlation),
    "nlml": lambda card: LandmarkRotation(NlmlSolver()),
}


def source_of(name: str, card: NetworkCard) -> RotationSource:
    """The RotationSource of a name in SOURCES for a crop network of this card. HpeError when it has no landmarks for
    `nlml`.
    """
    if name == "nlml" and "landmarks_m" not in card.columns:
        raise HpeError(f"nlml needs landmarks, and {card.name} has no column 'landmarks_m'")
    return SOURCES[name](card)
