"""Files that are there complete or not at all, and locks that end with their process."""

import errno
import fcntl
import os
from pathlib import Path
from typing import IO

from hpe_core.errors import HpeError


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write bytes; the file appears complete or not at all, also when the power goes. mode: less the umask."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}.tmp")
    temporary.unlink(missing_ok=True)  # of a process that died and had this number
    try:
        new_only = os.O_EXCL | os.O_NOFOLLOW
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags | new_only, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_lock(path: Path) -> IO[str]:
    """A lock file, made for its owner alone if it is not there. Raises HpeError when it is a link."""
    try:
        return open(path, "a", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise HpeError(f"{path} is a link, where a lock file should be: remove it") from error
        raise


def try_lock(file: IO) -> bool:
    """Whether the open file could be locked at once (flock: the kernel lets go of it when the process dies)."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_the_file(file: IO, path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
