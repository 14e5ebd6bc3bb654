"""Files of others: only regular ones are opened, never a pipe or a device that would hang; any name is possible."""

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpe_core.errors import HpeError

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)
_PLAIN = re.compile(r"[A-Za-z0-9_./ -]+")


def check_regular(path: str | Path) -> None:
    """Raises HpeError, in one line, unless `path` is a regular file that can be opened; never waits for a pipe."""
    os.close(_opened(path))


def read_regular(path: str | Path, limit_bytes: int) -> bytes:
    """All bytes of a regular file. Raises HpeError when it is none, cannot be read or is larger than the limit."""
    try:
        with open(_opened(path), "rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise HpeError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > limit_bytes:
        raise HpeError(f"{path} is too large: at most {limit_bytes} bytes are read")
    return data


def _opened(path: str | Path) -> int:
    """A file descriptor of a regular file; opening does not block."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        mode = _mode(path)
        reason = _kind(mode) if mode and not stat.S_ISREG(mode) else getattr(error, "strerror", None) or str(error)
        raise HpeError(f"{path} cannot be read: {reason}") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise HpeError(f"{path} cannot be read: {_kind(mode)}")
    return descriptor


def _mode(path: str | Path) -> int:
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError):
        return 0


def _kind(mode: int) -> str:
    return f"{next((name for matches, name in _KINDS if matches(mode)), 'something else')}, not a file"


@contextmanager
def plain_path(path: str | Path) -> Iterator[str]:
    """Name of the file for a library that wants plain ASCII: itself, or a link to it that lasts for the `with` block.

    OpenCV dies of names that are not UTF-8; FFmpeg takes `a:b` as a protocol and `%d` as a series; SQLite reads `?`.
    """
    if _PLAIN.fullmatch(str(path)):
        yield str(path)
        return
    suffix = Path(path).suffix
    with tempfile.TemporaryDirectory(prefix="hpe_") as folder:
        link = os.path.join(folder, "source" + (suffix if _PLAIN.fullmatch(suffix) else ""))
        os.symlink(os.path.abspath(path), link)
        yield link


def natural_key(text: str) -> list[tuple]:
    """Sort key with numbers as numbers: img2 before img10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in re.split(r"(\d+)", text)]
