"""Several methods on the same labelled images in one run, every labelled face accounted for by each of them."""

from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from hpe_core import registry
from hpe_core.catalogue import METHODS
from hpe_core.config import PipelineConfig, overridden
from hpe_core.errors import HpeError
from hpe_core.evaluation.images.answers import Answer, pipeline_answers
from hpe_core.evaluation.images.scores import fitted_offset, score
from hpe_core.geometry.camera import CameraModel

# what a dataset's folder holds -> its reader in hpe_core.evaluation.datasets
MARKS = {
    "labels_csv": ("labels.csv",),
    "shards": ("shard_*.npz",),
    "aflw2000": ("*.mat",),
    "biwi": ("[0-9][0-9]/rgb.cal",),
    "w300lp": ("AFW*/*.mat", "HELEN*/*.mat", "IBUG*/*.mat", "LFPW*/*.mat"),
}
# our methods: what `--model` takes; one that is not shipped (yet) is listed as absent
OURS = (*METHODS, *sorted({method.detector for method in METHODS.values()}))
OWN_DETECTION = "own detection"


@dataclass(frozen=True)
class Absent:
    """A method that cannot run here, and why. A method has `faces_from`, which says where its faces come from, and
    `answers(image, camera, samples)`: a list of Answer for the Samples of one image."""

    faces_from: str
    reason: str


class Ours:
    """A Pipeline on single images: it finds the faces itself."""

    faces_from = OWN_DETECTION

    def __init__(self, config):
        from hpe_core.pipeline import Pipeline

        self.pipeline = Pipeline(config)

    def answers(self, image, camera, samples):
        """List of Answer for the Samples of one image (H, W, 3) of `camera`."""
        return pipeline_answers(self.pipeline, image, camera, samples)


def our_methods(models=(), base=None):
    """dict name -> method: those of OURS, or one for each of `models` (as `hpe run --model`); base: PipelineConfig.

    One of OURS that cannot run is an Absent; a model that was asked for raises HpeError.
    """
    base, made = base or PipelineConfig(), {}
    for model in models or OURS:
        name = model if short_name(model) in made else short_name(model)
        try:
            made[name] = Ours(with_model(base, model))
        except HpeError as error:
            if models:
                raise
            made[name] = Absent(OWN_DETECTION, str(error))
    return made


def with_model(config, model):
    """The PipelineConfig with another model."""
    return overridden(config, {"estimator": {"model": model}})


def short_name(model):
    """What a model is called in tables: files without folder and suffix."""
    return "+".join(Path(part).stem for part in model.split("+"))


def labelled_images(folder, limit=None):
    """List of Sample of the labelled images in a folder of any known kind, of the first `limit` images only.

    Raises HpeError when the folder holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise HpeError(f"{folder} is not a folder")
    kinds = [kind for kind, marks in MARKS.items() if any(any(folder.glob(mark)) for mark in marks)]
    if not kinds:
        known = "labels.csv, shard_*.npz, AFLW2000-3D, 300W-LP or BIWI"
        raise HpeError(f"{folder} holds no labelled images that are known here: {known}")
    images = _by_image(registry.load("hpe_core.evaluation.datasets", kinds[0]).samples(folder))
    return [sample for _, group in islice(images, limit) for sample in group]


def _by_image(samples):
    return groupby(samples, key=lambda sample: sample.image_id or sample.name)


def answers_of(methods, samples, hfov_deg, change=None, progress=None):
    """dict name -> list of Answer, one per Sample, of the methods (dict) that are not Absent.

    change(image, camera, samples, number): the same, changed, for the image of this number; a changed Sample is what
    the methods are measured against.
    """
    methods = {name: method for name, method in methods.items() if not isinstance(method, Absent)}
    answers = {name: [] for name in methods}
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
        for name, method in methods.items():
            answers[name] += method.answers(image, camera, group)
        if progress:
            progress(number + 1, len(groups))
    return answers


def offsets_of(methods, samples, hfov_deg, progress=None):
    """dict name -> FrameOffset or None of every method, fitted on these Samples."""
    return {
        name: fitted_offset(found) for name, found in answers_of(methods, samples, hfov_deg, None, progress).items()
    }


def scored(methods, answers, offsets=None, without=()):
    """dict name -> ImageResult or Absent in the order of `methods`, without the images of these names.

    answers: of answers_of; offsets: of offsets_of, from other images. Raises HpeError on a name that no image has.
    """
    offsets, results = offsets or {}, {}
    for name, method in methods.items():
        if isinstance(method, Absent):
            results[name] = method
            continue
        unknown = set(without) - {a.sample.name for a in answers[name]}
        if unknown:
            raise HpeError(f"there is no image {', '.join(sorted(unknown))} to leave out")
        kept = [a for a in answers[name] if a.sample.name not in without]
        results[name] = score(kept, offsets.get(name))
        results[name].summary["faces_from"] = method.faces_from
    return results
