"""Where commands write: earlier results are known by a manifest, new ones come into place once they are whole.

    DIR/.hpe_manifest.json   what hpe wrote there: of each command its version, of each file size and checksum
    DIR/.hpe_lock            the process that writes there at the moment
    DIR/hpe_unfinished/      results on their way; after a kill, a failure or on a full disk this is what there is

What the manifest does not name, or what is no longer as it was written, belongs to the user: it is never deleted or
replaced, the command refuses. The same holds for results that the command reads. Results of versions that wrote no
manifest differ from other files in nothing but their names, so they are refused too.
"""

import contextlib
import fnmatch
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import hpe_core
from hpe_core.errors import HpeError
from hpe_core.io.folder_lock import LOCK, lock_folder, release_folder
from hpe_core.io.manifest import (
    MANIFEST,
    Section,
    fingerprint,
    is_as_written,
    is_marked_unfinished,
    is_whole,
    mark_unfinished,
    read_manifest,
    top_names,
    tree,
    unfinished_command,
    without,
    write_manifest,
)
from hpe_core.io.text import utc_now

UNFINISHED = "hpe_unfinished"
REPLACED = ".replaced"  # in UNFINISHED while results come into place, as the next one
NEXT_MANIFEST = ".next_manifest.json"
SHOWN = 5  # names in a message


class OutFolder:
    """The output folder of one run of a command, in a `with` block: locked, new results beside the earlier ones.

    Files are written below `staged`, and `place` puts them into the folder in one go. A block that ends without it
    leaves the earlier results as they were; with `keep`, what was written stays in DIR/hpe_unfinished, else it goes.
    """

    def __init__(
        self,
        folder: str | Path,
        command: str,
        names: tuple[str, ...] | None,
        overwrite: bool,
        sources: Iterable[str | Path] = (),
        made_from: str | None = None,
        run_id: str = "",
    ):
        """names: what the command may write (files and folders), None where the input decides: then everything in the
        folder must be the command's. sources: files that the command reads. made_from: hash of input and options, for
        the manifest: with it, earlier results of the same hash are `finished` or replaced. run_id: see `lock_folder`.
        """
        self.folder = Path(folder)
        self.command = command
        self._names = names
        self._overwrite = overwrite
        self._made_from = made_from
        self._run_id = run_id
        self._sources = [Path(source) for source in sources]
        self._made: list[Path] = []
        self._lock: IO[str] | None = None
        self._staged: Path | None = None
        self.keep = False

    def __enter__(self) -> "OutFolder":
        """Raises HpeError when the folder cannot be used, is used, or holds something that must not be replaced."""
        try:
            # one place from now on, wherever a link to it points later
            self._real = Path(os.path.realpath(self.folder))
            if self._real.exists() and not self._real.is_dir():
                raise HpeError(f"output folder {self.folder} is a file")
            self._make_folders()
            self._lock = lock_folder(self._real, self.folder, self.command, self._run_id)
            self._overwrite |= self._made_from is not None and self._made_from in self._earlier_made_from()
            self.has_earlier = bool(self._check())
        except BaseException as error:
            self._leave()
            if isinstance(error, OSError | ValueError):
                raise not_writable(self.folder, error) from error
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._leave()

    @property
    def staged(self) -> Path:
        """The folder to write into; made at the first call."""
        if self._staged is None:
            number = 1
            while self._staged is None:
                path = self._real / (UNFINISHED if number == 1 else f"{UNFINISHED}_{number}")
                try:
                    path.mkdir()
                    self._staged = path
                except FileExistsError:
                    number += 1
            mark_unfinished(self._staged, self.command)
        return self._staged

    @property
    def unfinished(self) -> Path:
        """The path of `staged` as the user knows it."""
        return self.folder / self.staged.name

    def note(self) -> str | None:
        """A line about what runs before this one left unfinished; None when there is nothing."""
        left = self._left()
        if not left:
            return None
        shown = _shown(self.folder / path.name for path in left)
        return f"{shown}: results of a run that did not finish; yours to delete"

    def _left(self) -> list[Path]:
        """Folders of runs before this one that did not finish."""
        found = sorted(self._real.glob(f"{UNFINISHED}*"))
        return [path for path in found if path != self._staged and is_marked_unfinished(path)]

    def _sections(self) -> list[Section]:
        """What is known to be ours: by the manifest, and by those of runs that ended just before it was replaced."""
        manifests = [read_manifest(self._real), *(read_manifest(path, NEXT_MANIFEST) for path in self._left())]
        return [section for manifest in manifests for section in manifest.values()]

    def _earlier_made_from(self) -> set[str | None]:
        return {section.get("made_from") for section in self._sections()}

    @property
    def finished(self) -> bool:
        """Whether the folder holds, unchanged, all that the command makes from the same input with the same options."""
        section = read_manifest(self._real).get(self.command)
        made_from = section.get("made_from") if section else None
        return section is not None and made_from == self._made_from is not None and is_whole(self._real, section)

    def discard_unfinished(self) -> None:
        """Delete what earlier runs of the same command left unfinished; for a command that then makes it again."""
        for path in sorted(self._real.glob(f"{UNFINISHED}*")):
            if path != self._staged and (unfinished_command(path) == self.command or _hardly_begun(path)):
                shutil.rmtree(path)

    def place(self) -> list[Path]:
        """Put the staged files into the folder in place of the earlier results; returns the paths of what is new."""
        earlier = self._check()
        new = sorted(path.name for path in self.staged.iterdir() if path.name != MANIFEST)
        manifest = read_manifest(self._real)
        for command, section in list(manifest.items()):
            kept = without(section["files"], [*earlier, *new])
            if command == self.command or not kept:
                del manifest[command]
            else:
                section["files"] = kept
        files = {
            path.relative_to(self.staged).as_posix(): fingerprint(path)
            for name in new
            for path in tree(self.staged / name)
        }
        manifest[self.command] = {"version": hpe_core.__version__, "written": utc_now(), "files": files}
        if self._made_from is not None:
            manifest[self.command]["made_from"] = self._made_from
        aside = self.staged / REPLACED
        aside.mkdir()
        moves = [(self._real / name, aside / name) for name in earlier]
        moves += [(self.staged / name, self._real / name) for name in new]
        # before anything is moved: the disk may be full
        write_manifest(self.staged / NEXT_MANIFEST, manifest)
        _move_all(moves)
        os.replace(self.staged / NEXT_MANIFEST, self._real / MANIFEST)
        shutil.rmtree(self.staged)
        self._staged = None
        return [self.folder / name for name in new]

    def _check(self) -> list[str]:
        """Names in the folder that the new results would replace. Raises HpeError when one of them must not be."""
        commands = read_manifest(self._real)
        written = [section["files"] for section in self._sections()]
        mine = top_names(commands[self.command]["files"] if self.command in commands else ())
        if self._names is None:
            ours = {MANIFEST, LOCK}
            names = {p.name for p in self._real.iterdir() if p.name not in ours and not _is_unfinished(p)}
        else:
            staged = os.listdir(self._staged) if self._staged else ()
            names = {*self._names, *mine, *staged} - {MANIFEST}
        present = sorted(name for name in names if os.path.lexists(self._real / name))
        foreign: list[Path] = []
        replaced: list[Path] = []
        for name in present:
            files = list(tree(self._real / name))
            changed = [path for path in files if not any(is_as_written(path, self._real, one) for one in written)]
            foreign += [path.relative_to(self._real) for path in changed[:SHOWN]]
            replaced += files
        if foreign:
            raise HpeError(
                f"output folder {self.folder} holds {_shown(foreign)}, not written by hpe or changed since: "
                "move it away or use another --out"
            )
        if present and not self._overwrite:
            raise HpeError(
                f"output folder {self.folder} holds earlier results ({_shown(present)}): use --overwrite or --out"
            )
        inodes = {_inode(path) for path in replaced}
        read = next((source for source in self._sources if _inode(source) in inodes), None)
        if read is not None:
            raise HpeError(f"{read} is read and would be replaced in output folder {self.folder}: use another --out")
        return present

    def _make_folders(self) -> None:
        missing = []
        path = self._real
        while not path.exists():
            missing.append(path)
            path = path.parent
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            self._made.insert(0, path)

    def _leave(self) -> None:
        """Give the lock back; what this run made and does not keep goes."""
        if self._staged is not None and not self.keep:
            shutil.rmtree(self._staged, ignore_errors=True)
        if self._lock is not None:
            release_folder(self._real, self._lock)
            self._lock = None
        for path in self._made:
            with contextlib.suppress(OSError):  # not empty: it holds results
                path.rmdir()


