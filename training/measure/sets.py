"""The labelled images that are measured on."""

from itertools import groupby

import numpy as np

from hpe_core.evaluation.images.sample import Sample

DEV, GIMBAL_LOCK = "aflw2000_dev16", "image02773.jpg"
POINTING, POINTING_PERSONS = "pointing04", ("9", "10")  # the others may be trained on


def main_faces(samples: list[Sample]) -> list[Sample]:
    """Of every image the Sample of the largest face; the others are still known faces."""
    groups = groupby(samples, key=lambda sample: sample.image_id or sample.name)
    return [max(group, key=_area_px2) for _, group in groups]


def _area_px2(sample: Sample) -> float:
    return 0.0 if sample.box_px is None else float(np.prod(sample.box_px[2:] - sample.box_px[:2]))
