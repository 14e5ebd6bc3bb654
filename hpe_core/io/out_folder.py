"""Where commands write: earlier results are known by a manifest, new ones come into place once they are whole.

    DIR/.hpe_manifest.json   what hpe wrote there: of each command its version, of each file size and checksum
    DIR/.hpe_lock            the process that writes there at the moment
    DIR/hpe_unfinished/      results on their way; after a kill, a failure or on a full disk this is what there is

What the manifest does not name, or what is no longer as it was written, belongs to the user: it is never deleted or
replaced, the command refuses. The same holds for results that the command reads. Results of versions that wrote no
manifest are told from other files by nothing but their names, so they are refused too.
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import hpe_core
from hpe_core.errors import HpeError
from hpe_core.safe_files import is_the_file, try_lock, write_whole

FORMAT = 1
MANIFEST, LOCK, UNFINISHED = ".hpe_manifest.json", ".hpe_lock", "hpe_unfinished"
REPLACED, NEXT_MANIFEST = ".replaced", ".next_manifest.json"  # in UNFINISHED while results come into place
CHECKED_BYTES = 1 << 24  # at each end of a file: a checksum of a long video would take as long as copying it
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
    ):
        """names: what the command may write (files and folders), None where the input decides: then everything in the
        folder must be the command's. sources: files that the command reads."""
        self.folder, self.command = Path(folder), command
        self._names, self._overwrite, self._sources = names, overwrite, [Path(source) for source in sources]
        self._made, self._lock, self._staged = [], None, None
        self.keep = False

    def __enter__(self) -> "OutFolder":
        """Raises HpeError when the folder cannot be used, is used, or holds something that must not be replaced."""
        try:
            # one place from now on, wherever a link to it points later
            self._real = Path(os.path.realpath(self.folder))
            if self._real.exists() and not self._real.is_dir():
                raise HpeError(f"output folder {self.folder} is a file")
            self._make_folders()
            self._lock = _lock(self._real, self.folder, self.command)
            self.has_earlier = bool(self._check())
        except BaseException as error:
            self._leave()
            if isinstance(error, OSError | ValueError):
                raise HpeError(
                    f"output folder {self.folder} cannot be written: {getattr(error, 'strerror', None) or error}"
                ) from error
            raise
        return self

    def __exit__(self, kind, error, trace):
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
            _write_json(self._staged / MANIFEST, {"format": FORMAT, "unfinished": _self(self.command)})
        return self._staged

    @property
    def unfinished(self) -> Path:
        """The path of `staged` as the user knows it."""
        return self.folder / self.staged.name

    def note(self) -> str | None:
        """A line about what runs before this one left unfinished; None when there is nothing."""
        left = [
            path.name
            for path in sorted(self._real.glob(f"{UNFINISHED}*"))
            if path != self._staged and "unfinished" in _read_json(path / MANIFEST)
        ]
        if not left:
            return None
        return f"{_shown(self.folder / name for name in left)}: results of a run that did not finish; yours to delete"

    def place(self) -> list[Path]:
        """Put the staged files into the folder in place of the earlier results; returns the paths of what is new."""
        earlier = self._check()
        new = sorted(path.name for path in self.staged.iterdir() if path.name != MANIFEST)
        manifest = _manifest(self._real)
        for command, section in list(manifest.items()):
            kept = {} if command == self.command else _without(section["files"], [*earlier, *new])
            manifest[command] = section | {"files": kept}
            if not kept:
                del manifest[command]
        files = {
            path.relative_to(self.staged).as_posix(): _fingerprint(path)
            for name in new
            for path in _tree(self.staged / name)
        }
        manifest[self.command] = {"version": hpe_core.__version__, "written": _now(), "files": files}
        aside = self.staged / REPLACED
        aside.mkdir()
        moves = [(self._real / name, aside / name) for name in earlier]
        moves += [(self.staged / name, self._real / name) for name in new]
        # before anything is moved: the disk may be full
        _write_json(self.staged / NEXT_MANIFEST, {"format": FORMAT, "commands": manifest})
        _move_all(moves)
        os.replace(self.staged / NEXT_MANIFEST, self._real / MANIFEST)
        shutil.rmtree(self.staged)
        self._staged = None
        return [self.folder / name for name in new]

    def _check(self):
        """Names in the folder that the new results would replace. Raises HpeError when one of them must not be."""
        commands = _manifest(self._real)
        written = {name: print_ for section in commands.values() for name, print_ in section["files"].items()}
        mine = _tops(commands.get(self.command, {"files": {}})["files"])
        if self._names is None:
            ours = {MANIFEST, LOCK}
            names = {p.name for p in self._real.iterdir() if p.name not in ours and not _is_unfinished(p)}
        else:
            staged = os.listdir(self._staged) if self._staged else ()
            names = {*self._names, *mine, *staged} - {MANIFEST}
        present = sorted(name for name in names if os.path.lexists(self._real / name))
        foreign, trees = [], []
        for name in present:
            tree = list(_tree(self._real / name))
            changed = [path for path in tree if not _is_as_written(path, self._real, written)]
            foreign += [path.relative_to(self._real) for path in changed[:SHOWN]]
            trees += tree
        if foreign:
            raise HpeError(
                f"output folder {self.folder} holds {_shown(foreign)}, not written by hpe or changed since: "
                "move it away or use another --out"
            )
        if present and not self._overwrite:
            raise HpeError(
                f"output folder {self.folder} holds earlier results ({_shown(present)}): use --overwrite or --out"
            )
        replaced = {_inode(path) for path in trees}
        read = next((source for source in self._sources if _inode(source) in replaced), None)
        if read is not None:
            raise HpeError(f"{read} is read and would be replaced in output folder {self.folder}: use another --out")
        return present

    def _make_folders(self):
        missing, path = [], self._real
        while not path.exists():
            missing.append(path)
            path = path.parent
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            self._made.insert(0, path)

    def _leave(self):
        """Give the lock back; what this run made and does not keep goes."""
        if self._staged is not None and not self.keep:
            shutil.rmtree(self._staged, ignore_errors=True)
        if self._lock is not None:
            with contextlib.suppress(OSError):  # e.g. the folder is gone
                (self._real / LOCK).unlink()
            self._lock.close()
            self._lock = None
        for path in self._made:
            with contextlib.suppress(OSError):  # not empty: it holds results
                path.rmdir()


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