def not_writable(folder: Path, error: Exception) -> HpeError:
    """The HpeError for an OSError or ValueError of the system about an output folder."""
    return HpeError(f"output folder {folder} cannot be written: {getattr(error, 'strerror', None) or error}")


@contextlib.contextmanager
def new_file(path: str | Path, overwrite: bool, sources: Iterable[str | Path] = ()) -> Iterator[Path]:
    """Path beside `path` to write to; put into its place when the block ends well. For single files that a user names.

    Raises HpeError when there is a file already and `overwrite` is not set, or when it is one of the sources. A pipe or
    a device, as /dev/stdout, is written as it is.
    """
    check_new_file(path, overwrite, sources)
    path = Path(os.path.realpath(path))  # a link stays, what it leads to is replaced
    if path.exists() and not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix=".hpe_", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        os.replace(temporary, path)


def check_new_file(path: str | Path, overwrite: bool, sources: Iterable[str | Path] = ()) -> None:
    """Raises HpeError when `new_file` would; changes nothing. For the time before long work."""
    path = Path(path)
    if path.is_dir():
        raise HpeError(f"{path} is a folder, not a file to write")
    if not path.absolute().parent.is_dir():
        raise HpeError(f"folder {path.absolute().parent} for {path.name} does not exist")
    if any(_inode(source) == _inode(path) for source in sources if _inode(source)):
        raise HpeError(f"{path} is read and would be replaced: write to another file")
    if not overwrite and os.path.lexists(path) and (path.is_file() or not path.exists()):
        raise HpeError(f"{path} is there already: use --overwrite or another name")


def _hardly_begun(path: Path) -> bool:
    """Whether a run was killed before it had marked the folder: there is half a mark at most."""
    half_mark = f"{Path(MANIFEST).stem}.*.tmp"
    return path.is_dir() and all(fnmatch.fnmatch(name, half_mark) for name in os.listdir(path))


def _is_unfinished(path: Path) -> bool:
    return path.name.startswith(UNFINISHED) and is_marked_unfinished(path)


def _inode(path: str | Path) -> tuple[int, int] | None:
    """What a path leads to, whatever links are on the way; None when it leads nowhere."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _move_all(moves: list[tuple[Path, Path]]) -> None:
    """Renames (from, to); all or, when one fails, none."""
    done = []
    try:
        for source, target in moves:
            if os.path.lexists(target):
                raise HpeError(f"{target} has appeared meanwhile")
            os.rename(source, target)
            done.append((source, target))
    except BaseException:
        for source, target in reversed(done):
            os.rename(target, source)
        raise


def _shown(names: Iterable[object]) -> str:
    """Names for a message: the first few, those that are no plain text in quotes."""
    texts = [text if text.isprintable() else repr(text) for text in map(str, names)]
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
