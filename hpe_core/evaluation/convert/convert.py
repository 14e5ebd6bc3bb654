"""Datasets, images and videos into bags: one per sequence, with ground truth and CameraInfo where they are known."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.convert.bag_writer import ImageBag
from hpe_core.evaluation.images.protocols import COMMANDS, samples_of
from hpe_core.evaluation.images.sample import Sample, pose_in_camera
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG
from hpe_core.io.frame import Source
from hpe_core.io.out_folder import OutFolder
from hpe_core.io.sources import open_source
from hpe_core.pixels.encodings import bgr_from_compressed

KINDS = (*COMMANDS, "images", "video")
START_NS = 1_000_000_000
APART_NS = 10_000_000_000  # between unrelated images: longer than any tracker remembers a face
BYTES_KEPT = {b"\xff\xd8": "jpeg", b"\x89P": "png"}
JPEG_QUALITY = 95


def convert(
    kind: str,
    source: str | Path,
    out: str | Path,
    *,
    camera: CameraModel | None = None,
    hfov_deg: float | None = None,
    overwrite: bool = False,
    limit: int | None = None,
    sources: Iterable[str | Path] = (),
) -> tuple[dict[str, int], Counter[str], str | None]:
    """Write bags of `source` into folder `out`, which holds nothing else.

    Returns dict bag name -> images, Counter of what was lost, and a line on what the folder holds beside them, or None.
    kind: one of KINDS; sources: further files that are read; camera: overrides the dataset's; hfov_deg: assumed where
    there is no calibration (300W-LP and AFLW2000 have none, 60 degrees then; images and videos get a CameraInfo only
    from `camera` or `hfov_deg`).
    """
    if kind not in KINDS:
        raise HpeError(f"there is no kind '{kind}' to convert, known: {', '.join(KINDS)}")
    with contextlib.ExitStack() as stack:
        if kind in COMMANDS:
            samples = samples_of(kind, source)
            folder = stack.enter_context(OutFolder(out, "convert", None, overwrite, sources))
            counts, losses = _convert_samples(samples, kind, folder, camera, hfov_deg, limit), Counter[str]()
        else:
            frames = stack.enter_context(open_source(str(source)))
            if frames.kind not in ("images", "video"):
                raise HpeError(f"{source} is neither images nor a video")
            read = [*sources, *frames.files]
            folder = stack.enter_context(OutFolder(out, "convert", None, overwrite, read))
            counts, losses = _convert_source(frames, folder, camera, hfov_deg, limit)
        if not any(counts.values()):
            raise HpeError(f"{source} has no image that can be read")
        folder.place()
        return counts, losses, folder.note()


def _convert_samples(
    samples: Iterator[Sample],
    kind: str,
    folder: OutFolder,
    camera: CameraModel | None,
    hfov_deg: float | None,
    limit: int | None,
) -> dict[str, int]:
    counts: dict[str, int] = {}
    bag, name = None, ""
    try:
        for number, sample in enumerate(samples):
            if limit is not None and number == limit:
                break
            sequence = sample.sequence or (sample.name.split("/")[0] if "/" in sample.name else kind)
            if bag is None or sequence != name:
                if bag is not None:
                    bag.close()
                name = sequence
                bag = ImageBag(folder.staged / name)
            data = _read(sample.path)
            height, width = _size(data, sample.path)
            own = (
                camera
                or sample.camera
                or CameraModel.from_hfov(width, height, DEFAULT_HFOV_DEG if hfov_deg is None else hfov_deg)
            )
            if (own.width, own.height) != (width, height):
                raise HpeError(
                    f"the camera is for {own.width}x{own.height} images but {sample.name} is {width}x{height}"
                )
            related = bool(sample.sequence)
            stamp_ns = START_NS + (sample.stamp_ns if related else counts.get(name, 0) * APART_NS)
            bag.write(stamp_ns, data, _kind_of(data), own, pose_in_camera(sample, own))
            counts[name] = counts.get(name, 0) + 1
    finally:
        if bag is not None:
            bag.close()
    return counts


def _convert_source(
    frames: Source, folder: OutFolder, camera: CameraModel | None, hfov_deg: float | None, limit: int | None
) -> tuple[dict[str, int], Counter[str]]:
    """A video, an image or a folder of images; no ground truth."""
    step_ns = APART_NS if frames.kind == "images" else None
    count = 0
    losses: Counter[str] = Counter()
    with ImageBag(folder.staged / frames.name) as bag:
        for frame in frames:
            if frame.image_bgr is None:
                losses[f"image not readable: {frame.error}"] += 1
                continue
            if limit is not None and count == limit:
                break
            height, width = frame.image_bgr.shape[:2]
            own = camera or (None if hfov_deg is None else CameraModel.from_hfov(width, height, hfov_deg))
            data, encoding = _encoded(frame.image_bgr, lossless=frames.kind == "images")
            stamp_ns = START_NS + (frame.stamp_ns if step_ns is None else count * step_ns)
            bag.write(stamp_ns, data, encoding, own)
            count += 1
    losses.update(frames.losses)
    return {frames.name: count}, losses


def _encoded(image_bgr: np.ndarray, lossless: bool) -> tuple[bytes, str]:
    """Bytes and kind: PNG for photographs, JPEG for the frames of a video, which have lost more than that already."""
    if lossless:
        return cv2.imencode(".png", image_bgr)[1].tobytes(), "png"
    return cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes(), "jpeg"


def _read(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise HpeError(f"{path} cannot be read: {error.strerror}") from error


def _size(data: bytes, path: Path) -> tuple[int, int]:
    """Height and width of an encoded image."""
    try:
        height, width = bgr_from_compressed(data).shape[:2]
        return height, width
    except HpeError as error:
        raise HpeError(f"{path}: {error}") from error


def _kind_of(data: bytes) -> str:
    kind = BYTES_KEPT.get(bytes(data[:2]))
    if kind is None:
        raise HpeError(
            f"images must be JPEG or PNG, got one that starts with {np.frombuffer(data[:4], np.uint8).tolist()}"
        )
    return kind
