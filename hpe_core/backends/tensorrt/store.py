"""A folder of engines that many processes share: found whole or not at all, built once, healed once.

Each engine is <stem>.plan and <stem>.json, written beside and renamed, the JSON last: it holds the plan's checksum, so
whatever is read is complete, also while another process replaces it. <stem>.lock is held (flock) while one is built;
a process that dies lets go of it. A plan is code that the GPU's driver runs, so the folder is one that nobody else may
write to, and no link in it is followed when something is written.
"""

import contextlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from hpe_core.backends.tensorrt.key import PRECISIONS, EngineKey
from hpe_core.catalogue import sha256_of
from hpe_core.errors import HpeError
from hpe_core.safe_files import is_the_file, open_lock, try_lock, write_whole

T = TypeVar("T")
Progress = Callable[[str], object]  # hears what takes time
FORMAT = 1
FOLDER_VARIABLE = "HPE_ENGINE_CACHE"
LOCK_POLL_S = 0.1
PRIVATE = 0o600  # mode of the files
# what this store writes: EngineKey.stem with a suffix; everything else in the folder is somebody else's
_STEM = r"[A-Za-z0-9_-]+-(fp16|fp32|int8)-b[0-9]+-sm[0-9a-z]+-[0-9a-f]{32}"
_OURS = re.compile(rf"(?P<stem>{_STEM})(\.json|\.plan|\.[0-9]+\.(json|plan)\.tmp)")
PARITY_NUMBERS = ("rotation_deg_median", "grey_levels")  # of a network, of a sampler


class UnusableEngine(HpeError):
    """A stored plan that is damaged or that TensorRT will not load."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One stored engine. facts: what the build recorded (dict); parity: what the comparison found (dict), or None."""

    key: EngineKey
    plan: bytes
    plan_sha256: str
    created: str
    facts: dict[str, Any]
    parity: dict[str, Any] | None


def default_folder() -> Path:
    """$HPE_ENGINE_CACHE, else hpe/engines in the user's cache folder."""
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE])
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "hpe" / "engines"
    except RuntimeError as error:  # no home, as some services have
        raise HpeError(f"there is no home folder for engines: set {FOLDER_VARIABLE} to a folder") from error


