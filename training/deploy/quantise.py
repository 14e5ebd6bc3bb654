"""INT8 for a shipped model: ranges from photographs, then what it gains and what it costs, on this machine.

    python -m training.deploy.quantise hpe_core/weights/head6dof.onnx \\
        --shards DIR [DIR ...] --out runs/head6dof_int8.onnx
    python -m training.deploy.quantise hpe_core/weights/crop6dof.onnx \\
        --crops FILE.npz [FILE.npz ...] --out crop6dof_int8.onnx

Latency: both models in turn, one thread, ratio of medians. Cost: best face of every frame of the sample bag, the change
of its rotation and of its error against the truth in the bag; that is rendered, so judge the loss on photographs
with training.measure.evaluate. A crop network's cost is also measured on crops that gave no ranges, against labels.
--target tensorrt writes what `hpe engine build` takes.
"""

import argparse
import json
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.highlevel import AnyReader

from hpe_core import backends, catalogue
from hpe_core.config import EstimatorConfig, TrackerConfig
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.frames import head_from_face
from hpe_core.inference import Backend
from hpe_core.io.sources import open_source
from hpe_core.network_card import CROP
from hpe_core.networks.network import crop_network, whole_image_network
from hpe_core.pipeline.estimator import Estimator
from hpe_core.pipeline.refine import Refiner
from hpe_core.pixels.canvas import letterbox
from hpe_core.rotations.source import CropRotation
from training.data.crops import STORE_M, STORE_PX
from training.data.scenes import similarity
from training.data.shards import ShardSet
from training.deploy import int8
from training.deploy.model_file import write_card

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_BAG = ROOT / "assets" / "sample_bag"
HFOV_DEG = 60.0  # of the sample bag's camera
DETECTOR = "head6dof"  # finds the faces that a crop network is measured on
HELD_OUT = 512  # crops that no ranges are taken from
SEVERAL = 8  # crops per call in the second measurement of a crop network's latency


def images_of_shards(folders: Sequence[str | Path], count: int, seed: int = 0) -> Iterator:
    """`count` images (H, W, 3) uint8 BGR drawn from training shards, each once."""
    shards = ShardSet(folders)
    for index in np.random.default_rng(seed).permutation(len(shards))[:count]:
        yield shards.read(index)[0]


