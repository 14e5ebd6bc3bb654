"""What the cards say about a model, so that people can choose: accuracy, time, size, licence, parts."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpe_core import backends, catalogue
from hpe_core.network_card import WHOLE_IMAGE, kind_of

FREE = ("CC0", "MIT", "Apache-2.0", "BSD", "CC BY 4.0", "any purpose", "free")  # how they begin that allow all


@dataclass(frozen=True)
class Part:
    """One file of weights. input_shape: of a network; card: what its file says about itself."""

    name: str
    path: Path
    sha256: str
    input_shape: tuple[int | str, ...]
    card: dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """One name that `hpe models` lists. Numbers are None where no card has them; ms: of its networks for one face."""

    name: str
    what: str
    parts: tuple[Part, ...]
    metrics: dict[str, Any]
    mae_deg: float | None
    lfw_deg: float | None
    ms: float | None
    mb: float
    licence: str
    is_part: bool  # a crop network, which another one must find faces for

    @property
    def title(self) -> str:
        """The name, with a word where it is no model by itself."""
        return f"{self.name} (crop)" if self.is_part else self.name

    def images(self, data: str) -> int | None:
        """On how many images of a data set the metrics rest, None where there are none."""
        found = [value for name, value in self.metrics.items() if name.startswith(data) and isinstance(value, dict)]
        return found[0].get("images") if found else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = asdict(self)
        values["parts"] = [
            part.card | {"name": part.name, "file": part.path.name, "sha256": part.sha256} for part in self.parts
        ]
        return values


def names() -> list[str]:
    """What there is to choose from: methods, whole-image networks, and networks that are parts alone."""
    chosen = catalogue.models()
    return chosen + [name for name in catalogue.networks() if name not in chosen]


def facts_of(name: str, loaded: dict[str, Part]) -> Facts:
    """Facts of a method, a network or an .onnx file. loaded: networks that were read before, by name.

    Raises HpeError, listing what there is, for another name."""
    if name == catalogue.AUTO:
        name = catalogue.auto_method(on_cpu=False)
        return _facts(catalogue.AUTO, f"{catalogue.AUTO_TEXT}; this is {name}", catalogue.METHODS[name], name, loaded)
    if name in catalogue.METHODS or name in catalogue.zoo():
        method = catalogue.method_of(name)
        rotation = {"crop": f"of {method.refiner}", "fused": "of both, fused by their covariances"}
        how = rotation.get(method.rotation, f"from landmarks of {method.refiner} ({method.rotation})")
        what = f"{method.detector} finds faces, {method.refiner} refines them, rotation {how}"
        return _facts(name, what, method, name, loaded)
    path = catalogue.path_of(name)
    return _facts(name, "", catalogue.Method(name), path.stem, loaded)


def _facts(name: str, what: str, method: catalogue.Method, measured: str, loaded: dict[str, Part]) -> Facts:
    files = [part for part in (method.detector, method.refiner) if part]
    for part in files:
        loaded.setdefault(part, loaded.get(part) or _network(part))
    parts = tuple(loaded[part] for part in files)
    if method.rotation == "nlml":
        parts += (_manifold(),)
    metrics = _metrics_of(measured, parts)
    licences = sorted({licence for part in parts for licence in _data_licences(part.card)})
    own = sorted({str(part.card.get("licence", "")).split(" (")[0].split(";")[0] for part in parts} - {""})
    data = f"; {', '.join(licences)} data" if licences else ""
    times = [_ms(part.name) for part in parts]
    lfw, mae = metrics.get("lfw_test"), metrics.get("aflw2000_dev16")
    return Facts(
        name=name,
        what=what or str(parts[0].card.get("task", "")),
        parts=parts,
        metrics=metrics,
        mae_deg=_number(mae, "euler_mae_deg"),
        lfw_deg=_number(lfw, "geodesic_to_label_median_deg"),
        ms=None if None in times else sum(time for time in times if time is not None),
        mb=sum(part.path.stat().st_size for part in parts) / 1e6,
        licence=f"{', '.join(own) or 'unknown'}{data}",
        is_part=method.refiner is None and kind_of(parts[0].card) != WHOLE_IMAGE,
    )


def _network(name: str) -> Part:
    path = catalogue.path_of(name)
    backend = backends.create("onnxruntime", path, 1)
    return Part(path.stem, path, backend.sha256, backend.input_shape, backend.card.raw)


def _manifold() -> Part:
    path = catalogue.WEIGHTS / "nlml.npz"
    return Part("nlml", path, catalogue.sha256_of(catalogue.read(path)), (), _card("nlml"))


def _card(name: str) -> dict[str, Any]:
    """The card beside shipped weights; empty without one that can be read."""
    folder = catalogue.WEIGHTS / (catalogue.ZOO if name in catalogue.zoo() else "")
    try:
        card = json.loads((folder / f"{name}.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return card if isinstance(card, dict) else {}


def _metrics_of(name: str, parts: tuple[Part, ...]) -> dict[str, Any]:
    """What was measured of a method or network; a card says of which method where it is not the network alone."""
    for part in reversed(parts):
        metrics = part.card.get("metrics")
        if isinstance(metrics, dict) and metrics.get("method", part.name) == name:
            return metrics
    return {}


def _ms(name: str) -> float | None:
    """Milliseconds of a network for one image, which the card of its INT8 edition compares with its own."""
    own = _card(name).get("quantisation", {})
    if "latency_after_ms" in own:
        return own["latency_after_ms"]
    return _card(f"{name}_int8").get("quantisation", {}).get("latency_before_ms")


def _number(metrics: Any, key: str) -> float | None:
    """A number, or the last of a list (the mean after yaw, pitch and roll)."""
    value = metrics.get(key) if isinstance(metrics, dict) else None
    value = value[-1] if isinstance(value, list) and value else value
    return float(value) if isinstance(value, int | float) else None


def _data_licences(card: dict[str, Any]) -> set[str]:
    """Licences of the training data that do not allow any purpose."""
    data = card.get("data")
    licences = (
        {str(item.get("licence", "")) for item in data if isinstance(item, dict)} if isinstance(data, list) else ()
    )
    return {licence for licence in licences if licence and not licence.startswith(FREE)}
