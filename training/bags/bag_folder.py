"""Bags that ship with the project: built beside their place, put there only when whole, kept below a size."""

import sys
import tempfile
from pathlib import Path

from hpe_core.errors import HpeError


def build(out: Path, note: Path, max_bytes: int, write) -> int:
    """Exit status of making the bag folder `out` by write(folder); the licence note goes with it.

    An HpeError leaves `out` as it was and is one line; a bag above max_bytes is reported, too.
    """
    names = {f"{out.name}.mcap", "metadata.yaml", "README.md"}
    others = sorted(path.name for path in out.iterdir() if path.name not in names) if out.is_dir() else []
    if others or out.is_file() or out.is_symlink():
        print(f"error: {out} is more than a bag of this name ({', '.join(others) or 'no folder'})", file=sys.stderr)
        return 1
    text = note.read_text() if note.exists() else None
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".hpe_", dir=out.parent) as parent:
        building = Path(parent) / out.name  # the MCAP file takes the folder's name
        try:
            write(building)
        except HpeError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        if text is not None:
            (building / "README.md").write_text(text)
        if out.is_dir():
            out.rename(Path(parent) / "replaced")
        building.rename(out)
    size = sum(f.stat().st_size for f in out.iterdir())
    print(f"{out}: {size / 1e6:.2f} MB")
    if size > max_bytes:
        print(f"error: bag has {size} bytes, allowed: {max_bytes}", file=sys.stderr)
        return 1
    return 0
