"""Other people's pipelines as bench.latency times them, and what each does with a frame beside ours."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from hpe_core.errors import HpeError

WIDTH, HEIGHT = 640, 480  # of every frame
# what a pipeline does: newcomers, landmarks, translation, covariance
FUNCTION = {
    "YuNet 640 + FSA-Net": ("every frame", "5, of the detector", "no", "no"),
    "YuNet 320 + FSA-Net": ("every frame, at half size", "5, of the detector", "no", "no"),
    "RFB-320 + 3DDFA_V2": ("every frame, at half size", "no (its face model is left out)", "in the image plane", "no"),
    "OpNet loop": ("never while its one head is followed", "no", "from the size of the head", "rotation, position"),
    "OpNet localizer every frame": (
        "every frame, one head at most",
        "no",
        "from the size of the head",
        "rotation, position",
    ),
    "MediaPipe video": ("only while fewer faces than asked for are tracked", "468, with depth", "no", "no"),
    "MediaPipe static": ("every frame", "468, with depth", "no", "no"),
}


def session(model: bytes | Path, threads: int) -> ort.InferenceSession:
    """A network of a file, or of the bytes of one, on the CPU. Raises HpeError for a file that is not there."""
    if isinstance(model, Path) and not model.is_file():
        raise HpeError(f"no {model}")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    return ort.InferenceSession(model if isinstance(model, bytes) else str(model), options, ["CPUExecutionProvider"])


def outputs_of(net: ort.InferenceSession, tensor: np.ndarray) -> list[np.ndarray]:
    """All outputs of a network with one input."""
    return [np.asarray(output) for output in net.run(None, {net.get_inputs()[0].name: tensor})]


def square_crop(image, box, factor, size):
    """Square crop around a box x0, y0, x1, y1, replicated at the border, size x size."""
    centre, side = (box[:2] + box[2:]) / 2.0, factor * max(box[2:] - box[:2])
    k = size / side
    M = np.array([[k, 0, size / 2 - k * centre[0]], [0, k, size / 2 - k * centre[1]]])
    return cv2.warpAffine(image, M, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


class Baseline:
    def forget(self):
        """A baseline tracks nothing."""


class YuNetFsa(Baseline):
    def __init__(self, weights, threads, shrink):
        self.size = (WIDTH // shrink, HEIGHT // shrink)
        self.shrink = shrink
        if not (weights / "yunet_n_dynamic.onnx").is_file():
            raise HpeError(f"no {weights / 'yunet_n_dynamic.onnx'}")
        self.detector = cv2.FaceDetectorYN.create(str(weights / "yunet_n_dynamic.onnx"), "", self.size, 0.6)
        names = ("fsanet-1x1-iter-688590.onnx", "fsanet-var-iter-688590.onnx")
        self.nets = [session(weights / name, threads) for name in names]

    def run(self, frame):
        start = time.perf_counter()
        image = frame if self.shrink == 1 else cv2.resize(frame, self.size)
        _, found = self.detector.detect(image)
        detected = time.perf_counter()
        boxes = [] if found is None else [np.array([*f[:2], *(f[:2] + f[2:4])]) * self.shrink for f in found]
        for box in boxes:
            crop = square_crop(frame, box, 1.2, 64).astype(np.float32)
            tensor = ((crop - 127.5) / 128.0).transpose(2, 0, 1)[None]
            np.mean([outputs_of(net, tensor)[0] for net in self.nets], 0)
        return len(boxes), {"detection": detected - start, "pose": time.perf_counter() - detected}


class Rfb3ddfa(Baseline):
    def __init__(self, weights, threads):
        from training.label.teachers import Teachers

        self.detector = session(weights / "version-RFB-320.onnx", threads)
        teachers = Teachers(weights, threads)
        self.net, self.mean, self.std = teachers.net_mb05, teachers.mean, teachers.std

    def run(self, frame):
        start = time.perf_counter()
        rgb = cv2.cvtColor(cv2.resize(frame, (320, 240)), cv2.COLOR_BGR2RGB)
        tensor = ((rgb.astype(np.float32) - 127.0) / 128.0).transpose(2, 0, 1)[None]
        scores, boxes = outputs_of(self.detector, tensor)
        keep = scores[0, :, 1] > 0.7
        xyxy = boxes[0, keep] * [WIDTH, HEIGHT, WIDTH, HEIGHT]
        xywh = np.column_stack([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]])
        chosen = np.ravel(cv2.dnn.NMSBoxes(xywh.tolist(), scores[0, keep, 1].tolist(), 0.7, 0.3)).astype(int)
        detected = time.perf_counter()
        for i in chosen:
            crop = square_crop(frame, xyxy[i], 1.25, 120).astype(np.float32)
            tensor = ((crop - 127.5) / 128.0).transpose(2, 0, 1)[None]
            params = outputs_of(self.net, tensor)[0][0, :12] * self.std + self.mean
            np.linalg.svd(params.reshape(3, 4)[:, :3])
        return len(chosen), {"detection": detected - start, "pose": time.perf_counter() - detected}


class OpNetLoop(Baseline):
    """opentrack's tracker; one head only, so that it is measured on one face alone."""

    def __init__(self, weights: Path, threads: int, localizer_every_frame: bool) -> None:
        from training.measure.opnet import OpNet, Tracker

        self._tracker = Tracker(OpNet(weights, threads), localizer_every_frame)

    def run(self, frame: np.ndarray) -> tuple[int, dict[str, float]]:
        """Faces found and seconds per stage of the next frame."""
        start = time.perf_counter()
        head = self._tracker.head(frame)
        return int(head is not None), {
            "localized" if self._tracker.localized else "followed": time.perf_counter() - start
        }

    def forget(self) -> None:
        """The next frames are another scene."""
        self._tracker.forget()


class MediaPipe(Baseline):
    """The face mesh in its own process. `total` is the time that it took there: frames come in shared memory, which a
    program that embeds it does not need."""

    def __init__(self, threads: int, video: bool, faces: int) -> None:
        from training.measure.mediapipe_process import MediaPipeProcess

        self._mesh = MediaPipeProcess(video, faces, cores=threads)

    def run(self, frame: np.ndarray) -> tuple[int, dict[str, float]]:
        """Faces found and seconds per stage of the next frame."""
        start = time.perf_counter()
        points, own_s = self._mesh.points(frame)
        return len(points), {"handing over": time.perf_counter() - start - own_s, "total": own_s}


def makers(weights: Path, threads: int, faces: int) -> dict[str, Callable[[], Baseline]]:
    """dict name -> function that makes the pipeline for frames of so many faces, or raises ImportError or HpeError."""
    made: dict[str, Callable[[], Baseline]] = {
        "YuNet 640 + FSA-Net": lambda: YuNetFsa(weights, threads, 1),
        "YuNet 320 + FSA-Net": lambda: YuNetFsa(weights, threads, 2),
        "RFB-320 + 3DDFA_V2": lambda: Rfb3ddfa(weights, threads),
        "MediaPipe video": lambda: MediaPipe(threads, True, faces),
        "MediaPipe static": lambda: MediaPipe(threads, False, faces),
    }
    if faces == 1:
        made["OpNet loop"] = lambda: OpNetLoop(weights, threads, False)
        made["OpNet localizer every frame"] = lambda: OpNetLoop(weights, threads, True)
    return made
