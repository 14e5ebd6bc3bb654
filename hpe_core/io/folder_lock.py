"""The lock of an output folder: one process at a time writes into it."""

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import IO, Any

from hpe_core.errors import HpeError
from hpe_core.io.text import utc_now
from hpe_core.safe_files import is_the_file, try_lock

LOCK = ".hpe_lock"


def lock_folder(real: Path, shown: Path, command: str, run_id: str = "") -> IO[str]:
    """The open, locked lock file of the folder `real`, which messages call `shown`. run_id: of a run on several
    machines, which has one worker at a time for a folder: it takes over the locks of its workers that were lost.

    Raises HpeError when another process has it.

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
                raise HpeError(f"output folder {shown} is in use by {who}: wait for it or use another --out")
            if not is_the_file(file, path):  # the one before has just finished and deleted it
                file.close()
                continue
            if _elsewhere(owner) and not (run_id and owner.get("run_id") == run_id):
                raise HpeError(
                    f"output folder {shown} is in use by {who}: use another --out, or delete {path} if that has ended"
                )
            try:
                file.seek(0)
                file.truncate()
                json.dump(this_process(command) | ({"run_id": run_id} if run_id else {}), file)
                file.flush()
            except OSError:  # e.g. the disk is full
                path.unlink()
                raise
            return file
        except BaseException:
            file.close()
            raise


def release_folder(real: Path, file: IO[str]) -> None:
    """Give the lock of a folder back."""
    with contextlib.suppress(OSError):  # e.g. the folder is gone
        (real / LOCK).unlink()
    file.close()


def _owner(file: IO[str]) -> dict[str, Any]:
    """What a lock file says, a dict; empty when it says nothing."""
    try:
        owner = json.loads(file.read(10_000))
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) and {"pid", "host"} <= set(owner) else {}


def this_process(command: str) -> dict[str, Any]:
    """This process, for locks and marks."""
    return {
        "command": command,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "boot": _boot(),
        "started": utc_now(),
    }


def _boot() -> str:
    """The running kernel: the same in all containers of a machine, another one after a restart; "" if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _elsewhere(owner: dict[str, Any]) -> bool:
    """Whether the owner of a lock may run on another machine."""
    if not owner or owner.get("host") == socket.gethostname():
        return False
    return not owner.get("boot") or owner["boot"] != _boot()


def _runs_here(owner: dict[str, Any]) -> bool:
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
