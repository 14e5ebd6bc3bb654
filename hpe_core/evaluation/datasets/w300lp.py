"""300W-LP (Zhu et al., CVPR 2016): <folder>/{AFW,HELEN,IBUG,LFPW}[_Flip]/*.jpg with .mat; profile-extended photographs.

The community's file lists (one `AFW/AFW_134212_1_0` per line, faces beyond 99 degrees left out) are made by
`usable`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.images.dataset_kind import Dataset
from hpe_core.evaluation.images.sample import Sample, read_fit

DATASET = Dataset(title="300W-LP", marks=("AFW*/*.mat", "HELEN*/*.mat", "IBUG*/*.mat", "LFPW*/*.mat"), command="300wlp")

SUBSETS = ("AFW", "HELEN", "IBUG", "LFPW")
MAX_ANGLE_DEG = 99.0


def samples(folder: str | Path) -> Iterator[Sample]:
    """Sample of every labelled image; its sequence is the subset. Raises HpeError when the folder holds no subset."""
    folders = [Path(folder) / f"{name}{flip}" for name in SUBSETS for flip in ("", "_Flip")]
    found = [subset for subset in folders if subset.is_dir()]
    if not found:
        raise HpeError(f"{folder} holds none of the folders of 300W-LP: {', '.join(SUBSETS)} (and their _Flip)")
    index = 0
    for subset in found:
        for label in sorted(subset.glob("*.mat")):
            image = label.with_suffix(".jpg")
            if not image.is_file():
                raise HpeError(f"{subset.name}/{label.name} has no image {image.name} beside it")
            yield read_fit(label, image, f"{subset.name}/{label.stem}", index)
            index += 1


def usable(samples: Iterable[Sample]) -> tuple[list[str], int]:
    """Names of the Samples whose three angles lie within 99 degrees, and how many lie outside."""
    kept, outside = [], 0
    for sample in samples:
        if np.max(np.abs(sample.angles.stacked())) <= MAX_ANGLE_DEG:
            kept.append(sample.name)
        else:
            outside += 1
    return kept, outside
