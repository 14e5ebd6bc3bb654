"""Named ways from an image to poses: which network finds the faces, which looks again, and whose rotation counts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """detector: whole-image model; refiner: crop model or None; rotation: see hpe_core.estimators.crop6dof.Refiner."""

    detector: str
    refiner: str | None = None
    rotation: str = "fused"


METHODS = {
    "fusion": Method("head6dof", "crop6dof", "fused"),
    "crop6dof": Method("head6dof", "crop6dof", "crop"),
}


def method_of(model):
    """The Method of a name, of `DETECTOR+REFINER`, or a whole-image network alone; both parts are names or files."""
    if model in METHODS:
        return METHODS[model]
    return Method(*model.split("+", 1))
