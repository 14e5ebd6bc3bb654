"""Latency of this project and of baseline pipelines on the same frames in the same run, as ratios.

    python -m bench.latency [--data ../shared/data] [--frames 144] [--threads 1 2] [--photo-by-photo] [--no-append]

Frames are 640x480, made from the sample bag, at 30 Hz: one face, or four or eight copies on a grid. Pipelines take
turns of twelve frames, so that a busy moment hits all of them. Ours: the whole-image network, the fusion with the crop
network, both also in INT8, and the fusion with full-frame detection on every frame; by default that is one frame
in six while all faces are tracked, four of five times at half size (one row with none of these quick looks), so means
count, not medians. Baselines: YuNet (OpenCV) at full and at half size, then FSA-Net (two nets, averaged); RFB-320, then
3DDFA_V2 mb05 (exported to ONNX here; needs torch); OpNet in opentrack's own loop, and with its localizer in every frame
(one face only); MediaPipe's face mesh on video and on images by themselves, in an environment of its own
(HPE_MEDIAPIPE_PYTHON names its interpreter), on as many cores as there are threads. What each does with a frame is
printed first. A baseline that cannot run here is left out and named. With --photo-by-photo everything is forgotten
before each frame, as between photos: nobody tracks, all detect, and OpNet's loop is its localizer and one crop.

Rows are appended to bench/results.csv: medians, 95th percentiles and means in milliseconds, the ratio of means to the
fastest baseline's with its 95 % confidence interval over the turns (rows without a mean: of medians, full-frame
detection on every frame). Start-up (a new process from before its imports to the first pose) and the memory of that
process after 100 frames go to bench/results_start.csv.
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

from bench import baselines
from bench.baselines import HEIGHT, WIDTH
from bench.rows import ROOT, append, commit
from hpe_core import config as cfg
from hpe_core.backends.tensorrt import parity
from hpe_core.cli.tools.bench import cpu_name
from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.pipeline import Pipeline

OURS = "hpe_ros"
RESULTS = ROOT / "bench" / "results.csv"
STARTS = ROOT / "bench" / "results_start.csv"
METHODS = {  # of ours
    OURS: "head6dof",
    f"{OURS} int8": "head6dof_int8",
    f"{OURS} fusion": "fusion",
    f"{OURS} fusion int8": "fusion_int8",
    f"{OURS} fast": "fast",
}
EVERY_FRAME = " every frame"
FULL_SIZE = ", all looks at full size"
PHOTO = ", photo by photo"
TRACKING = "MediaPipe video"  # which cannot be told to forget
PUT_OFF = ", detection put off"  # total: until the result; put off: what follows it, which the means of turns include
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
MIN_TURNS = 5
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


class Ours:
    def __init__(self, model, threads, put_off=False, **options):
        self._put_off = put_off
        options = cfg.EstimatorConfig(model=model, threads=threads, **options)
        self.pipeline = Pipeline(cfg.PipelineConfig(estimator=options))
        self.camera, self.stamp_ns = CameraModel.from_hfov(WIDTH, HEIGHT, 60.0), 0

    def run(self, frame):
        self.stamp_ns += 33_333_333
        result = self.pipeline.process(frame, self.camera, self.stamp_ns, put_off=self._put_off)
        return len(result.faces), result.stage_s

    def after(self):
        """What can wait until the result is out."""
        self.pipeline.search()

    def forget(self):
        """The next frames are another scene."""
        self.pipeline.reset()


def pipelines(data, threads, faces=1, photos=False):
    """Name -> pipeline for frames of so many faces; a baseline that cannot run here is named and left out, and for
    photos what differs in tracking alone."""
    made = {}
    wanted = {
        **{name: lambda model=model: Ours(model, threads) for name, model in METHODS.items()},
        f"{OURS} fusion int8{PUT_OFF}": lambda: Ours("fusion_int8", threads, put_off=True),
        f"{OURS} fusion int8{FULL_SIZE}": lambda: Ours("fusion_int8", threads, small_faces_interval_s=0.0),
        f"{OURS} fusion{EVERY_FRAME}": lambda: Ours("fusion", threads, detection_interval_s=0.0),
        **baselines.makers(data / "weights", threads, faces),
    }
    for name, make in wanted.items():
        if photos and name.endswith((PUT_OFF, FULL_SIZE, EVERY_FRAME, TRACKING)):
            continue
        try:
            made[name] = make()
        except (ImportError, HpeError) as error:
            print(f"left out: {name} ({error})")
    return made


def measure(made, frames, photos=False):
    """Rows: dict(pipeline, stage, p50_ms, p95_ms, mean_ms, faces_found); in turns of WARM_UP and BLOCK frames. And dict
    pipeline -> mean total (T,) in ms of each of its turns. photos: each frame by itself.

    A stage that some frames do without counts as 0 there.
    """
    times, found, turns = ({name: [] for name in made} for _ in range(3))
    for pipeline in made.values():
        pipeline.forget()
    for first in range(0, len(frames) - WARM_UP, BLOCK):
        for name, pipeline in made.items():
            for number, frame in enumerate(frames[first : first + WARM_UP + BLOCK]):
                if photos:
                    pipeline.forget()
                start = time.perf_counter()
                faces, stages = pipeline.run(frame)
                stages = {"total": time.perf_counter() - start} | stages
                if name.endswith(PUT_OFF):
                    start = time.perf_counter()
                    pipeline.after()
                    stages["put off"] = time.perf_counter() - start
                if number >= WARM_UP:
                    times[name].append(stages)
                    found[name].append(faces)
            turn = times[name][BLOCK * len(turns[name]) :]
            turns[name].append(1e3 * float(np.mean([one["total"] + one.get("put off", 0.0) for one in turn])))
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
    return rows, {name: np.array(means) for name, means in turns.items()}


def ratio_interval(turns_ms, others_ms):
    """Ratio of the means of turns (T,) that two pipelines took in alternation, and [low, high] of it at 95 %: Student's
    t over the logarithms of the turns' own ratios."""
    from scipy.stats import t

    logs = np.log(turns_ms / others_ms)
    half = t.ppf(0.975, len(logs) - 1) * np.std(logs, ddof=1) / np.sqrt(len(logs))
    ratio = np.mean(turns_ms) / np.mean(others_ms)
    return float(ratio), [float(np.exp(np.mean(logs) + side * half)) for side in (-1.0, 1.0)]


