"""What a crowd costs: the whole pipeline with 1 to 64 faces in one image, and the tracker's association alone.

    python -m bench.crowd [--data ../shared/data] [--model fusion_int8] [--frames 60] [--threads 1] [--no-append]

Images are 1280x960 at 30 Hz: photographed faces (LFW, `photos/lfw.zip`; without it the frames of the parity check) in
so many of 64 cells, the rest grey, all swaying by some pixels, so that they are tracked. Numbers of faces take turns of
twelve frames. Photos in which not exactly one face is found in the full crowd are replaced by others first. Rows are
appended to bench/results_crowd.csv: medians, 95th percentiles and means in milliseconds by stage, the faces found, and
the ratio of means to one face.
"""

import argparse
import time
import zipfile
from datetime import date
from pathlib import Path

import cv2
import numpy as np

from bench.latency import BLOCK, WARM_UP
from bench.rows import ROOT, append, commit
from hpe_core.backends.tensorrt import parity
from hpe_core.cli.tools.bench import cpu_name
from hpe_core.config import EstimatorConfig, PipelineConfig, TrackerConfig
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import box_from_pose
from hpe_core.pipeline import Pipeline
from hpe_core.tracking.tracker import Tracker
from hpe_core.types import Face, HeadPose

RESULTS = ROOT / "bench" / "results_crowd.csv"
FACES = (1, 4, 8, 16, 32, 64)
CELL, GRID = (160, 120), 8  # width and height of a cell; cells a side
SWAY_PX = 6.0
ROUNDS = 12  # of choosing photos that are found in the full crowd
STEP_NS = 33_333_333
PLACES = np.random.default_rng(1).permutation(GRID * GRID)  # cell of each photo


def photos(data: Path, count: int) -> list[np.ndarray]:
    """So many cells (120, 160, 3), each with one photographed face."""
    path = data / "photos" / "lfw.zip"
    if not path.exists():
        print(f"no {path}: the frames of the parity check instead")
        images = [decoded(one.read_bytes()) for one in sorted(parity.FRAMES.glob("*.jpg"))]
        return [cv2.resize(images[i % len(images)], CELL, interpolation=cv2.INTER_AREA) for i in range(count)]
    with zipfile.ZipFile(path) as file:
        images = [decoded(file.read(name)) for name in photo_names(file, count)]
    return [cv2.resize(image[32:218, 1:249], CELL, interpolation=cv2.INTER_AREA) for image in images]


def photo_names(file: zipfile.ZipFile, count: int) -> list[str]:
    """So many photos of an open lfw.zip, always the same ones."""
    names = sorted(name for name in file.namelist() if name.endswith(".jpg"))
    return np.random.default_rng(0).choice(names, count, replace=False).tolist()


