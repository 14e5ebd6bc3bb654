"""Bags that ship with the project: built beside their place, put there only when whole, kept below a size."""

import shutil
import sys
from pathlib import Path

from hpe_core.errors import HpeError


def build(out: Path, note: Path, max_bytes: int, write) -> int:
    """Exit status of making the bag folder `out` by write(folder); the licence note goes with it.

    An HpeError leaves `out` as it was and is one line; a bag above max_bytes is reported, too.
    """
    text = note.read_text() if note.exists() else None
    building = out.parent / ".building" / out.name  # the MCAP file takes the folder's name
    shutil.rmtree(building.parent, ignore_errors=True)
    building.parent.mkdir(parents=True)
    try:
        write(building)
    except HpeError as error:
        shutil.rmtree(building.parent, ignore_errors=True)
        print(f"error: {error}", file=sys.stderr)
        return 1
    if text is not None:
        (building / "README.md").write_text(text)
    shutil.rmtree(out, ignore_errors=True)
    building.rename(out)
    building.parent.rmdir()
    size = sum(f.stat().st_size for f in out.iterdir())
    print(f"{out}: {size / 1e6:.2f} MB")
    if size > max_bytes:
        print(f"error: bag has {size} bytes, allowed: {max_bytes}", file=sys.stderr)
        return 1
    return 0
