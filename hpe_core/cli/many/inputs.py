"""Which sources several words name, and the folder names of their results."""

import glob
import hashlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from hpe_core.errors import HpeError
from hpe_core.io.bags import find_bags, is_bag_folder
from hpe_core.io.files import natural_key
from hpe_core.io.out_folder import UNFINISHED
from hpe_core.io.sources import camera, network
from hpe_core.io.sources.images import IMAGE_SUFFIXES

STDIN = "-"
MOST_INPUTS = 100_000
MOST_NAME = 200  # bytes; file systems take 255
SUMMARY = "summary.json"  # of all, beside their folders


def expanded(texts: Sequence[str]) -> list[str]:
    """Sources that the words of a command name: `-` is a list on stdin, one a line; a pattern of anything but images
    and a folder of bags are all that they lead to. A source that cannot be read is left for its own run to say.

    Raises HpeError when there is none, or more than MOST_INPUTS.
    """
    if texts.count(STDIN) > 1:
        raise HpeError("- reads the list of sources from stdin, which can be done once")
    lines = [line for text in texts for line in (_stdin_lines() if text == STDIN else [text])]
    found = [source for line in lines for source in _sources_of(line)]
    if not found:
        raise HpeError("the list of sources on stdin is empty")
    if len(found) > MOST_INPUTS:
        raise HpeError(f"{len(found)} sources at once, allowed: {MOST_INPUTS}")
    return found


def distinct(sources: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sources by absolute paths, each once, and those that came again. Raises HpeError for one that never ends."""
    first: dict[str, str] = {}
    again = []
    for text in sources:
        if network.is_address(text) or camera.is_index(text):
            raise HpeError(f"{network.without_password(text)} is a live source: give it alone, without --jobs")
        path = os.path.abspath(text)
        if os.path.realpath(path) in first:
            again.append(text)
        first.setdefault(os.path.realpath(path), path)
    return list(first.values()), again


def named(paths: Sequence[str]) -> dict[str, str]:
    """dict folder name -> absolute path, in their order. A name is that of the file or folder; where several have the
    same, the folders above come before it (`monday_run1`, `tuesday_run1`), then a hash of the path."""
    names: dict[str, str] = {}
    left = list(paths)
    for level in range(1, 5):
        if not left:
            break
        wanted = {path: _name(path, level) for path in left}
        counts: dict[str, int] = {}
        for name in wanted.values():
            counts[name.casefold()] = counts.get(name.casefold(), 0) + 1
        taken = {name.casefold() for name in names}
        good = [path for path in left if counts[wanted[path].casefold()] == 1 and wanted[path].casefold() not in taken]
        names |= {wanted[path]: path for path in good}
        left = [path for path in left if path not in set(good)]
    for path in left:
        names[f"{_name(path, 1)}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"] = path
    by_path = {path: name for name, path in names.items()}
    return {by_path[path]: path for path in paths}


def _stdin_lines() -> list[str]:
    data = sys.stdin.buffer.read()
    lines = [os.fsdecode(line.rstrip(b"\r")) for line in data.split(b"\n") if line.strip()]
    for line in lines:
        if line == STDIN:
            raise HpeError("the list of sources on stdin holds -, which is no source")
        if "\0" in line:
            raise HpeError("the list of sources on stdin holds a NUL: give one source a line")
    return lines


def _sources_of(text: str) -> list[str]:
    """The sources that one word leads to; itself where it is one, or none."""
    path = Path(text)
    try:
        if glob.has_magic(text) and not os.path.lexists(text):
            return _matches(text)
        if path.is_dir() and not is_bag_folder(path) and not any(map(_is_image, path.iterdir())):
            return [str(bag) for bag in find_bags(text).values()]
    except (OSError, ValueError, HpeError, re.error):  # its own run says what is wrong with it
        return [text]
    return [text]


def _matches(pattern: str) -> list[str]:
    """What a pattern names, in natural order; the pattern itself where that is nothing, or images alone."""
    found = sorted(glob.iglob(pattern, recursive=True), key=natural_key)
    if len(found) > MOST_INPUTS:
        raise HpeError(f"{pattern} names {len(found)} files, allowed: {MOST_INPUTS}")
    if all(_is_image(Path(name)) for name in found):
        return [pattern]
    inside = {Path(name) for name in found if Path(name).is_dir() and is_bag_folder(Path(name))}
    outside = [name for name in found if not inside & set(Path(name).parents)]
    return [source for name in outside for source in _sources_of(name)]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()


def _name(path: str, level: int) -> str:
    """Folder name of a source's results; level: 1 its own name, 2 with its suffix, from 3 on with folders above it."""
    full = Path(path)
    if glob.has_magic(path) and not os.path.exists(path):
        parts = [*full.parent.parts[1:]] or ["images"]
    else:
        parts = [*full.parts[1:-1], full.name if level == 2 or os.path.isdir(path) else full.stem]
    name = "_".join(parts[-max(1, level - 1) :])
    name = os.fsdecode(os.fsencode(name)[-MOST_NAME:])
    if name.startswith(".") or name.startswith(UNFINISHED) or name in ("", SUMMARY):
        name = f"_{name}"
    return name
