"""Named ways from an image to poses: which network finds the faces, which looks again, and whose rotation counts."""

from dataclasses import dataclass

from hpe_core import model_store
from hpe_core.errors import HpeError


@dataclass(frozen=True)
class Method:
    """detector: whole-image model; refiner: crop model or None; rotation: `crop` (the crop network's own), `fused` (of
    both, by their covariances) or `nlml` (from the crop network's landmarks).
    """

    detector: str
    refiner: str | None = None
    rotation: str = "fused"


METHODS = {
    "fusion": Method("head6dof", "crop6dof", "fused"),
    "fusion_int8": Method("head6dof_int8", "crop6dof_int8", "fused"),
    "crop6dof": Method("head6dof", "crop6dof", "crop"),
    "nlml": Method("head6dof", "crop6dof", "nlml"),
}


def names():
    """What `--model` takes by name: the methods whose parts are shipped, then the whole-image networks."""
    shipped = model_store.names()
    ready = [name for name, method in METHODS.items() if {method.detector, method.refiner} <= {*shipped}]
    refiners = {method.refiner for method in METHODS.values()}
    return ready + [name for name in shipped if name not in refiners]


def method_of(model):
    """The Method of a name, of `DETECTOR+REFINER`, or a whole-image network alone; both parts are names or files.

    Raises HpeError, listing the known names, when a name is unknown.
    """
    if model in METHODS:
        return METHODS[model]
    parts = model.split("+", 1)
    for part in parts:
        if not part.endswith(".onnx") and part not in model_store.names():
            raise HpeError(f"unknown model '{part}', known: {', '.join(names()) or 'none'}")
    return Method(*parts)
