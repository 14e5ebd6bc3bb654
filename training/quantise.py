"""INT8 for a shipped model: ranges from photographs, then what it gains and what it costs, on this machine.

    python -m training.quantise hpe_core/weights/head6dof.onnx --shards DIR [DIR ...] --out runs/head6dof_int8.onnx

Latency: both models in turn, one thread, ratio of medians. Cost: best face of every frame of the sample bag, the change
of its rotation and of its error against the truth in the bag; that is rendered, so judge the loss on photographs
with training.evaluate, too. --target tensorrt writes what `hpe engine build` takes.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from rosbags.highlevel import AnyReader

from hpe_core import backends, export_precision
from hpe_core.config import PipelineConfig, overridden
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.frames import head_from_face
from hpe_core.io.sources import open_source
from hpe_core.pipeline import Pipeline
from hpe_core.preprocess import letterbox
from training.shards import ShardSet

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_BAG = ROOT / "assets" / "sample_bag"
HFOV_DEG = 60.0  # of the sample bag's camera


def images_of_shards(folders, count, seed=0):
    """`count` images (H, W, 3) uint8 BGR drawn from training shards, each once."""
    shards = ShardSet(folders)
    for index in np.random.default_rng(seed).permutation(len(shards))[:count]:
        yield shards.read(index)[0]


def frames_of_bag(bag):
    """Pairs (stamp_ns, image (H, W, 3) uint8 BGR) of a bag's images."""
    with open_source(str(bag)) as source:
        return [(frame.stamp_ns, frame.image_bgr) for frame in source if frame.image_bgr is not None]


def inputs_of(images, input_shape):
    """The network's inputs (1, H, W, 3) uint8 of images of any size; input_shape (1, H, W, 3)."""
    return (letterbox(image, input_shape[2], input_shape[1])[0][None] for image in images)


def truth_of_bag(bag, topic="/truth/head_pose"):
    """dict stamp_ns -> R_camera_head (3, 3) of a bag whose topic holds REP-155 face frames."""
    truth = {}
    with AnyReader([Path(bag)]) as reader:
        connections = [c for c in reader.connections if c.topic == topic]
        for connection, _, data in reader.messages(connections):
            message = reader.deserialize(data, connection.msgtype)
            q, stamp = message.pose.orientation, message.header.stamp
            R_camera_face = so3.matrix_from_quat(np.array([q.x, q.y, q.z, q.w]))
            truth[stamp.sec * 10**9 + stamp.nanosec] = head_from_face(R_camera_face)
    return truth


def rotations(model_path, frames):
    """dict stamp_ns -> R_camera_head (3, 3) of the best face of each frame, unfiltered, on the CPU."""
    settings = {"estimator": {"model": str(model_path), "backend": "onnxruntime", "threads": 1}}
    pipeline = Pipeline(overridden(PipelineConfig(), settings))
    found = {}
    for stamp_ns, image in frames:
        pipeline.reset()
        camera = CameraModel.from_hfov(image.shape[1], image.shape[0], HFOV_DEG)
        faces = pipeline.process(image, camera, stamp_ns).faces
        if faces:
            found[stamp_ns] = max(faces, key=lambda face: face.score).pose.R_camera_head
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


def quantise(model, out, images, target, bag=SAMPLE_BAG, rounds=60, metrics=None):
    """Write `out` from images; returns the report (dict), which its card holds, too.

    The float model's metrics are not its own: the card has `metrics` (dict of training.evaluate) or none.
    """
    reference = backends.create("onnxruntime", model, threads=1)
    inputs = list(inputs_of(images, reference.input_shape))
    if not inputs:
        raise HpeError("no images to take ranges from")
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    card = export_precision.quantise(model, inputs, out, target) | {"metrics": metrics}
    report = {
        "from": Path(model).name,
        "target": target,
        "images": len(inputs),
        "mb": round(Path(out).stat().st_size / 1e6, 2),
    }
    report |= gain(model, out, inputs[0], rounds) | cost(model, out, bag)
    export_precision.write_card(out, card | {"quantisation": report})
    return report


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--out", required=True)
    images = p.add_mutually_exclusive_group(required=True)
    images.add_argument("--shards", nargs="+", help="folders of training shards")
    images.add_argument("--bag", help="a bag with images, for trying out")
    p.add_argument("--images", type=int, default=256)
    p.add_argument("--metrics", help="JSON that training.evaluate wrote for the same INT8 model, for its card")
    p.add_argument("--target", choices=export_precision.TARGETS, default="cpu")
    args = p.parse_args()
    if args.shards:
        chosen = images_of_shards(args.shards, args.images)
    else:
        chosen = [image for _, image in frames_of_bag(args.bag)][: args.images]
    try:
        metrics = json.loads(Path(args.metrics).read_text()) if args.metrics else None
        print(json.dumps(quantise(args.model, args.out, chosen, args.target, metrics=metrics), indent=1))
    except HpeError as error:
        raise SystemExit(f"quantise: error: {error}") from error


if __name__ == "__main__":
    main()