def _lock(real, folder, command):
    """The open, locked lock file. Raises HpeError when another process has it.

    flock, because it ends with its process and holds between containers on one machine and on most shared folders; what
    the file says is for those whose machines do not see each other's flock.
    """
    path = real / LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        file = os.fdopen(descriptor, "r+", encoding="utf-8")
        try:
            owner = _owner(file)
            try:
                free = try_lock(file)
            except OSError:  # a file system without flock
                free = not _runs_here(owner)
            who = f"process {owner['pid']} on host {owner['host']}" if owner else "another process"
            if not free:
                raise HpeError(f"output folder {folder} is in use by {who}: wait for it or use another --out")
            if not is_the_file(file, path):  # the one before has just finished and deleted it
                file.close()
                continue
            if _elsewhere(owner):
                raise HpeError(
                    f"output folder {folder} is in use by {who}: use another --out, or delete {path} if that has ended"
                )
            try:
                file.seek(0)
                file.truncate()
                json.dump(_self(command), file)
                file.flush()
            except OSError:  # e.g. the disk is full
                path.unlink()
                raise
            return file
        except BaseException:
            file.close()
            raise


def _owner(file):
    """What a lock file says, a dict; empty when it says nothing."""
    try:
        owner = json.loads(file.read(10_000))
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) and {"pid", "host"} <= set(owner) else {}


def _self(command):
    """This process, for locks and marks."""
    return {
        "command": command,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "boot": _boot(),
        "started": _now(),
    }


def _boot():
    """The running kernel: the same in all containers of a machine, another one after a restart; "" if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _elsewhere(owner):
    """Whether the owner of a lock may run on another machine."""
    if not owner or owner.get("host") == socket.gethostname():
        return False
    return not owner.get("boot") or owner["boot"] != _boot()


def _runs_here(owner):
    """Whether the owner of a lock is a process that runs on this machine."""
    if not owner or _elsewhere(owner):
        return False
    try:
        os.kill(int(owner["pid"]), 0)
    except (ProcessLookupError, ValueError, TypeError, OverflowError):
        return False
    except PermissionError:  # it runs, as somebody else
        return True
    return True


def _manifest(folder):
    """dict command -> {version, written, files: {relative path: fingerprint}} of a folder; empty when it has none."""
    values = _read_json(folder / MANIFEST)
    sections = values.get("commands") if values.get("format") == FORMAT else None
    if not isinstance(sections, dict):
        return {}
    return {
        command: section
        for command, section in sections.items()
        if isinstance(section, dict) and isinstance(section.get("files"), dict)
    }


def _read_json(path):
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # what cannot be read makes nothing ours
        return {}
    return values if isinstance(values, dict) else {}


def _write_json(path, values):
    write_whole(path, (json.dumps(values, indent=1) + "\n").encode())


def _is_unfinished(path):
    return path.name.startswith(UNFINISHED) and "unfinished" in _read_json(path / MANIFEST)


def _tops(files):
    """Names right in the folder of the files of a manifest; what leads out of it is left out."""
    return {name.split("/", 1)[0] for name in files} - {"", ".", "..", MANIFEST, LOCK}


def _without(files, tops):
    return {name: print_ for name, print_ in files.items() if name.split("/", 1)[0] not in tops}


def _tree(path):
    """Everything that is no folder at and below a path; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for child in sorted(path.iterdir()):
        yield from _tree(child)


def _is_as_written(path, folder, written):
    if path.is_symlink() or not path.is_file():
        return False
    known = written.get(path.relative_to(folder).as_posix())
    return known is not None and known == _fingerprint(path)


def _fingerprint(path):
    """Size and SHA-256 of both ends of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(file.read(CHECKED_BYTES))
        file.seek(max(file.tell(), size - CHECKED_BYTES))
        digest.update(file.read(CHECKED_BYTES))
    return {"bytes": size, "sha256_of_ends": digest.hexdigest()}


def _inode(path):
    """What a path leads to, whatever links are on the way; None when it leads nowhere."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _move_all(moves):
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


def _shown(names):
    """Names for a message: the first few, those that are no plain text in quotes."""
    texts = [text if text.isprintable() else repr(text) for text in map(str, names)]
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more


def _now():
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