def decoded(jpeg: bytes) -> np.ndarray:
    """The image (H, W, 3) uint8 BGR of a JPEG."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None, "a photo cannot be decoded"
    return image


def chosen_cells(data: Path, model: str) -> list[np.ndarray]:
    """FACES[-1] cells whose faces are found when all are in one image, as far as ROUNDS of replacing lead to it."""
    count = FACES[-1]
    pool = photos(data, 6 * count)
    cells, spare = pool[:count], pool[count:]
    for _ in range(ROUNDS):
        always_one = OfCrowd(model, 1, crowd(cells, count)).cells_with_one_face()
        others = [number for number, place in enumerate(PLACES) if not always_one[place]]
        if not others or len(spare) < len(others):
            break
        for number in others:
            cells[number] = spare.pop()
    return cells


def crowd(cells: list[np.ndarray], faces: int) -> np.ndarray:
    """Image (960, 1280, 3) with the first so many cells, each at a place of its own."""
    image = np.full((GRID * CELL[1], GRID * CELL[0], 3), 128, np.uint8)
    for cell, place in zip(cells[:faces], PLACES, strict=False):
        y, x = divmod(int(place), GRID)
        image[y * CELL[1] : (y + 1) * CELL[1], x * CELL[0] : (x + 1) * CELL[0]] = cell
    return image


def swaying(image: np.ndarray, frame: int) -> np.ndarray:
    """The image moved by some pixels, differently in every frame."""
    x, y = SWAY_PX * np.sin(0.2 * frame), 0.5 * SWAY_PX * np.sin(0.13 * frame)
    moved = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    return cv2.warpAffine(image, moved, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


class OfCrowd:
    """A pipeline with an image of so many faces."""

    def __init__(self, model: str, threads: int, image: np.ndarray):
        options = EstimatorConfig(model=model, threads=threads, max_faces=FACES[-1])
        self._pipeline, self._image, self._frame = Pipeline(PipelineConfig(options)), image, 0
        self._camera = CameraModel.from_hfov(image.shape[1], image.shape[0], 60.0)

    def cells_with_one_face(self) -> np.ndarray:
        """Mask (64,) of the cells that show one face in each of some images with full-frame detection."""
        always = np.ones(GRID * GRID, bool)
        for frame in range(0, 50, 7):
            self._pipeline.reset()
            result = self._pipeline.process(swaying(self._image, frame), self._camera, 0)
            middles = np.array([(face.box_px[:2] + face.box_px[2:]) / 2.0 for face in result.faces]).reshape(-1, 2)
            x, y = np.clip(middles // CELL, 0, GRID - 1).astype(int).T
            always &= np.bincount(GRID * y + x, minlength=GRID * GRID) == 1
        return always

    def frame(self) -> tuple[int, dict[str, float]]:
        """Faces found in the next frame, and milliseconds by stage."""
        image = swaying(self._image, self._frame)
        self._frame += 1
        start = time.perf_counter()
        result = self._pipeline.process(image, self._camera, self._frame * STEP_NS)
        stage_s = result.stage_s | {"total": time.perf_counter() - start}
        return len(result.faces), {name: 1e3 * seconds for name, seconds in stage_s.items()}


def pipeline_rows(model: str, threads: int, frames: int, cells: list[np.ndarray]) -> list[dict]:
    """Rows of all numbers of faces; a stage that some frames do without counts as 0 there."""
    made = {faces: OfCrowd(model, threads, crowd(cells, faces)) for faces in FACES}
    times, found = {faces: [] for faces in FACES}, {faces: [] for faces in FACES}
    for _ in range(0, frames, BLOCK):
        for faces, one in made.items():
            for number in range(WARM_UP + BLOCK):
                seen, stage_ms = one.frame()
                if number >= WARM_UP:
                    times[faces].append(stage_ms)
                    found[faces].append(seen)
    one_ms = float(np.mean([stage_ms["total"] for stage_ms in times[FACES[0]]]))
    return [
        _row(model, threads, faces, stage, [stage_ms.get(stage, 0.0) for stage_ms in measured], found[faces], one_ms)
        for faces, measured in times.items()
        for stage in dict.fromkeys(stage for stage_ms in measured for stage in stage_ms)
    ]


def association_rows(frames: int) -> list[dict]:
    """Rows of the tracker alone: so many tracks, as many measured faces beside them."""
    return [
        _row("tracker", 1, faces, "association", _association_ms(faces, frames), [faces], np.nan) for faces in FACES
    ]


def _association_ms(faces, frames):
    rng = np.random.default_rng(0)
    camera, covariance = CameraModel.from_hfov(1280, 960, 60.0), np.diag([0.005, 0.005, 0.05, 0.05, 0.05, 0.05]) ** 2
    places = np.stack([*np.meshgrid(np.linspace(-0.8, 0.8, GRID), np.linspace(-0.6, 0.6, GRID))], -1).reshape(-1, 2)
    tracker, times_ms = Tracker(TrackerConfig()), []
    for frame in range(frames):
        seen = []
        for x, y in places[:faces]:
            t = np.array([x, y, 1.5]) + rng.normal(0, 0.004, 3)
            seen.append(Face(HeadPose(np.eye(3), t, covariance), 0.9, box_from_pose(camera, np.eye(3), t)))
        start = time.perf_counter()
        tracker._associate(seen, (frame - 1) * STEP_NS, camera)
        times_ms.append(1e3 * (time.perf_counter() - start))
        tracker.update(seen, frame * STEP_NS)
    return times_ms[WARM_UP:]


def _row(pipeline, threads, faces, stage, times_ms, found, one_ms):
    mean_ms = float(np.mean(times_ms))
    return {
        **{"date": date.today(), "commit": commit(), "hardware": cpu_name(), "threads": threads, "faces": faces},
        **{"pipeline": pipeline, "stage": stage},
        "p50_ms": round(float(np.median(times_ms)), 3),
        "p95_ms": round(float(np.percentile(times_ms, 95)), 3),
        "mean_ms": round(mean_ms, 3),
        "faces_found": round(float(np.mean(found)), 2),
        "ratio_to_one_face": round(mean_ms / one_ms, 3) if stage == "total" else "",
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    p.add_argument("--model", default="fusion_int8")
    p.add_argument("--frames", type=int, default=60)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--no-append", action="store_true")
    args = p.parse_args()
    cv2.setNumThreads(args.threads)
    rows = association_rows(args.frames)
    rows += pipeline_rows(args.model, args.threads, args.frames, chosen_cells(args.data, args.model))
    for row in rows:
        print(
            f"{row['faces']:3d} faces {row['stage']:>12} p50 {row['p50_ms']:8.2f} p95 {row['p95_ms']:8.2f}"
            f" mean {row['mean_ms']:8.2f} ms found {row['faces_found']:.2f} {row['ratio_to_one_face']}"
        )
    if not args.no_append:
        append(RESULTS, rows)


if __name__ == "__main__":
    main()
