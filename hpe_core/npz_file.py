"""Arrays from .npz files of outside: no pickle, and every fault in one line."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from hpe_core.errors import HpeError


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """dict of the arrays in a .npz file; objects that would need pickle are refused. Raises HpeError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise HpeError(f"{path} is a single array, needed is an .npz file")
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise HpeError(f"{path} cannot be read: {error.strerror or 'not an .npz file'}") from error
    except HpeError:
        raise
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise HpeError(f"{path} cannot be read as .npz without pickle: {' '.join(str(error).split())[:120]}") from error
    except Exception as error:  # zipfile and zlib leak RuntimeError, struct.error, zlib.error ... on damaged files
        raise HpeError(f"{path} is a damaged .npz file: {type(error).__name__}") from error
    strange = [name for name, value in arrays.items() if not isinstance(value, np.ndarray)]
    if strange:
        raise HpeError(f"{path} is no .npz file: '{strange[0]}' in it is no array")
    return arrays


def stored_array(
    arrays: Mapping[str, ArrayLike], name: str, shape: tuple[int | None, ...], what: str = "the NLML model"
) -> np.ndarray:
    """The array of that name with a shape in which None stands for any number; raises HpeError, which says of what."""
    if name not in arrays:
        raise HpeError(f"{what} lacks '{name}'")
    value = np.asarray(arrays[name])
    fits = value.ndim == len(shape) and all(s is None or s == v for s, v in zip(shape, value.shape, strict=True))
    if not fits:
        raise HpeError(f"'{name}' of {what} has shape {value.shape}, needed is {shape}")
    return value
