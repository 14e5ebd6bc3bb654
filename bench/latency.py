"""Latency of this project and of baseline pipelines on the same frames in the same run, as ratios.

    python -m bench.latency [--data ../shared/data] [--frames 60] [--threads 1 2] [--no-append]

Frames are 640x480, made from the sample bag, at 30 Hz: one face, or four or eight copies on a grid. Pipelines take
turns of twelve frames, so that a busy moment hits all of them. Ours: the whole-image network, the fusion with the crop
network, both also in INT8, and the fusion with full-frame detection on every frame; by default that is one frame
in six while all faces are tracked, so means count, not medians. Baselines: YuNet (OpenCV) at full and at half size,
then FSA-Net (two nets, averaged); RFB-320, then 3DDFA_V2 mb05 (exported to ONNX here; needs torch). A baseline whose
weights are absent is left out and named. Rows are appended to bench/results.csv: medians, 95th percentiles and means in
milliseconds, the ratio of means (rows without a mean: of medians, full-frame detection on every frame). Start-up (a new
process from before its imports to the first pose) and the memory of that process after 100 frames go to
bench/results_start.csv.
"""

import argparse
import json
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from bench.rows import ROOT, append, commit
from hpe_core import config as cfg
from hpe_core.backends.tensorrt import parity
from hpe_core.cli.bench import cpu_name
from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.pipeline import Pipeline

OURS = "hpe_ros"
RESULTS = ROOT / "bench" / "results.csv"
WIDTH, HEIGHT = 640, 480
STARTS = ROOT / "bench" / "results_start.csv"
METHODS = {  # of ours
    OURS: "head6dof",
    f"{OURS} int8": "head6dof_int8",
    f"{OURS} fusion": "fusion",
    f"{OURS} fusion int8": "fusion_int8",
}
EVERY_FRAME = " every frame"
START_RUNS = 5
START = """
import json, resource, sys, time
start = time.perf_counter()
import cv2
from hpe_core.config import EstimatorConfig, PipelineConfig
from hpe_core.geometry.camera import CameraModel
from hpe_core.pipeline import Pipeline
cv2.setNumThreads(1)
pipeline = Pipeline(PipelineConfig(EstimatorConfig(model=sys.argv[1], backend="onnxruntime")))
image = cv2.resize(cv2.imread(sys.argv[2]), (640, 480))
camera = CameraModel.from_hfov(640, 480, 60.0)
pipeline.process(image, camera, 0)
first_s, cpu_s = time.perf_counter() - start, time.process_time()
for stamp_ns in range(1, 101):
    pipeline.process(image, camera, 30_000_000 * stamp_ns)
pages = int(open("/proc/self/statm").read().split()[1])
print(json.dumps([first_s, cpu_s, pages * resource.getpagesize() / 1e6]))
"""
BLOCK, WARM_UP = 12, 4  # in turns: long enough that another pipeline's threads and caches are gone
GRIDS = {1: (1, 1), 4: (2, 2), 8: (4, 2)}


def sample_frames(count):
    """WARM_UP and `count` frames (480, 640, 3) of the sample bag."""
    from hpe_core.io.sources import open_source

    with open_source(str(ROOT / "assets" / "sample_bag")) as source:
        frames = [frame.image_bgr for frame in source if frame.image_bgr is not None]
    return frames[: count + WARM_UP]


