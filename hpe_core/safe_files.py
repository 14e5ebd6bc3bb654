"""Files that are there complete or not at all, and locks that end with their process."""

import fcntl
import os
from pathlib import Path
from typing import IO


def write_whole(path: Path, data: bytes) -> None:
    """Write bytes; the file appears complete or not at all, also when the power goes."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}.tmp")
    try:
        with open(temporary, "wb") as file:
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
