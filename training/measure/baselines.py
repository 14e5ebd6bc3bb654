"""Other people's networks as methods of `hpe eval images` and training.measure.evaluate: the same images, the same run.

Every network looks at a square crop of one face and says how the head is turned in the camera of that crop. The faces
come from the labels (`true landmarks`, the crop that the networks were published with), from YuNet's boxes, and for
OpNet also from its own localizer. Where a
label lies in the camera's frame, the crop's rotation is carried there exactly, unless `as_published`.
A network whose weights or libraries are not here is an Absent, never left out.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.images.answers import NO_FACE, NO_LANDMARKS, OTHER_FACES, Answer, assigned, false_boxes
from hpe_core.evaluation.images.evaluate import Absent
from hpe_core.geometry.lookat import global_from_local, lookat_rotation
from training.measure import opnet
from training.measure.baseline_mediapipe import mediapipe_baseline

LANDMARKS, YUNET, LOCALIZER = "true landmarks", "YuNet", "OpNet's localizer"


@dataclass(frozen=True)
class Network:
    """Method of training.label.teachers.Teachers or of training.measure.opnet.OpNet, the files it needs, and its crop:
    side per larger side of a box around landmarks and of a detector's box, and how far below the middle of the latter
    it lies, in larger sides.

    From landmarks as published; from YuNet what agrees best with the consensus on LFW's test photos.
    """

    method: str
    files: tuple
    of_landmarks: float
    of_detector: float
    down: float = 0.0


NETWORKS = {
    "3DDFA_V2 mb05": Network("mb05", ("mb05_120x120.pth", "param_mean_std_62d_120x120.npz"), 1.25, 1.0, 0.1),
    "Lightweight b66": Network("b66", ("model-b66.pkl",), 1.4, 1.0),
    "FSA-Net": Network("fsanet", ("fsanet-1x1-iter-688590.onnx", "fsanet-var-iter-688590.onnx"), 1.8, 1.4),
}
# looks twice more, at its own box, so that the first crop hardly matters: as large as from landmarks as from YuNet
OPNET = {
    "OpNet": Network("single", (opnet.POSE, opnet.LOCALIZER), 1.7, 1.3),
    "OpNet, flip and crops": Network("averaged", (opnet.POSE, opnet.LOCALIZER), 1.7, 1.3),
}
DETECTOR_FILES = ("yunet_n_dynamic.onnx", "version-RFB-320.onnx")


class Baseline:
    """A network on faces from one source.

    estimate(images, centre (N, 2), side (N,)) -> R_local (N, 3, 3); detect(image) -> boxes (B, 4) x0, y0, x1, y1, or
    None: boxes from the labels; detector: its name; jitter: boxes are shifted and scaled by up to this share.
    """

    def __init__(self, network, estimate, detect=None, as_published=False, jitter=0.0, detector=YUNET):
        self.network, self._estimate, self.detect = network, estimate, detect
        self._as_published, self._jitter = as_published, jitter
        self._random = np.random.default_rng(0)
        self.faces_from = detector if detect else LANDMARKS

    def variant(self, **changes):
        """The same network and faces, `as_published` or with `jitter`."""
        return Baseline(self.network, self._estimate, self.detect, detector=self.faces_from, **changes)

    def answers(self, image, camera, samples):
        """List of Answer for the Samples of one image (H, W, 3) of `camera`."""
        if self.detect is None:
            return [
                Answer(sample, self._rotation(image, sample.box_px, camera, sample))
                if sample.box_px is not None and sample.of_landmarks
                else Answer(sample, reason=NO_LANDMARKS)
                for sample in samples
            ]
        boxes, out = self.detect(image), []
        for i, (sample, index) in enumerate(zip(samples, assigned(boxes, samples, camera), strict=True)):
            false = false_boxes(boxes, sample) if i == 0 else 0 if sample.others_px is not None else None
            if index is None:
                out.append(Answer(sample, reason=OTHER_FACES if len(boxes) else NO_FACE, false=false))
            else:
                out.append(Answer(sample, self._rotation(image, boxes[index], camera, sample), false=false))
        return out

    def crop(self, box_px):
        """Centre (2,) and side of the crop for a box (4,)."""
        side, centre = float(np.max(box_px[2:] - box_px[:2])), 0.5 * (box_px[:2] + box_px[2:])
        factor = self.network.of_landmarks
        if self.detect is not None:
            factor, centre = self.network.of_detector, centre + [0.0, self.network.down * side]
        shift = self._jitter * self._random.uniform(-1.0, 1.0, 3)
        return centre + side * shift[:2], side * factor * (1.0 + shift[2])

    def rotation(self, image, box_px):
        """R_local (3, 3) of the face in a box (4,)."""
        return self._in_crop(image, *self.crop(box_px))

    def _in_crop(self, image, centre, side):
        return self._estimate([image], centre[None], np.array([side]))[0]

    def _rotation(self, image, box_px, camera, sample):
        """R (3, 3) as the Sample's label has it."""
        centre, side = self.crop(box_px)
        R, ray = self._in_crop(image, centre, side), camera.rays(centre)
        if self._as_published:  # the crop's camera is taken for the image's
            return lookat_rotation(ray) @ R if sample.local else R
        return R if sample.local else global_from_local(R, ray, 1.0)[0]


