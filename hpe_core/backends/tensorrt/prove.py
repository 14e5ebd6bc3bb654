"""Engines that may be used: found in the store or built, compared with ONNX Runtime once, refused where they differ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from hpe_core.backends.tensorrt import builder, parity
from hpe_core.backends.tensorrt.builder import Engine
from hpe_core.backends.tensorrt.key import EngineKey
from hpe_core.backends.tensorrt.store import EngineStore, Entry
from hpe_core.errors import HpeError


class RefusedEngine(HpeError):
    """An engine differs too much from ONNX Runtime. entries: those that were compared, it is the last of them."""

    def __init__(self, problem: str, entries: tuple[Entry, ...]):
        super().__init__(f"engine {entries[-1].key.stem} is refused: {problem}")
        self.entries = entries


class Loaded(Protocol):
    """What runs engines."""

    def close(self) -> None: ...


L = TypeVar("L", bound=Loaded)


@dataclass(frozen=True, kw_only=True)
class Wanted(Generic[L]):
    """An engine that is needed.

    build() returns (plan bytes, facts) for a store that lacks it; measure(loaded) returns how the engine, loaded,
    differs from ONNX Runtime, as `parity.refusal` takes it.
    """

    key: EngineKey
    build: Callable[[], tuple[bytes, dict[str, Any]]]
    measure: Callable[[L], dict[str, Any]]


def obtain_proven_engines(
    trt: ModuleType,
    store: EngineStore,
    wanted: Sequence[Wanted[L]],
    load: Callable[[list[Engine]], L],
    progress: Callable[[str], None],
) -> tuple[L, tuple[Entry, ...]]:
    """What load(engines) made of the wanted engines, and their entries in the store; each has passed its comparison.

    Raises RefusedEngine for one that did not pass, now or earlier, and HpeError when one cannot be built or loaded;
    what was loaded is closed then.
    """
    stored = [
        store.obtain(one.key, one.build, lambda entry: (entry, builder.open_engine(trt, entry.plan)), progress)
        for one in wanted
    ]
    loaded = load([engine for _, engine in stored])
    entries: tuple[Entry, ...] = ()
    try:
        for one, (entry, _) in zip(wanted, stored, strict=True):
            found = entry.parity
            if found is None:
                progress(f"comparing engine {one.key.stem} with ONNX Runtime")
                found = one.measure(loaded)
                with store.locked(one.key, progress):
                    entry = store.note_parity(entry, found)
            entries = (*entries, entry)
            problem = parity.refusal(found, one.key.precision)
            if problem:
                raise RefusedEngine(problem, entries)
    except BaseException:
        loaded.close()
        raise
    return loaded, entries
