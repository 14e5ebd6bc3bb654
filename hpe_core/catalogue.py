"""What there is to run: methods, the weights that ship with the package by name and hash, and what `auto` means."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from hpe_core.errors import HpeError
from hpe_core.network_card import WHOLE_IMAGE, kind_of

WEIGHTS = Path(__file__).parent / "weights"
SUMS = "SHA256SUMS.json"  # in WEIGHTS: file name -> SHA-256, written by training.deploy.hash_weights
ZOO = "zoo"  # folder in WEIGHTS: crop networks of other people's methods, trained here; in a checkout, in no wheel
HASHED = (".onnx", ".npz")


@dataclass(frozen=True)
class Method:
    """One way from an image to poses. detector: whole-image model; refiner: crop model or None; rotation: `crop` (the
    crop network's own), `fused` (of both, by their covariances) or `nlml` (from the crop network's landmarks);
    mirrored: whether up to three crops of an image go through their network mirrored, too.
    """

    detector: str
    refiner: str | None = None
    rotation: str = "fused"
    mirrored: bool = True


METHODS = {
    "fusion": Method("head6dof", "crop6dof", "fused"),
    "fusion_int8": Method("head6dof_int8", "crop6dof_int8", "fused"),
    "fast": Method("head6dof_int8", "crop_fast_int8", "fused", mirrored=False),
    "crop6dof": Method("head6dof", "crop6dof", "crop"),
    "nlml": Method("head6dof", "crop6dof", "nlml"),
    "dense": Method("head6dof", "dense", "crop"),
    "dense_int8": Method("head6dof_int8", "dense_int8", "crop", mirrored=False),
    "open": Method("head6dof_open", "crop6dof_open", "fused"),
    "open_int8": Method("head6dof_open_int8", "crop6dof_open_int8", "fused"),
}
# each is a method by its own name: ZOO_DETECTOR finds faces, the rotation is the network's own
ZOO_METHODS = ("fsanet", "hopenet", "hybrid", "lightweight", "mnn", "opnet", "sixd", "ssrnet", "whenet")
ZOO_DETECTOR = "head6dof"
ZOO_ELSEWHERE = "weights of methods for comparison come with a source checkout (`pip install -e .` there), in no wheel"
AUTO = "auto"
# quantised for CPUs the networks are as accurate in two thirds of the time; GPUs take the float ones
AUTO_METHOD, AUTO_METHOD_ON_CPU = "fusion", "fusion_int8"
AUTO_TEXT = f"{AUTO}: {AUTO_METHOD}, on a CPU {AUTO_METHOD_ON_CPU}"


def models() -> list[str]:
    """What `--model` takes by name: the methods whose parts are shipped, the whole-image networks, and methods for
    comparison.
    """
    shipped = networks()
    ready = [name for name, method in METHODS.items() if {method.detector, method.refiner} - {None} <= {*shipped}]
    return ready + [name for name in shipped if _shipped_kind(name) == WHOLE_IMAGE] + zoo()


def method_of(model: str) -> Method:
    """The Method of a name, of `DETECTOR+REFINER`, or a whole-image network alone; both parts are names or files.

    Raises HpeError, listing the known names, when a name is unknown.
    """
    if model in METHODS:
        return METHODS[model]
    if model in zoo():
        return Method(ZOO_DETECTOR, model, "crop")
    detector, *refiner = parts = model.split("+", 1)
    for part in parts:
        if not part.endswith(".onnx") and _folder_of(part) is None:
            raise _unknown(part, models())
    return Method(detector, refiner[0] if refiner else None)


def auto_method(on_cpu: bool) -> str:
    """The method that `auto` means, by whether a CPU infers."""
    return AUTO_METHOD_ON_CPU if on_cpu else AUTO_METHOD


def networks() -> list[str]:
    """Sorted names of the shipped networks, without those of zoo()."""
    return sorted(path.stem for path in WEIGHTS.glob("*.onnx"))


def zoo() -> list[str]:
    """Sorted names of the crop networks for comparison that are here."""
    return sorted(path.stem for path in (WEIGHTS / ZOO).glob("*.onnx"))


def missing_from_zoo() -> list[str]:
    """Those of ZOO_METHODS whose weights are not here."""
    return [name for name in ZOO_METHODS if name not in zoo()]


def _folder_of(name):
    """Where a network of this name lies, None where there is none."""
    return WEIGHTS if name in networks() else WEIGHTS / ZOO if name in zoo() else None


def _unknown(name, known):
    if name.removesuffix("_int8") in missing_from_zoo():
        return HpeError(f"the network '{name}' is not here: {ZOO_ELSEWHERE}")
    return HpeError(f"unknown model '{name}', known: {', '.join(known) or 'none'}")


def _shipped_kind(name):
    """WHOLE_IMAGE or CROP, by the card beside a shipped network; None without one."""
    try:
        card = json.loads((WEIGHTS / f"{name}.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):  # `hpe models` says what is wrong with it
        return None
    return kind_of(card) if isinstance(card, dict) else None


def path_of(model: str | Path) -> Path:
    """Path of a shipped model by name, or of a file given as a path ending in .onnx.

    Raises HpeError, listing the known names, when there is none.
    """
    if str(model).endswith(".onnx"):
        if "\0" in str(model) or not Path(model).is_file():
            raise HpeError(f"model file {model} does not exist")
        return Path(model)
    folder = _folder_of(str(model))
    if folder is None:
        raise _unknown(str(model), networks() + zoo())
    return folder / f"{model}.onnx"


def read(path: str | Path) -> bytes:
    """Bytes of a model file. Raises HpeError when it cannot be read."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise HpeError(f"cannot load model {path}: {getattr(error, 'strerror', None) or error}") from error


def sha256_of(data: bytes) -> str:
    """Hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def verify(path: str | Path, sha256: str) -> None:
    """Raises HpeError when a file among the shipped weights has another SHA-256 than the one that was shipped.

    Files elsewhere are the user's own, and nothing is known of them.
    """
    path, root = Path(path), WEIGHTS.resolve()
    folder = path.parent.resolve()
    if folder not in (root, root / ZOO):
        return
    expected = shipped_sums().get((folder / path.name).relative_to(root).as_posix())
    if sha256 != expected:
        raise HpeError(
            f"{path} is not the file that was shipped (sha256 {sha256}, shipped: {expected or 'no such file'}): "
            "install hpe_ros again; weights of your own are listed by `python -m training.deploy.hash_weights`"
        )


def shipped_sums() -> dict[str, str]:
    """File name -> SHA-256 of all weights as they were shipped, those of the zoo as `zoo/NAME.onnx`.

    Raises HpeError when the list cannot be read.
    """
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
    """File name -> SHA-256 of all weights as they lie there now, see shipped_sums."""
    paths = sorted(path for path in (*WEIGHTS.iterdir(), *(WEIGHTS / ZOO).glob("*")) if path.suffix in HASHED)
    return {path.relative_to(WEIGHTS).as_posix(): sha256_of(read(path)) for path in paths}