def with_faces(frame, faces):
    """The frame shrunk and repeated on a grid, so that it shows 1, 4 or 8 faces."""
    columns, rows = GRIDS[faces]
    scale = max(1.0 / columns, 1.0 / rows)
    side = (WIDTH // columns, HEIGHT // rows)
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    y, x = (small.shape[0] - side[1]) // 2, (small.shape[1] - side[0]) // 2
    return np.ascontiguousarray(np.tile(small[y : y + side[1], x : x + side[0]], (rows, columns, 1)))


def session(model: bytes | Path, threads: int) -> ort.InferenceSession:
    """A network of a file, or of the bytes of one, on the CPU."""
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


class Ours:
    def __init__(self, model, threads, **options):
        options = cfg.EstimatorConfig(model=model, threads=threads, **options)
        self.pipeline = Pipeline(cfg.PipelineConfig(estimator=options))
        self.camera, self.stamp_ns = CameraModel.from_hfov(WIDTH, HEIGHT, 60.0), 0

    def run(self, frame):
        self.stamp_ns += 33_333_333
        result = self.pipeline.process(frame, self.camera, self.stamp_ns)
        return len(result.faces), result.stage_s

    def forget(self):
        """The next frames are another scene."""
        self.pipeline.reset()


class Peer:
    def forget(self):
        """A baseline tracks nothing."""


class YuNetFsa(Peer):
    def __init__(self, weights, threads, shrink):
        self.size = (WIDTH // shrink, HEIGHT // shrink)
        self.shrink = shrink
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


class Rfb3ddfa(Peer):
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


def pipelines(data, threads):
    """Name -> pipeline; a baseline that cannot run here is named and left out."""
    weights = data / "weights"
    makers = {
        **{name: lambda model=model: Ours(model, threads) for name, model in METHODS.items()},
        f"{OURS} fusion{EVERY_FRAME}": lambda: Ours("fusion", threads, detection_interval_s=0.0),
        "YuNet 640 + FSA-Net": lambda: YuNetFsa(weights, threads, 1),
        "YuNet 320 + FSA-Net": lambda: YuNetFsa(weights, threads, 2),
        "RFB-320 + 3DDFA_V2": lambda: Rfb3ddfa(weights, threads),
    }
    made = {}
    for name, make in makers.items():
        if not name.startswith(OURS) and not weights.is_dir():
            print(f"left out: {name} (no weights in {weights})")
            continue
        try:
            made[name] = make()
        except (ImportError, HpeError) as error:
            print(f"left out: {name} ({error})")
    return made


def measure(made, frames):
    """Rows: dict(pipeline, stage, p50_ms, p95_ms, mean_ms, faces_found); in turns of WARM_UP and BLOCK frames.

    A stage that some frames do without counts as 0 there.
    """
    times, found = {name: [] for name in made}, {name: [] for name in made}
    for pipeline in made.values():
        pipeline.forget()
    for first in range(0, len(frames) - WARM_UP, BLOCK):
        for name, pipeline in made.items():
            for number, frame in enumerate(frames[first : first + WARM_UP + BLOCK]):
                start = time.perf_counter()
                faces, stages = pipeline.run(frame)
                total = time.perf_counter() - start
                if number >= WARM_UP:
                    times[name].append(stages | {"total": total})
                    found[name].append(faces)
    rows = []
    for name, measured in times.items():
        for stage in dict.fromkeys(stage for stages in measured for stage in stages):
            ms = 1e3 * np.array([stages.get(stage, 0.0) for stages in measured])
            rows.append(
                {
                    "pipeline": name,
                    "stage": stage,
                    "p50_ms": round(float(np.median(ms)), 3),
                    "p95_ms": round(float(np.percentile(ms, 95)), 3),
                    "mean_ms": round(float(np.mean(ms)), 3),
                    "faces_found": round(float(np.mean(found[name])), 2),
                }
            )
    return rows


def start_up(model):
    """Medians over START_RUNS new processes: seconds to the first pose (wall, CPU), then MB of memory in use."""
    image = parity.FRAMES / "0.jpg"
    runs = []
    for _ in range(START_RUNS):
        command = [sys.executable, "-c", START, model, str(image)]
        runs.append(json.loads(subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout))
    wall_s, cpu_s, memory_mb = np.median(runs, 0)
    return {"start_up_s": round(wall_s, 2), "start_up_cpu_s": round(cpu_s, 2), "memory_mb": round(memory_mb, 1)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    p.add_argument("--frames", type=int, default=60)
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--also", metavar="MODEL", nargs="*", default=[], help="more of ours, e.g. head6dof+crops.onnx")
    p.add_argument("--no-append", action="store_true")
    args = p.parse_args()
    frames = sample_frames(args.frames)
    rows, made = [], {}
    METHODS.update({f"{OURS} {model}": model for model in args.also})
    for threads in args.threads:
        cv2.setNumThreads(threads)
        made = pipelines(args.data, threads)
        for faces in GRIDS:
            measured = measure(made, [with_faces(frame, faces) for frame in frames])
            peers = [r["mean_ms"] for r in measured if r["stage"] == "total" and not r["pipeline"].startswith(OURS)]
            for row in measured:
                ratio = round(row["mean_ms"] / min(peers), 3) if peers and row["stage"] == "total" else ""
                rows.append(
                    {"date": date.today(), "commit": commit(), "hardware": cpu_name(), "threads": threads}
                    | {"faces": faces}
                    | row
                    | {"ratio_to_fastest_peer": ratio}
                )
                if row["stage"] == "total" or row["pipeline"] == OURS:
                    print(
                        f"{threads} thread(s) {faces} face(s) {row['pipeline']:>26} {row['stage']:>11}"
                        f" p50 {row['p50_ms']:6.2f} p95 {row['p95_ms']:6.2f} mean {row['mean_ms']:6.2f} ms"
                        f" found {row['faces_found']:.2f} {ratio}"
                    )
    for name in made:
        totals = {
            r["faces"]: r["mean_ms"]
            for r in rows
            if (r["pipeline"], r["stage"], r["threads"]) == (name, "total", args.threads[0])
        }
        print(f"{name}: 8 faces take {totals[8] / totals[1]:.2f} x the time of one")
    starts = []
    for name, model in METHODS.items():
        if name in made:
            where = {"date": date.today(), "commit": commit(), "hardware": cpu_name(), "pipeline": name}
            starts.append(where | start_up(model))
            row = starts[-1]
            print(f"{name}: first pose after {row['start_up_s']} s ({row['start_up_cpu_s']} s CPU), ", end="")
            print(f"{row['memory_mb']} MB after 100 frames")
    if not args.no_append:
        append(RESULTS, rows)
        append(STARTS, starts)


if __name__ == "__main__":
    main()
