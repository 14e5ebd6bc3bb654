"""The data sets that there are, and their evaluation protocols: one file each in hpe_core.evaluation.datasets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hpe_core import registry
from hpe_core.errors import HpeError
from hpe_core.evaluation.images.dataset_kind import Dataset
from hpe_core.evaluation.images.sample import Sample

PACKAGE = "hpe_core.evaluation.datasets"


def _datasets() -> dict[str, Dataset]:
    found = {name: registry.load(PACKAGE, name).DATASET for name in registry.available(PACKAGE)}
    return {name: found[name] for name in sorted(found, key=lambda n: (not found[n].special, not found[n].ours, n))}


DATASETS = _datasets()  # name of the file -> Dataset, in the order in which a folder is asked
COMMANDS = {
    dataset.command: name for name, dataset in DATASETS.items() if dataset.command
}  # `hpe convert` KIND -> file
PROTOCOLS = {p.name: p for p in sorted((p for d in DATASETS.values() for p in d.protocols), key=lambda p: p.name)}


def samples_of(command: str, folder: str | Path) -> Iterator[Sample]:
    """Samples of a dataset by its name on the command line. Raises HpeError when the folder is not there."""
    if not Path(folder).is_dir():
        raise HpeError(f"{folder} is not a folder")
    return registry.load(PACKAGE, COMMANDS[command]).samples(folder)


def samples_in(folder: str | Path) -> Iterator[Sample]:
    """Samples of a folder of any known kind. Raises HpeError when it is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise HpeError(f"{folder} is not a folder")
    for name, dataset in DATASETS.items():
        if any(any(folder.glob(mark)) for mark in dataset.marks):
            return registry.load(PACKAGE, name).samples(folder)
    *titles, last = [dataset.title for dataset in DATASETS.values()]
    raise HpeError(f"{folder} holds no labelled images that are known here: {', '.join(titles)} or {last}")
