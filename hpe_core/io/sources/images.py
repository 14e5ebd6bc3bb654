"""An image, all images of a folder, or those that a pattern names."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpe_core.errors import HpeError, printable
from hpe_core.io.files import check_regular, natural_key, read_regular
from hpe_core.io.frame import DEFAULT_FRAME_ID, Frame, Source, refuse_topic
from hpe_core.pixels.encodings import bgr_from_compressed
from hpe_core.pixels.image_header import MAX_FILE_BYTES

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
NOMINAL_IMAGE_STEP_NS = 1_000_000_000


class ImagesSource(Source):
    """Image files, unrelated photographs; stamps are nominal, one second apart from 0."""

    kind = "images"

    def __init__(self, name: str, paths: Sequence[Path]):
        super().__init__(name, len(paths))
        self.files = paths

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self.files):
            image = error = None
            try:
                image = bgr_from_compressed(read_regular(path, MAX_FILE_BYTES))
            except HpeError as reason:
                error = str(reason).removeprefix(f"{printable(path)} ")  # the frame names its file
            yield Frame(image, index * NOMINAL_IMAGE_STEP_NS, DEFAULT_FRAME_ID, index, path.name, error=error)


def opened(text: str, topic: str | None) -> ImagesSource | None:
    """An image by the suffix of its name, or the images of a folder or a pattern (`frames/*.png`, `**` for all folders
    below) in natural order; None for anything else."""
    path = Path(text)
    if glob.has_magic(text) and not path.exists():
        refuse_topic(topic, "a pattern")
        paths = [
            found for found in map(Path, glob.iglob(text, recursive=True)) if found.suffix.lower() in IMAGE_SUFFIXES
        ]
        if not paths:
            raise HpeError(f"no image ({' '.join(IMAGE_SUFFIXES)}) has a name like {text}")
        return ImagesSource(path.parent.name or "images", sorted(paths, key=lambda found: natural_key(str(found))))
    if path.is_dir():
        refuse_topic(topic, "a folder of images")
        paths = [child for child in path.iterdir() if child.suffix.lower() in IMAGE_SUFFIXES]
        if not paths:
            raise HpeError(f"folder {text} holds neither images ({' '.join(IMAGE_SUFFIXES)}) nor a rosbag2")
        return ImagesSource(path.resolve().name or "root", sorted(paths, key=lambda child: natural_key(child.name)))
    if not path.exists() or path.suffix.lower() not in IMAGE_SUFFIXES:
        return None
    refuse_topic(topic, "a file that is no bag")
    check_regular(path)
    return ImagesSource(path.stem, [path])