def crops_of_files(paths: Sequence[str | Path], count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`count` stored crops (192, 192, 3) uint8 BGR of training.data.crops, evenly from its files, and their labels.

    Returns crops (N, ...), R_local (N, 3, 3), weight (N,). Files of gigabytes are read in passing, not into memory.
    """
    rng, crops, labels = np.random.default_rng(seed), [], []
    for number, path in enumerate(paths):
        share = count * (number + 1) // len(paths) - count * number // len(paths)
        with np.load(path) as arrays:
            R_local, weight = arrays["R_local"], arrays["weight"]
        chosen = np.sort(rng.permutation(len(weight))[:share])
        crops += rows_of_npz(path, "crops", chosen)
        labels += [(R_local[i], weight[i]) for i in chosen]
    order = rng.permutation(len(crops))
    R_local, weight = (np.array([label[k] for label in labels])[order] for k in (0, 1))
    return np.array(crops)[order], R_local, weight


def rows_of_npz(path: str | Path, key: str, indices: Iterable[int]) -> list[np.ndarray]:
    """Rows of one uncompressed array of an .npz at ascending indices."""
    found = []
    with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start, size = file.tell(), dtype.itemsize * int(np.prod(shape[1:]))
        for index in indices:
            file.seek(start + int(index) * size)
            found.append(np.frombuffer(file.read(size), dtype).reshape(shape[1:]))
    return found


def views_of_crops(crops: np.ndarray, side: int, crop_m: float, shift_m: float = 0.012, seed: int = 0) -> np.ndarray:
    """The network's inputs (N, side, side, 3) uint8 from stored crops, as wide and as far off the middle as in use."""
    rng = np.random.default_rng(seed)
    px = side / crop_m
    views = []
    for crop in crops:
        shift = np.clip(rng.normal(0.0, shift_m, 2), -0.05, 0.05)
        M = similarity(px * STORE_M / STORE_PX, 0.0, 2 * [(STORE_PX - 1) / 2], (side - 1) / 2 + shift * px)
        views.append(cv2.warpAffine(crop, M, (side, side), borderMode=cv2.BORDER_REPLICATE))
    return np.array(views)


def frames_of_bag(bag: str | Path) -> list[tuple[int, np.ndarray]]:
    """Pairs (stamp_ns, image (H, W, 3) uint8 BGR) of a bag's images."""
    with open_source(str(bag)) as source:
        return [(frame.stamp_ns, frame.image_bgr) for frame in source if frame.image_bgr is not None]


def inputs_of(images: Iterable[np.ndarray], input_shape: Sequence[Any]) -> Iterator[np.ndarray]:
    """The network's inputs (H, W, 3) uint8 of images of any size; input_shape (1, H, W, 3)."""
    return (letterbox(image, input_shape[2], input_shape[1])[0] for image in images)


def truth_of_bag(bag: str | Path, topic: str = "/truth/head_pose") -> dict[int, np.ndarray]:
    """stamp_ns -> R_camera_head (3, 3) of a bag whose topic holds REP-155 face frames."""
    truth = {}
    with AnyReader([Path(bag)]) as reader:
        connections = [c for c in reader.connections if c.topic == topic]
        for connection, _, data in reader.messages(connections):
            message: Any = reader.deserialize(data, connection.msgtype)
            q, stamp = message.pose.orientation, message.header.stamp
            R_camera_face = so3.matrix_from_quat(np.array([q.x, q.y, q.z, q.w]))
            truth[stamp.sec * 10**9 + stamp.nanosec] = head_from_face(R_camera_face)
    return truth


def estimator_of(model_path):
    """Estimator of a whole-image network, or of a crop network behind DETECTOR, on one thread of the CPU."""
    return estimator_on(backends.create("onnxruntime", model_path, threads=1))


def estimator_on(backend):
    """The same of a loaded Backend."""
    refiner = None
    if takes_crops(backend):
        refiner = Refiner(crop_network(backend), CropRotation())
        backend = backends.create("onnxruntime", catalogue.path_of(DETECTOR), threads=1)
    return Estimator(whole_image_network(backend), EstimatorConfig(), refiner)


class Recorder:
    """A Backend that keeps what it is asked: `asked`, a list of inputs (H, W, 3)."""

    def __init__(self, backend):
        self._backend, self.asked = backend, []

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def run(self, array):
        self.asked += list(array)
        return self._backend.run(array)


def crops_of_images(backend: Backend, images: Iterable[np.ndarray]) -> list[np.ndarray]:
    """What a crop network is shown of the faces in images (H, W, 3) uint8: crops (side, side, 3) uint8."""
    recorder = Recorder(backend)
    estimator = estimator_on(recorder)
    for image in images:
        estimator.estimate(image, CameraModel.from_hfov(image.shape[1], image.shape[0], HFOV_DEG))
    return recorder.asked


def takes_crops(backend):
    """Whether the model's input are face crops instead of whole images."""
    return backend.card.kind == CROP


def rotations(model_path, frames):
    """dict stamp_ns -> R_camera_head (3, 3) of the best face of each frame, unfiltered; its score starts a track."""
    estimator, found = estimator_of(model_path), {}
    for stamp_ns, image in frames:
        camera = CameraModel.from_hfov(image.shape[1], image.shape[0], HFOV_DEG)
        faces = estimator.estimate(image, camera).faces
        if faces and faces[0].score >= TrackerConfig().new_face_score:
            found[stamp_ns] = faces[0].pose.R_camera_head
    return found


def angles_deg(a, b):
    """Angles (N,) in degrees between the rotations that two dicts have under the same keys."""
    both = [key for key in a if key in b]
    return np.degrees([float(so3.geodesic_angle(a[key], b[key])) for key in both])


def cost(reference, other, bag):
    """What `other` (path) changes against `reference` (path) on a bag with truth, in degrees."""
    frames, truth = frames_of_bag(bag), truth_of_bag(bag)
    full, fast = rotations(reference, frames), rotations(other, frames)
    change = angles_deg(full, fast)
    return {
        "frames": len(frames),
        "found_before": len(full),
        "found_after": len(fast),
        "change_deg_median": round(float(np.median(change)), 3),
        "change_deg_p95": round(float(np.percentile(change, 95)), 3),
        "error_before_deg_mean": round(float(angles_deg(full, truth).mean()), 3),
        "error_after_deg_mean": round(float(angles_deg(fast, truth).mean()), 3),
    }


def cost_on_crops(reference, other, views, R_local, weight):
    """What `other` (path) changes against `reference` (path) on crops (N, S, S, 3) with labels, in degrees."""
    made = [backends.create("onnxruntime", path, threads=1) for path in (reference, other)]
    sixd = slice(*made[0].card.columns["sixd"])
    before, after = (
        so3.matrix_from_sixd(np.concatenate([backend.run(view[None])[:, sixd] for view in views])) for backend in made
    )
    change, known = np.degrees(so3.geodesic_angle(before, after)), weight > 0
    errors = [np.degrees(so3.geodesic_angle(R[known], R_local[known])) for R in (before, after)]
    return {
        "crops": len(views),
        "crops_change_deg_median": round(float(np.median(change)), 3),
        "crops_change_deg_p95": round(float(np.percentile(change, 95)), 3),
        "crops_error_before_deg_mean": round(float(errors[0].mean()), 3),
        "crops_error_after_deg_mean": round(float(errors[1].mean()), 3),
    }


def gain(reference, other, image, rounds):
    """Latency of both models on one input, taken in turn with one thread: medians in ms and their ratio."""
    made = [backends.create("onnxruntime", path, threads=1) for path in (reference, other)]
    times = np.empty((rounds + 5, 2))
    for i in range(len(times)):
        for j, backend in enumerate(made):
            start = time.perf_counter()
            backend.run(image)
            times[i, j] = time.perf_counter() - start
    before, after = (1e3 * np.median(times[5:], 0)).tolist()
    return {
        "latency_before_ms": round(before, 3),
        "latency_after_ms": round(after, 3),
        "latency_ratio": round(after / before, 3),
    }


def quantise(model, out, inputs, target, bag=SAMPLE_BAG, rounds=60, metrics=None, held_out=None, in_float=()):
    """Write `out` with ranges from inputs (N, H, W, 3) uint8; returns the report (dict), which its card holds, too.

    held_out: of a crop network, crops with their labels (crops, R_local, weight) that its cost is measured on.
    The float model's metrics are not its own: the card has `metrics` (dict of training.measure.evaluate) or none.
    """
    inputs = [image[None] for image in inputs]
    if not inputs:
        raise HpeError("no images to take ranges from")
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    card = int8.quantise(model, inputs, out, target, in_float) | {"metrics": metrics}
    report = {
        "from": Path(model).name,
        "target": target,
        "images": len(inputs),
        "mb": round(Path(out).stat().st_size / 1e6, 2),
    }
    report |= gain(model, out, inputs[0], rounds) | cost(model, out, bag)
    if held_out is not None:
        several = gain(model, out, np.concatenate(inputs[:SEVERAL]), rounds)
        report |= {f"{name}_{SEVERAL}_crops": value for name, value in several.items()}
        report |= cost_on_crops(model, out, *held_out)
    write_card(out, card | {"quantisation": report})
    return report


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--out", required=True)
    images = p.add_mutually_exclusive_group(required=True)
    images.add_argument("--shards", nargs="+", help="folders of training shards")
    images.add_argument("--crops", nargs="+", help="files of training.data.crops, for a network that takes crops")
    images.add_argument("--bag", help="a bag with images, for trying out")
    p.add_argument("--images", type=int, default=256, help="images, or crops, that ranges are taken from")
    p.add_argument("--metrics", help="JSON that training.measure.evaluate wrote for the same INT8 model, for its card")
    p.add_argument(
        "--in-float", nargs="+", default=[], help="layers, by how the names of their weights begin, left as they are"
    )
    p.add_argument("--target", choices=int8.TARGETS, default="cpu")
    args = p.parse_args()
    try:
        reference = backends.create("onnxruntime", args.model, threads=1)
        if takes_crops(reference) != bool(args.crops):
            raise HpeError(f"{args.model} takes {'crops: use --crops' if takes_crops(reference) else 'whole images'}")
        held_out = None
        if args.crops:
            crops, R_local, weight = crops_of_files(args.crops, args.images + HELD_OUT)
            views = views_of_crops(crops, reference.input_shape[1], reference.card.crop_m)
            chosen, held_out = (
                views[: args.images],
                (views[args.images :], R_local[args.images :], weight[args.images :]),
            )
        elif args.shards:
            chosen = inputs_of(images_of_shards(args.shards, args.images), reference.input_shape)
        else:
            chosen = inputs_of([image for _, image in frames_of_bag(args.bag)][: args.images], reference.input_shape)
        metrics = json.loads(Path(args.metrics).read_text()) if args.metrics else None
        report = quantise(
            args.model, args.out, chosen, args.target, metrics=metrics, held_out=held_out, in_float=args.in_float
        )
        print(json.dumps(report, indent=1))
    except HpeError as error:
        raise SystemExit(f"quantise: error: {error}") from error


if __name__ == "__main__":
    main()
