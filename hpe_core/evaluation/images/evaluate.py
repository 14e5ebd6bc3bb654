"""Several methods on the same labelled images in one run, every labelled face accounted for by each of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Protocol

import numpy as np

from hpe_core.catalogue import METHODS
from hpe_core.config import PipelineConfig, overridden
from hpe_core.errors import HpeError
from hpe_core.evaluation.errors.frame_offset import FrameOffset
from hpe_core.evaluation.images.answers import NO_LANDMARKS, Answer, pipeline_answers
from hpe_core.evaluation.images.protocols import samples_in
from hpe_core.evaluation.images.sample import Sample
from hpe_core.evaluation.images.scores import ImageResult, fitted_offset, score
from hpe_core.geometry.camera import CameraModel

# our methods: what `--model` takes; one that is not shipped (yet) is listed as absent
OURS = (*METHODS, *sorted({method.detector for method in METHODS.values()}))
OWN_DETECTION = "own detection"
Change = Callable[
    [np.ndarray, CameraModel, list[Sample], int], tuple[np.ndarray, CameraModel, Sequence[Sample]]
]  # image, camera, samples, number of the image -> the first three, changed
Progress = Callable[[int, int], None]  # called with the number of images done and in all


class Method(Protocol):
    """What can be compared on images."""

    faces_from: str  # where its faces come from

    def answers(self, image: np.ndarray, camera: CameraModel, samples: Sequence[Sample]) -> list[Answer]:
        """One Answer for each Sample of one image (H, W, 3) of `camera`."""
        ...


@dataclass(frozen=True)
class Absent:
    """A method that cannot run here, and why."""

    faces_from: str
    reason: str


class Ours:
    """A Pipeline on single images: it finds the faces itself."""

    faces_from = OWN_DETECTION

    def __init__(self, config: PipelineConfig) -> None:
        from hpe_core.pipeline import Pipeline

        self.pipeline = Pipeline(config)

    def answers(self, image: np.ndarray, camera: CameraModel, samples: Sequence[Sample]) -> list[Answer]:
        """List of Answer for the Samples of one image (H, W, 3) of `camera`."""
        return pipeline_answers(self.pipeline, image, camera, samples)


def our_methods(models: Sequence[str] = (), base: PipelineConfig | None = None) -> dict[str, Ours | Absent]:
    """dict name -> method: those of OURS, or one for each of `models` (as `hpe run --model`); base: PipelineConfig.

    One of OURS that cannot run is an Absent; a model that was asked for raises HpeError.
    """
    base = base or PipelineConfig()
    made: dict[str, Ours | Absent] = {}
    for model in models or OURS:
        name = model if short_name(model) in made else short_name(model)
        try:
            made[name] = Ours(with_model(base, model))
        except HpeError as error:
            if models:
                raise
            made[name] = Absent(OWN_DETECTION, str(error))
    return made


def with_model(config: PipelineConfig, model: str) -> PipelineConfig:
    """The PipelineConfig with another model."""
    return overridden(config, {"estimator": {"model": model}})


def short_name(model: str) -> str:
    """What a model is called in tables: files without folder and suffix."""
    return "+".join(Path(part).stem for part in model.split("+"))


def labelled_images(
    folder: str | Path, limit: int | None = None, persons: Collection[str] | None = None
) -> list[Sample]:
    """List of Sample of the labelled images in a folder of any known kind, of the first `limit` images only, and of
    these `persons` only.

    Raises HpeError when the folder holds none, or none of one of them.
    """
    samples = samples_in(folder)
    if persons is not None:
        samples = _of_persons(list(samples), persons, folder)
    return [sample for _, group in islice(_by_image(samples), limit) for sample in group]


def _of_persons(samples: Sequence[Sample], persons: Collection[str], folder: str | Path) -> list[Sample]:
    known = {sample.facing.person for sample in samples if sample.facing is not None}
    if unknown := sorted(set(persons) - known):
        has = f"has {', '.join(sorted(known, key=lambda p: (len(p), p)))}" if known else "does not say who is who"
        raise HpeError(f"there is no image of person {', '.join(unknown)}: {folder} {has}")
    return [sample for sample in samples if sample.facing is not None and sample.facing.person in persons]


def _by_image(samples: Iterable[Sample]) -> Iterator[tuple[str, Iterator[Sample]]]:
    return groupby(samples, key=lambda sample: sample.image_id or sample.name)


def answers_of(
    methods: Mapping[str, Method | Absent],
    samples: Sequence[Sample],
    hfov_deg: float,
    change: Change | None = None,
    progress: Progress | None = None,
) -> dict[str, list[Answer]]:
    """dict name -> list of Answer, one per Sample, of the methods (dict) that are not Absent.

    change(image, camera, samples, number): the same, changed, for the image of this number; a changed Sample is what
    the methods are measured against.
    """
    present = {name: method for name, method in methods.items() if not isinstance(method, Absent)}
    answers: dict[str, list[Answer]] = {name: [] for name in present}
    groups = [list(group) for _, group in _by_image(samples)]
    for number, group in enumerate(groups):
        try:
            image = group[0].image()
        except HpeError as error:
            for found in answers.values():
                found += [Answer(sample, reason=str(error)) for sample in group]
            continue
        camera = group[0].camera or CameraModel.from_hfov(image.shape[1], image.shape[0], hfov_deg)
        if change:
            image, camera, group = change(image, camera, group, number)
        for name, method in present.items():
            answers[name] += method.answers(image, camera, group)
        if progress:
            progress(number + 1, len(groups))
    return answers


def offsets_of(
    methods: Mapping[str, Method | Absent],
    samples: Sequence[Sample],
    hfov_deg: float,
    progress: Progress | None = None,
) -> dict[str, FrameOffset | None]:
    """dict name -> FrameOffset or None of every method, fitted on these Samples."""
    return {
        name: fitted_offset(found) for name, found in answers_of(methods, samples, hfov_deg, None, progress).items()
    }


def scored(
    methods: Mapping[str, Method | Absent],
    answers: Mapping[str, Sequence[Answer]],
    offsets: Mapping[str, FrameOffset | None] | None = None,
    without: Collection[str] = (),
) -> dict[str, ImageResult | Absent]:
    """dict name -> ImageResult or Absent in the order of `methods`, without the images of these names.

    answers: of answers_of; offsets: of offsets_of, from other images. Raises HpeError on a name that no image has.
    """
    offsets = offsets or {}
    results: dict[str, ImageResult | Absent] = {}
    for name, method in methods.items():
        if isinstance(method, Absent):
            results[name] = method
            continue
        unknown = set(without) - {a.sample.name for a in answers[name]}
        if unknown:
            raise HpeError(f"there is no image {', '.join(sorted(unknown))} to leave out")
        kept = [a for a in answers[name] if a.sample.name not in without]
        if kept and all(a.reason == NO_LANDMARKS for a in kept):
            results[name] = Absent(method.faces_from, NO_LANDMARKS)
            continue
        result = score(kept, offsets.get(name))
        result.summary["faces_from"] = method.faces_from
        results[name] = result
    return results
