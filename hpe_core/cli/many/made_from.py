"""Hash of everything that the results of an input depend on: what it holds, options, weights, version.

Files up to twice manifest.CHECKED_BYTES count with every byte; of larger ones size, time of change and both ends do,
since reading terabytes again would take as long as the work that it saves.
"""

import argparse
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import hpe_core
from hpe_core import catalogue
from hpe_core.config import PipelineConfig
from hpe_core.io.manifest import CHECKED_BYTES, Fingerprint, fingerprint

# where results go and who makes them; --config and --model count by what they lead to
NOT_OF_RESULTS = {
    "command",
    "typed",
    "source",
    "out",
    "overwrite",
    "jobs",
    "cluster",
    "config",
    "model",
    "show",
    "view",
    "save",
}


def settings_of(args: argparse.Namespace, config: PipelineConfig) -> dict[str, Any]:
    """Options, configuration, weights and version as plain values; files that options name by what they hold."""
    options = {name: _value(value) for name, value in vars(args).items() if name not in NOT_OF_RESULTS}
    model = config.estimator.model
    name = "+".join(Path(part).name for part in model.split("+"))
    config = replace(config, estimator=replace(config.estimator, model=name))
    return {
        "version": hpe_core.__version__,
        "options": options,
        "config": asdict(config),
        "weights": weights_of(model),
    }


def made_from(settings: dict[str, Any], files: Iterable[Path]) -> str:
    """Hexadecimal SHA-256 of settings and input files (names without folders)."""
    content = [(path.name, _content(path)) for path in sorted(files)]
    return hashlib.sha256(json.dumps([settings, content], sort_keys=True, default=str).encode()).hexdigest()


def weights_of(model: str) -> dict[str, str]:
    """dict network -> SHA-256 of what a model, method or `auto` may run. Raises HpeError when there is none."""
    names = (catalogue.AUTO_METHOD, catalogue.AUTO_METHOD_ON_CPU) if model == catalogue.AUTO else (model,)
    methods = [catalogue.method_of(name) for name in names]
    parts = {part for method in methods for part in (method.detector, method.refiner) if part}
    weights = {Path(part).name: catalogue.sha256_of(catalogue.read(catalogue.path_of(part))) for part in sorted(parts)}
    if any(method.rotation == "nlml" for method in methods):
        weights["nlml"] = catalogue.shipped_sums().get("nlml.npz", "")
    return weights


def _content(path: Path) -> Fingerprint:
    known = fingerprint(path)
    return known | ({"changed_ns": path.stat().st_mtime_ns} if known["bytes"] > 2 * CHECKED_BYTES else {})


def _value(value: Any) -> Any:
    """The value of an option; a file is what it holds, wherever it lies."""
    is_file = isinstance(value, str) and Path(value).is_file()
    return _content(Path(value)) if is_file else value