def baselines(weights):
    """dict name -> Baseline or Absent: every network with faces from the labels and from a detector, and MediaPipe."""
    nets, made = _Nets(Path(weights)), {}
    for source, networks in ((LANDMARKS, NETWORKS | OPNET), (YUNET, NETWORKS | OPNET), (LOCALIZER, OPNET)):
        for name, network in networks.items():
            try:
                made[f"{name}, {source}"] = nets.baseline(network, source)
            except ImportError as error:
                made[f"{name}, {source}"] = Absent(source, f"{error.name} is not installed")
            except HpeError as error:
                made[f"{name}, {source}"] = Absent(source, str(error))
            except Exception as error:  # torch, onnx and pickle each have their own
                reason = f"cannot be loaded: {' '.join(str(error).split())}"
                made[f"{name}, {source}"] = Absent(source, reason)
    return made | {"MediaPipe mesh": mediapipe_baseline()}


class _Nets:
    """The networks and detectors of a folder of weights, each loaded when it is first used."""

    def __init__(self, weights):
        self._weights = weights

    @cached_property
    def _teachers(self):
        from training.label.teachers import Teachers

        return Teachers(self._weights, threads=1)

    @cached_property
    def _opnet(self):
        return opnet.OpNet(self._weights)

    @cached_property
    def _yunet(self):
        return _detector(self._weights)

    def baseline(self, network, source):
        """Baseline of a Network. Raises ImportError, HpeError for a file that is not here, or what a loader raises."""
        teachers = None if network in OPNET.values() else self._teachers
        needed = (*network.files, *(DETECTOR_FILES if source == YUNET else ()))
        missing = [file for file in needed if not (self._weights / file).is_file()]
        if missing:
            raise HpeError(f"no {', '.join(missing)} in {self._weights}")
        detect = {LANDMARKS: lambda: None, YUNET: lambda: self._yunet, LOCALIZER: lambda: self._opnet.boxes}[source]()
        estimate = getattr(self._opnet, network.method) if teachers is None else _of_teachers(teachers, network)
        return Baseline(network, estimate, detect, detector=source)


def _of_teachers(teachers, network):
    getattr(teachers, f"net_{network.method}")
    method = getattr(teachers, network.method)
    return (lambda *crops: method(*crops).R) if network.method == "mb05" else method


def _detector(weights):
    from training.label.detect import SURE, Detector

    detector = Detector(weights)

    def boxes(image):
        found = detector.yunet(image)
        found = found[found[:, 14] > SURE, :4]
        return np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], 1) - 0.5

    return _OnceAnImage(boxes)


class _OnceAnImage:
    """A function of an image that remembers its last answer: several baselines share one detector."""

    def __init__(self, function):
        self._function, self._image, self._answer = function, None, None

    def __call__(self, image):
        if image is not self._image:
            self._image, self._answer = image, self._function(image)
        return self._answer
