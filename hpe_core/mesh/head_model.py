"""The head model beside the dense network: a mean head, 40 directions of identity, 53 facial movements (ICT-FaceKit).

F = mean + sum identity_i S_i + sum expression_j E_j in metres, on a head of reference size (hpe_core.geometry.head) in
the head frame (x left, y down, z into the skull), whose neutral sellion is the origin; in the camera R F + t.
Identities are in standard deviations, expressions in 0 ... 1. How large people of this shape are beside the reference
is not in F but in `log_size`. The file is made by training.deploy.head_model.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hpe_core import catalogue
from hpe_core.errors import HpeError
from hpe_core.npz_file import read_npz, stored_array

FILE, SURFACE_FILE = "head_model.npz", "head_surface.npz"  # among the shipped weights
IDENTITIES, EXPRESSIONS, LANDMARKS = 40, 53, 68
PARTS = SKIN, EYE_LEFT, EYE_RIGHT, MOUTH, TEETH = range(5)  # mouth: gums and tongue
_WHAT = "the head model"


@dataclass(frozen=True, eq=False, kw_only=True)
class HeadModel:
    """V vertices, T triangles. mean_m (V, 3), identity_m (40, V, 3) per standard deviation, expression_m (53, V, 3)
    at 1: float32, metres; triangles (T, 3), seen anticlockwise from outside; part (V,), of PARTS; landmark_vertices
    (68,) in iBUG order; identity_mirror (40,): 1 or -1, a mirrored person has sign * identity; log_size (40,): ln of
    how much larger than the reference people of an identity are, per standard deviation. Raises HpeError when they do
    not fit together.
    """

    mean_m: np.ndarray
    identity_m: np.ndarray
    expression_m: np.ndarray
    expression_names: tuple[str, ...]
    triangles: np.ndarray
    part: np.ndarray
    landmark_vertices: np.ndarray
    identity_mirror: np.ndarray
    log_size: np.ndarray
    licence: str
    _basis: np.ndarray = field(init=False, repr=False)  # (93, 3 V): one product per face
    _landmark_basis: np.ndarray = field(init=False, repr=False)  # (93, 3 * 68)

    def __post_init__(self) -> None:
        count = len(self.mean_m)
        for name in ("mean_m", "identity_m", "expression_m", "log_size"):
            if not np.all(np.isfinite(getattr(self, name))):
                raise HpeError(f"'{name}' of {_WHAT} is not finite")
        for name in ("triangles", "landmark_vertices"):
            values = getattr(self, name)
            if values.min(initial=0) < 0 or values.max(initial=0) >= count:
                raise HpeError(f"'{name}' of {_WHAT} names vertices beyond its {count}")
        if len(set(self.expression_names)) != EXPRESSIONS:
            raise HpeError(f"{_WHAT} must name {EXPRESSIONS} expressions, each once")
        both = np.concatenate([self.identity_m, self.expression_m])
        object.__setattr__(self, "_basis", both.reshape(len(both), -1))
        at_landmarks = np.ascontiguousarray(both[:, self.landmark_vertices]).reshape(len(both), -1)
        object.__setattr__(self, "_landmark_basis", at_landmarks)

    def vertices_m(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """F (V, 3) float32, metres, of one identity (40,) and expression (53,)."""
        return self.mean_m + (_weights(identity, expression) @ self._basis).reshape(self.mean_m.shape)

    def landmarks_m(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """The landmarks' rows (N, 68, 3) of F, of identities (N, 40) and expressions (N, 53)."""
        moved = _weights(identity, expression) @ self._landmark_basis
        return self.mean_m[self.landmark_vertices] + moved.reshape(-1, LANDMARKS, 3)

    @functools.cached_property
    def expression_mirror(self) -> np.ndarray:
        """Indices (53,): a mirrored person has expression[indices]."""
        return np.array([self.expression_names.index(_mirrored_name(name)) for name in self.expression_names])


def _weights(identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
    return np.concatenate([identity, expression], -1).astype(np.float32)


def _mirrored_name(name: str) -> str:
    for one, other in (("_L", "_R"), ("_R", "_L"), ("Left", "Right"), ("Right", "Left")):
        if name.endswith(one):
            return name.removesuffix(one) + other
    return name


def load(path: str | Path) -> HeadModel:
    """The HeadModel in a file. Raises HpeError, in one line, when it is none."""
    catalogue.verify(path, catalogue.sha256_of(catalogue.read(path)))
    arrays = read_npz(path)
    try:
        return _from_arrays(arrays)
    except (HpeError, ValueError, TypeError) as error:
        raise HpeError(f"{path} is not a head model: {' '.join(str(error).split())}") from error


def _from_arrays(arrays: dict[str, np.ndarray]) -> HeadModel:
    stored = functools.partial(stored_array, arrays, what=_WHAT)
    mean = stored("mean", (None, 3)).astype(np.float32)
    return HeadModel(
        mean_m=mean,
        identity_m=stored("identity", (IDENTITIES, len(mean), 3)).astype(np.float32),
        expression_m=stored("expression", (EXPRESSIONS, len(mean), 3)).astype(np.float32),
        expression_names=tuple(str(name) for name in stored("expression_names", (EXPRESSIONS,))),
        triangles=stored("triangles", (None, 3)).astype(np.int32),
        part=stored("part", (len(mean),)).astype(np.uint8),
        landmark_vertices=stored("landmark_vertices", (LANDMARKS,)).astype(np.int64),
        identity_mirror=stored("identity_mirror", (IDENTITIES,)).astype(float),
        log_size=stored("log_size", (IDENTITIES,)).astype(float),
        licence=str(stored("licence", ())),
    )


@functools.cache
def shipped() -> HeadModel:
    """The HeadModel that comes with the package, loaded once. Raises HpeError when there is none."""
    return load(catalogue.WEIGHTS / FILE)


@functools.cache
def shipped_small() -> HeadModel:
    """The shipped HeadModel on fewer of its vertices, for pictures and messages (training.deploy.drawn_surface)."""
    path = catalogue.WEIGHTS / SURFACE_FILE
    catalogue.verify(path, catalogue.sha256_of(catalogue.read(path)))
    return reduced(shipped(), stored_array(read_npz(path), "triangles", (None, 3), "the smaller surface"))


def reduced(model: HeadModel, triangles: np.ndarray) -> HeadModel:
    """The HeadModel on the vertices that triangles (T, 3) have, and the landmarks', in their order."""
    kept = np.union1d(triangles, model.landmark_vertices)
    if kept[-1] >= len(model.mean_m):
        raise HpeError(f"the smaller surface names vertices beyond the {len(model.mean_m)} of {_WHAT}")
    return replace(
        model,
        mean_m=model.mean_m[kept],
        identity_m=model.identity_m[:, kept],
        expression_m=model.expression_m[:, kept],
        triangles=np.searchsorted(kept, triangles).astype(np.int32),
        part=model.part[kept],
        landmark_vertices=np.searchsorted(kept, model.landmark_vertices),
    )
