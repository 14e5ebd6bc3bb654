"""The weights that ship with the package, by name, and whether they are still what was shipped."""

import hashlib
import json
from pathlib import Path

from hpe_core.errors import HpeError

WEIGHTS = Path(__file__).parent / "weights"
SUMS = "SHA256SUMS.json"  # in WEIGHTS: file name -> SHA-256, written by training.deploy.hash_weights
HASHED = (".onnx", ".npz")


def names():
    """Sorted model names."""
    return sorted(path.stem for path in WEIGHTS.glob("*.onnx"))


def path_of(model):
    """Path of a shipped model by name, or of a file given as a path ending in .onnx.

    Raises HpeError, listing the known names, when there is none.
    """
    if str(model).endswith(".onnx"):
        if "\0" in str(model) or not Path(model).is_file():
            raise HpeError(f"model file {model} does not exist")
        return Path(model)
    if model not in names():
        raise HpeError(f"unknown model '{model}', known: {', '.join(names()) or 'none'}")
    return WEIGHTS / f"{model}.onnx"


def read(path) -> bytes:
    """Bytes of a model file. Raises HpeError when it cannot be read."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise HpeError(f"cannot load model {path}: {getattr(error, 'strerror', None) or error}") from error


def sha256_of(data: bytes) -> str:
    """Hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def verify(path, sha256: str) -> None:
    """Raises HpeError when a file among the shipped weights has another SHA-256 than the one that was shipped.

    Files elsewhere are the user's own, and nothing is known of them.
    """
    path = Path(path)
    if path.parent.resolve() != WEIGHTS.resolve():
        return
    expected = shipped_sums().get(path.name)
    if sha256 != expected:
        raise HpeError(
            f"{path} is not the file that was shipped (sha256 {sha256}, shipped: {expected or 'no such file'}): "
            "install hpe_ros again; weights of your own are listed by `python -m training.deploy.hash_weights`"
        )


def shipped_sums() -> dict[str, str]:
    """File name -> SHA-256 of all weights as they were shipped. Raises HpeError when the list cannot be read."""
    path = WEIGHTS / SUMS
    try:
        sums = json.loads(path.read_text("utf-8"))
        if not isinstance(sums, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HpeError(f"{path}, the list of shipped weights, cannot be read ({reason}): install again") from error
    return sums


def actual_sums() -> dict[str, str]:
    """File name -> SHA-256 of all weights as they lie there now."""
    paths = sorted(path for path in WEIGHTS.iterdir() if path.suffix in HASHED)
    return {path.name: sha256_of(read(path)) for path in paths}
