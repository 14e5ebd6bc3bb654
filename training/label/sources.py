"""The photographs: zip archives read one by one, and the split of LFW by person."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

TEST_PHOTOS, TEST_SEED, MAX_PHOTOS_OF_TEST_PERSON = 1000, 0, 20


@dataclass(frozen=True)
class Photo:
    source: str  # name inside the archive
    person: str  # identity; the file itself where people are not named
    image: np.ndarray  # (H, W, 3) BGR uint8
    jpeg: bytes | None  # the file's own bytes; None where the image was changed


def lfw_person(name: str) -> str:
    return name.split("/")[0]


def choose_test_photos(names: list[str], count: int = TEST_PHOTOS, seed: int = TEST_SEED) -> list[str]:
    """All photos of people picked in the order of a seeded hash, as long as they fit into `count` photos."""
    photos_of = Counter(map(lfw_person, names))
    order = sorted(photos_of, key=lambda person: hashlib.sha256(f"{seed}:{person}".encode()).digest())
    people, total = set(), 0
    for person in order:
        n = photos_of[person]
        if n <= MAX_PHOTOS_OF_TEST_PERSON and total + n <= count:
            people.add(person)
            total += n
    return sorted(name for name in names if lfw_person(name) in people)


def hashes(names: list[str]) -> list[str]:
    """Sorted hashes of file names, for lists that may be published: names of files are names of people."""
    return sorted(hashlib.sha256(name.encode()).hexdigest()[:16] for name in names)


def pad_blurred(image: np.ndarray, fraction: float = 0.4) -> np.ndarray:
    """Surround a tight crop with its blurred reflection, so that detectors see a face with room about it."""
    h, w = image.shape[:2]
    m, n = round(h * fraction), round(w * fraction)
    reflected = cv2.copyMakeBorder(image, m, m, n, n, cv2.BORDER_REFLECT_101)
    H, W = reflected.shape[:2]
    small = cv2.resize(reflected, (W // 8, H // 8), interpolation=cv2.INTER_AREA)
    padded = cv2.resize(cv2.GaussianBlur(small, (0, 0), 0.01 * max(h, w)), (W, H), interpolation=cv2.INTER_LINEAR)
    padded[m : m + h, n : n + w] = image
    return padded


def archive_names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as z:
        return sorted(n for n in z.namelist() if n.lower().endswith((".jpg", ".jpeg", ".png")))


def read_photos(archive: Path, names: list[str] | None = None, pad: float = 0.0) -> Iterator[Photo]:
    """Photos of an archive (all, or `names`), padded by `pad` of their size if asked."""
    by_person = archive.stem == "lfw"
    with zipfile.ZipFile(archive) as z:
        for name in archive_names(archive) if names is None else names:
            data = z.read(name)
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            person = lfw_person(name) if by_person else f"{archive.stem}/{name}"
            image, data = (pad_blurred(image, pad), None) if pad else (image, data)
            yield Photo(f"{archive.stem}/{name}", person, image, data)
