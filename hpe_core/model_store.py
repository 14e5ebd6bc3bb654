"""The weights that ship with the package, by name."""

from pathlib import Path

from hpe_core.errors import HpeError

WEIGHTS = Path(__file__).parent / "weights"


def names():
    """Sorted model names."""
    return sorted(path.stem for path in WEIGHTS.glob("*.onnx"))


def path_of(model):
    """Path of a shipped model by name, or of a file given as a path ending in .onnx.

    Raises HpeError, listing the known names, when there is none.
    """
    if str(model).endswith(".onnx"):
        if not Path(model).is_file():
            raise HpeError(f"model file {model} does not exist")
        return Path(model)
    if model not in names():
        raise HpeError(f"unknown model '{model}', known: {', '.join(names()) or 'none'}")
    return WEIGHTS / f"{model}.onnx"
