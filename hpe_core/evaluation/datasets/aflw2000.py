"""AFLW2000-3D (Zhu et al., CVPR 2016): <folder>/image00002.jpg with image00002.mat; 2000 unrelated photographs."""

from collections.abc import Iterator
from pathlib import Path

from hpe_core.errors import HpeError
from hpe_core.evaluation.images.dataset_kind import Dataset, Protocol
from hpe_core.evaluation.images.sample import Sample, read_fit

DATASET = Dataset(
    title="AFLW2000-3D",
    marks=("*.mat",),
    command="aflw2000",
    protocols=(
        Protocol(
            name="aflw2000",
            dataset="aflw2000",
            limits_deg=(99.0, 99.0, 99.0),
            note="1969 of 2000 images; compared in the face-centred virtual camera",
        ),
        Protocol(
            name="nlml-window",
            dataset="aflw2000",
            limits_deg=(50.0, 40.0, 30.0),
            note="the window of NLML-HPE on AFLW2000-3D",
        ),
    ),
)


def samples(folder: str | Path) -> Iterator[Sample]:
    """Sample of every .mat file in the folder, by name. Raises HpeError when there is none or an image is missing."""
    labels = sorted(Path(folder).glob("*.mat"))
    if not labels:
        raise HpeError(f"{folder} holds no .mat files; AFLW2000-3D has image00002.mat beside image00002.jpg")
    for index, label in enumerate(labels):
        image = label.with_suffix(".jpg")
        if not image.is_file():
            raise HpeError(f"{label.name} has no image {image.name} beside it")
        yield read_fit(label, image, label.stem, index)
