"""The manifest of an output folder: which files hpe wrote there, by which command, and whether they are unchanged."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypedDict, cast

from hpe_core.io.folder_lock import LOCK, this_process
from hpe_core.io.json_file import read_json, write_json

FORMAT = 1
MANIFEST = ".hpe_manifest.json"
CHECKED_BYTES = 1 << 24  # at each end of a file: a checksum of a long video would take as long as copying it

Fingerprint = dict[str, Any]  # bytes: size; sha256_of_ends: hexadecimal


class _Written(TypedDict):
    version: str  # of hpe
    written: str  # time, ISO 8601
    files: dict[str, Fingerprint]  # by path relative to the folder


class Section(_Written, total=False):
    """What one command wrote."""

    made_from: str  # hash of input and options, where the command has one


def read_manifest(folder: Path, name: str = MANIFEST) -> dict[str, Section]:
    """dict command -> Section of a folder; empty when it has no manifest: what cannot be read makes nothing ours."""
    values = read_json(folder / name)
    sections = values.get("commands") if values.get("format") == FORMAT else None
    if not isinstance(sections, dict):
        return {}
    return {
        command: cast(Section, section)
        for command, section in sections.items()
        if isinstance(section, dict) and isinstance(section.get("files"), dict)
    }


def write_manifest(path: Path, sections: dict[str, Section]) -> None:
    """Write a manifest of dict command -> Section."""
    write_json(path, {"format": FORMAT, "commands": sections})


def mark_unfinished(folder: Path, command: str) -> None:
    """Write into a folder that this process puts unfinished results there."""
    write_json(folder / MANIFEST, {"format": FORMAT, "unfinished": this_process(command)})


def is_marked_unfinished(folder: Path) -> bool:
    """Whether `mark_unfinished` has marked the folder."""
    return "unfinished" in read_json(folder / MANIFEST)


def unfinished_command(folder: Path) -> str | None:
    """The command that `mark_unfinished` has noted, None without a mark."""
    mark = read_json(folder / MANIFEST).get("unfinished")
    return mark.get("command") if isinstance(mark, dict) else None


def is_whole(folder: Path, section: Section) -> bool:
    """Whether all files of a Section are in their folder as they were written."""
    return all(is_as_written(folder / name, folder, section["files"]) for name in section["files"])


def top_names(files: Iterable[str]) -> set[str]:
    """Names right in the folder of the files of a manifest; what leads out of it is left out."""
    return {name.split("/", 1)[0] for name in files} - {"", ".", "..", MANIFEST, LOCK}


def without(files: dict[str, Fingerprint], tops: Iterable[str]) -> dict[str, Fingerprint]:
    """The files of a manifest but those at and below the names `tops`, which lie right in the folder."""
    left_out = set(tops)
    return {name: known for name, known in files.items() if name.split("/", 1)[0] not in left_out}


def tree(path: Path) -> Iterator[Path]:
    """Everything that is no folder at and below a path; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for child in sorted(path.iterdir()):
        yield from tree(child)


def is_as_written(path: Path, folder: Path, written: dict[str, Fingerprint]) -> bool:
    """Whether a path in a folder is a file that still has the fingerprint under which it is known."""
    if path.is_symlink() or not path.is_file():
        return False
    known = written.get(path.relative_to(folder).as_posix())
    return known is not None and known == fingerprint(path)


def fingerprint(path: Path) -> Fingerprint:
    """Size and SHA-256 of both ends of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(file.read(CHECKED_BYTES))
        file.seek(max(file.tell(), size - CHECKED_BYTES))
        digest.update(file.read(CHECKED_BYTES))
    return {"bytes": size, "sha256_of_ends": digest.hexdigest()}
