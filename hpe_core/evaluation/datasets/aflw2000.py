"""AFLW2000-3D (Zhu et al., CVPR 2016): <folder>/image00002.jpg with image00002.mat; 2000 unrelated photographs."""

from pathlib import Path

from hpe_core.errors import HpeError
from hpe_core.evaluation.images.sample import read_fit


def samples(folder):
    """Sample of every .mat file in the folder, by name. Raises HpeError when there is none or an image is missing."""
    labels = sorted(Path(folder).glob("*.mat"))
    if not labels:
        raise HpeError(f"{folder} holds no .mat files; AFLW2000-3D has image00002.mat beside image00002.jpg")
    for index, label in enumerate(labels):
        image = label.with_suffix(".jpg")
        if not image.is_file():
            raise HpeError(f"{label.name} has no image {image.name} beside it")
        yield read_fit(label, image, label.stem, index)
