"""What the file of a data set says of it, as data: how its folder is known, and its published evaluation protocols."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpe_core.evaluation.images.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """dataset: name as in `hpe convert`; limits_deg: largest |yaw|, |pitch|, |roll| of a label that counts, None: all;
    test_sequences: those that count, () for all; note: what to know before numbers are compared."""

    name: str
    dataset: str
    limits_deg: tuple[float, float, float] | None = None
    test_sequences: tuple[str, ...] = ()
    note: str = ""

    def reason_to_skip(self, sample: Sample) -> str | None:
        """Why a Sample does not count, or None."""
        if self.test_sequences and sample.sequence not in self.test_sequences:
            return "sequence is not in the test part"
        angles = np.abs(sample.angles.stacked())
        if self.limits_deg is not None and np.any(angles > self.limits_deg):
            return "label outside +-{:g}/{:g}/{:g} degrees of yaw, pitch, roll".format(*self.limits_deg)
        return None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The DATASET of a file in hpe_core.evaluation.datasets, beside its `samples(folder)`."""

    title: str  # what people call such a folder
    marks: tuple[str, ...]  # glob patterns: a folder in which one of them matches is of this kind
    ours: bool = False  # a format of this project: asked before the published ones
    special: bool = False  # its folder may look like a simpler kind, too: asked first of all
    command: str | None = None  # its name in `hpe convert`; None: is not converted
    protocols: tuple[Protocol, ...] = ()
