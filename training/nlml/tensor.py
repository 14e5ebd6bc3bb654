"""The training tensor: identities x yaw x pitch x roll x (3 M) landmark coordinates, on disk, filled row by row.

A folder holds tensor.npy (float32, memory-mapped), visible.npy (uint8, 255 = seen), measured.npy (bool per cell) and
tensor.json (grid, source, identities, rows done). An interrupted build goes on where it stopped.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hpe_core.errors import HpeError
from hpe_core.nlml import angles as euler
from training.nlml.settings import grid_deg


@dataclass(frozen=True, eq=False)
class Tensor:
    """points: (I, Y, P, R, 3 M) float32; visible: (I, Y, P, R, M) uint8; measured: (I, Y, P, R) bool; memory maps.

    grids_deg: (yaw, pitch, roll) angles; order: of the turns (hpe_core.nlml.angles); identities: I names.
    """

    points: np.ndarray
    visible: np.ndarray
    measured: np.ndarray
    grids_deg: tuple
    order: str
    identities: tuple
    facts: dict

    @property
    def limits_deg(self):
        """(3, 2) lowest and highest yaw, pitch, roll."""
        return np.array([[grid[0], grid[-1]] for grid in self.grids_deg])

    @property
    def rotations(self):
        """(Y, P, R, 3, 3) of the grid."""
        return grid_rotations(self.grids_deg, self.order)

    @property
    def missing(self):
        """Number of cells without a measurement."""
        return int(self.measured.size - np.count_nonzero(self.measured))

    def subset(self, rows):
        """The tensor of some identities only, in memory."""
        rows = np.asarray(rows)
        names = tuple(self.identities[i] for i in rows)
        arrays = (self.points[rows], self.visible[rows], self.measured[rows])
        return Tensor(*arrays, self.grids_deg, self.order, names, self.facts)


def grid_rotations(grids_deg, order):
    """Rotations (Y, P, R, 3, 3) of a grid of yaw, pitch, roll in degrees."""
    mesh = np.stack(np.meshgrid(*grids_deg, indexing="ij"), -1)
    return euler.matrix_from_angles(np.radians(mesh), order)


def grids_of(settings):
    """(yaw, pitch, roll) angles in degrees of TensorSettings."""
    return tuple(grid_deg(getattr(settings, axis), axis) for axis in ("yaw", "pitch", "roll"))


def build(folder, source, settings):
    """Fill the tensor in `folder` from a source (see sources.py), resuming where it was left; returns the Tensor.

    Raises HpeError when the folder holds a tensor of other settings.
    """
    folder = Path(folder)
    grids = grids_of(settings)
    cells = tuple(len(grid) for grid in grids)
    shape = (len(source.identities), *cells)
    files = {
        "tensor": (np.float32, (*shape, 3 * source.landmarks)),
        "visible": (np.uint8, (*shape, source.landmarks)),
        "measured": (np.bool_, shape),
    }
    facts = {"settings": asdict(settings), "landmarks": source.landmarks, "identities": list(source.identities)}
    state = _state(folder)
    if state is None:
        there = [f"{name}.npy" for name in files if os.path.lexists(folder / f"{name}.npy")]
        if there:
            raise HpeError(f"{folder} holds {', '.join(there)} without tensor.json: take another --out")
        folder.mkdir(parents=True, exist_ok=True)
        for name, (kind, size) in files.items():
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, size).flush()
        state = facts | {"done": 0}
        _write(folder, state)
    elif {key: state.get(key) for key in facts} != json.loads(json.dumps(facts)):
        raise HpeError(f"{folder} holds a tensor of other settings; take another --out or delete it")
    arrays = [np.load(folder / f"{name}.npy", mmap_mode="r+") for name in files]
    R = grid_rotations(grids, settings.order)
    rows = range(state["done"], shape[0])
    for i in tqdm(rows, initial=state["done"], total=shape[0], unit="identity", disable=not rows):
        points, visible, measured = source.row(i, R)
        measured = measured & np.isfinite(points).all((-2, -1))
        arrays[0][i] = np.where(measured[..., None, None], points, 0.0).reshape(*cells, -1)
        arrays[1][i] = np.where(measured[..., None], np.rint(255 * np.clip(visible, 0, 1)), 0)
        arrays[2][i] = measured
        for array in arrays:
            array.flush()
        state["done"] = i + 1
        _write(folder, state)
    return load(folder)


def load(folder):
    """The finished Tensor in a folder. Raises HpeError when it is missing, unfinished or damaged."""
    folder = Path(folder)
    state = _state(folder)
    if state is None:
        raise HpeError(f"{folder} holds no tensor (tensor.json); make it with `hpe nlml build`")
    settings = state["settings"]
    if state["done"] < len(state["identities"]):
        raise HpeError(
            f"the tensor in {folder} has {state['done']} of {len(state['identities'])} identities; run "
            "`hpe nlml build` again with the same settings to go on"
        )
    try:
        arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("tensor", "visible", "measured")]
    except (OSError, ValueError) as error:
        raise HpeError(f"the tensor in {folder} cannot be read: {error}") from error
    grids = tuple(grid_deg(settings[axis], axis) for axis in ("yaw", "pitch", "roll"))
    shape = (len(state["identities"]), *(len(grid) for grid in grids))
    m = state["landmarks"]
    if [a.shape for a in arrays] != [(*shape, 3 * m), (*shape, m), shape]:
        raise HpeError(f"the arrays in {folder} do not have the shapes that tensor.json tells")
    return Tensor(*arrays, grids, settings["order"], tuple(state["identities"]), state)


def _state(folder):
    path = folder / "tensor.json"
    if not path.is_file():
        return None
    try:
        state = json.loads(path.read_text())
        if not {"settings", "landmarks", "identities", "done"} <= set(state):
            raise ValueError("keys are missing")
    except ValueError as error:
        raise HpeError(f"{path} is damaged: {error}") from error
    return state


def _write(folder, state):
    part = folder / "tensor.json.part"
    part.write_text(json.dumps(state) + "\n")
    part.replace(folder / "tensor.json")