def equal_function(made):
    """Lines that say what each pipeline does with a frame, so that times of unlike work are not compared unseen."""
    header = ("pipeline", "looks for newcomers", "landmarks", "translation", "covariance")
    rows = [header]
    for name in made:
        no_crops = METHODS.get(name, "").startswith("head6dof")
        if no_crops or name.endswith(EVERY_FRAME):
            interval = "every frame"
        else:
            interval = "every 0.2 s" if name.endswith(FULL_SIZE) else "every 0.2 s, small ones every 1 s"
        landmarks = "no" if no_crops else "68, in metres"
        rows.append((name, *baselines.FUNCTION.get(name, (interval, landmarks, "in metres", "6x6, with position"))))
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


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
    p.add_argument("--frames", type=int, default=144, help=f"{BLOCK} a turn, at least {MIN_TURNS} turns")
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--also", metavar="MODEL", nargs="*", default=[], help="more of ours, e.g. head6dof+crops.onnx")
    p.add_argument("--photo-by-photo", action="store_true", help="forget everything before each frame")
    p.add_argument("--no-append", action="store_true")
    args = p.parse_args()
    if args.frames < MIN_TURNS * BLOCK:
        p.error(f"--frames must be at least {MIN_TURNS * BLOCK}, {MIN_TURNS} turns, got {args.frames}")
    frames = sample_frames(args.frames)
    rows, made = [], {}
    METHODS.update({f"{OURS} {model}": model for model in args.also})
    for threads in args.threads:
        cv2.setNumThreads(threads)
        for faces in GRIDS:
            made = pipelines(args.data, threads, faces, args.photo_by_photo)
            if not rows and not args.photo_by_photo:
                print("\n".join(equal_function(made)))
            measured, turns = measure(made, [with_faces(frame, faces) for frame in frames], args.photo_by_photo)
            others = {n: float(np.mean(ms)) for n, ms in turns.items() if not n.startswith(OURS)}
            fastest = min(others, key=lambda name: others[name], default=None)
            for row in measured:
                ratio, ends = "", ["", ""]
                if fastest and row["stage"] == "total":
                    ratio, ends = ratio_interval(turns[row["pipeline"]], turns[fastest])
                    ratio, ends = round(ratio, 3), [round(end, 3) for end in ends]
                rows.append(
                    {"date": date.today(), "commit": commit(), "hardware": cpu_name(), "threads": threads}
                    | {"faces": faces}
                    | row
                    | {"ratio_to_fastest_baseline": ratio, "ratio_low": ends[0], "ratio_high": ends[1]}
                )
                if row["stage"] == "total" or row["pipeline"] == OURS:
                    print(
                        f"{threads} thread(s) {faces} face(s) {row['pipeline']:>40} {row['stage']:>11}"
                        f" p50 {row['p50_ms']:6.2f} p95 {row['p95_ms']:6.2f} mean {row['mean_ms']:6.2f} ms"
                        f" found {row['faces_found']:.2f} {ratio}"
                        + (f" ({ends[0]} to {ends[1]}, {len(frames) // BLOCK} turns)" if ratio else "")
                    )
            if fastest:
                print(f"ratios of {faces} face(s) are to {fastest}")
    for name in (name for name in made if name.startswith(OURS)):
        totals = {
            r["faces"]: r["mean_ms"]
            for r in rows
            if (r["pipeline"], r["stage"], r["threads"]) == (name, "total", args.threads[0])
        }
        print(f"{name}: 8 faces take {totals[8] / totals[1]:.2f} x the time of one")
    starts = []
    for name, model in METHODS.items():
        if name in made and not args.photo_by_photo:
            where = {"date": date.today(), "commit": commit(), "hardware": cpu_name(), "pipeline": name}
            starts.append(where | start_up(model))
            row = starts[-1]
            print(f"{name}: first pose after {row['start_up_s']} s ({row['start_up_cpu_s']} s CPU), ", end="")
            print(f"{row['memory_mb']} MB after 100 frames")
    if not args.no_append:
        if args.photo_by_photo:
            rows = [row | {"pipeline": row["pipeline"] + PHOTO} for row in rows]
        append(RESULTS, rows)
        if starts:
            append(STARTS, starts)


if __name__ == "__main__":
    main()