class EngineStore:
    """Engines in one folder, which is made when the first one is written."""

    def __init__(self, folder: str | Path | None = None):
        self.folder = Path(folder) if folder is not None else default_folder()

    def obtain(
        self,
        key: EngineKey,
        build: Callable[[], tuple[bytes, dict[str, Any]]],
        use: Callable[[Entry], T],
        progress: Progress = print,
    ) -> T:
        """use(Entry) of the engine `key`, built now if it is not there.

        build() returns (plan bytes, facts dict); use(entry) returns anything and raises UnusableEngine when TensorRT
        refuses the plan, which is then built again, once. progress(text) hears what takes time.
        """
        entry, problem = self._read_or_problem(key)
        if entry is not None:
            try:
                return use(entry)
            except UnusableEngine as error:
                problem, bad = str(error), entry.plan_sha256
        else:
            bad = None
        with self.locked(key, progress):
            entry, problem_now = self._read_or_problem(key)
            if entry is not None and entry.plan_sha256 != bad:  # another process was faster
                return use(entry)
            problem = problem_now or problem
            why = f", the stored one is invalid ({problem})" if problem else ""
            progress(f"building engine {key.stem}{why}")
            entry = self.write(key, *build())
            try:
                return use(entry)
            except UnusableEngine as error:
                self.remove(key)
                raise HpeError(f"engine {key.stem} was built just now and still does not load: {error}") from error

    def read(self, key: EngineKey) -> Entry | None:
        """The Entry, or None when there is none. Raises UnusableEngine when it is damaged."""
        self._check_folder()
        if not self._path(key, ".json").is_file() and not self._path(key, ".plan").is_file():
            return None
        return _read(self._path(key, ".json"), key)

    def write(self, key: EngineKey, plan: bytes, facts: dict[str, Any], parity: dict[str, Any] | None = None) -> Entry:
        """Store a plan; returns its Entry. Raises HpeError when the folder cannot take it; nothing half stays."""
        entry = Entry(key, bytes(plan), sha256_of(plan), _now(), facts, parity)
        try:
            self._make_folder()
            write_whole(self._path(key, ".plan"), entry.plan, PRIVATE)
            self._write_sidecar(entry)
        except OSError as error:
            raise HpeError(self._no_room(error, len(plan))) from error
        return entry

    def note_parity(self, entry: Entry, parity: dict[str, Any]) -> Entry:
        """Record what the comparison with the reference found (dict); returns the Entry with it."""
        entry = replace(entry, parity=parity)
        try:
            self._write_sidecar(entry)
        except OSError as error:
            raise HpeError(self._no_room(error, 0)) from error
        return entry

    def remove(self, key: EngineKey) -> None:
        """Delete an engine; harmless when there is none. The lock file stays, others may hold it."""
        for suffix in (".json", ".plan"):
            self._path(key, suffix).unlink(missing_ok=True)

    def entries(self) -> list[tuple[Entry, None] | tuple[None, str]]:
        """Pairs (Entry, None) or (None, problem naming the file) of all engines in the folder, by name."""
        self._check_folder()
        found: list[tuple[Entry, None] | tuple[None, str]] = []
        for stem in sorted(self._stems(".json", ".plan")):
            try:
                found.append((_read(self.folder / f"{stem}.json"), None))
            except UnusableEngine as error:
                found.append((None, str(error)))
        return found

    def prune(self, wanted: Callable[[Entry], object] = lambda entry: True) -> list[str]:
        """Delete damaged engines, leftovers of interrupted writes and entries that are not wanted; names deleted.

        What another process is building at the moment is left alone, and so is every file that this store did not
        write.
        """
        self._check_folder()
        deleted = []
        for stem in sorted(self._stems(".json", ".plan", ".tmp")):
            with self._lock_at_once(stem) as free:
                if not free:
                    continue
                try:
                    keep = wanted(_read(self.folder / f"{stem}.json"))
                except UnusableEngine:
                    keep = False
                doomed = [path for path in self.folder.glob(f"{stem}.*.tmp") if _OURS.fullmatch(path.name)]
                doomed += [] if keep else [self.folder / f"{stem}{suffix}" for suffix in (".json", ".plan", ".lock")]
                for path in doomed:
                    if path.is_file():
                        path.unlink()
                        deleted += [path.name] if path.suffix != ".lock" else []
        return deleted

    @contextlib.contextmanager
    def locked(self, key: EngineKey, progress: Progress = print) -> Iterator[None]:
        """Hold the engine's lock; waits for another process, saying so once."""
        path = self._path(key, ".lock")
        try:
            self._make_folder()
        except OSError as error:
            raise HpeError(self._no_room(error, 0)) from error
        while True:
            try:
                file = open_lock(path)
            except OSError as error:
                raise HpeError(self._no_room(error, 0)) from error
            with file:
                reported = False
                while not try_lock(file):
                    if not reported:
                        progress(f"waiting for another process that builds {key.stem}")
                        reported = True
                    time.sleep(LOCK_POLL_S)
                if is_the_file(file, path):  # else `prune` deleted it meanwhile: lock the new one
                    yield
                    return

    @contextlib.contextmanager
    def _lock_at_once(self, stem):
        """Yields whether the lock could be had without waiting."""
        with open_lock(self.folder / f"{stem}.lock") as file:
            yield try_lock(file)

    def _make_folder(self):
        """The folder, of its owner alone where it is made now. Raises OSError, or HpeError as `_check_folder`."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._check_folder()

    def _check_folder(self):
        """Raises HpeError when others than this user and root could put an engine into the folder."""
        try:
            status = os.stat(self.folder)
        except (FileNotFoundError, NotADirectoryError):  # nothing to read yet
            return
        except (OSError, ValueError) as error:
            raise HpeError(f"cannot use {self.folder} for engines: {getattr(error, 'strerror', error)}") from error
        if not stat.S_ISDIR(status.st_mode):
            raise HpeError(f"cannot use {self.folder} for engines: it is no folder")
        what_else = f"or set {FOLDER_VARIABLE} to a folder of your own"
        if status.st_uid not in (0, os.geteuid()):
            raise HpeError(
                f"engines in {self.folder} are not used: the folder belongs to user {status.st_uid}, this program runs "
                f"as {os.geteuid()}; `chown {os.geteuid()} {self.folder}` {what_else}"
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise HpeError(
                f"engines in {self.folder} are not used: others may write there (mode "
                f"{stat.S_IMODE(status.st_mode):o}); `chmod go-w {self.folder}` {what_else}"
            )

    def _read_or_problem(self, key):
        try:
            return self.read(key), None
        except UnusableEngine as error:
            return None, str(error)

    def _write_sidecar(self, entry):
        values = {
            "format": FORMAT,
            "key": asdict(entry.key),
            "plan_bytes": len(entry.plan),
            "plan_sha256": entry.plan_sha256,
            "created": entry.created,
            "facts": entry.facts,
            "parity": entry.parity,
        }
        write_whole(self._path(entry.key, ".json"), (json.dumps(values, indent=1) + "\n").encode(), PRIVATE)

    def _stems(self, *suffixes):
        """Stems of the engines that have files with one of the suffixes."""
        ours = (_OURS.fullmatch(path.name) for suffix in suffixes for path in self.folder.glob(f"*{suffix}"))
        return {match["stem"] for match in ours if match}

    def _path(self, key, suffix):
        return self.folder / f"{key.stem}{suffix}"

    def _no_room(self, error, plan_bytes):
        size = f" of {plan_bytes / 1e6:.1f} MB" if plan_bytes else ""
        return (
            f"cannot store an engine{size} in {self.folder}: {error.strerror or error}, {_free_mb(self.folder)} MB are "
            f"free there; make room or set {FOLDER_VARIABLE} to another folder"
        )


def _read(sidecar, key=None):
    """The Entry whose JSON lies at `sidecar`, checked against its plan and, if given, its key."""
    try:
        values = json.loads(sidecar.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise UnusableEngine(f"{sidecar.name} has format {values['format']}, this version reads {FORMAT}")
        found = EngineKey.from_dict(values["key"])
        plan = sidecar.with_suffix(".plan").read_bytes()
        entry = Entry(found, plan, values["plan_sha256"], values["created"], values["facts"], values["parity"])
        _check_values(entry)
    except UnusableEngine:
        raise
    except FileNotFoundError as error:
        raise UnusableEngine(f"{Path(error.filename).name} is missing") from error
    except IsADirectoryError as error:
        raise UnusableEngine(f"{Path(error.filename).name} is a folder") from error
    except OSError as error:
        raise HpeError(f"cannot read {error.filename or sidecar}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, HpeError) as error:
        raise UnusableEngine(f"{sidecar.name} is damaged ({type(error).__name__}: {error})") from error
    if found.stem != sidecar.stem or (key is not None and found != key):
        raise UnusableEngine(f"{sidecar.name} describes another engine, {found.stem}")
    if sha256_of(plan) != entry.plan_sha256:
        raise UnusableEngine(f"{sidecar.stem}.plan is not what was written ({len(plan)} bytes, checksum differs)")
    return entry


def _check_values(entry):
    """Raises ValueError when an Entry from a file does not hold what `hpe engine` shows of it."""
    if entry.key.precision not in PRECISIONS:
        raise ValueError(f"precision {entry.key.precision}")
    if not isinstance(entry.created, str) or not isinstance(entry.facts, dict):
        raise ValueError("created is no text, or facts is no object")
    types, parity = entry.facts.get("types"), entry.parity
    if types and not _has_numbers(types, ("float16", "quantised", "nodes")):
        raise ValueError("types lacks a number")
    if parity is not None and not any(_has_numbers(parity, ("rows", name)) for name in PARITY_NUMBERS):
        raise ValueError("parity lacks a number")


def _has_numbers(values, needed):
    """Whether a JSON value is an object of numbers (or null), with all that are needed."""
    if not isinstance(values, dict) or not all(
        value is None or type(value) in (int, float) for value in values.values()
    ):
        return False
    return all(values.get(name) is not None for name in needed)


def _free_mb(folder):
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // 1_000_000


def _now():
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
