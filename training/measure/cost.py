"""Processor time for a frame, and megabytes of weights, of our methods beside the baselines."""

import time
from pathlib import Path

import cv2
import numpy as np

from hpe_core.evaluation.images.evaluate import Absent
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG


def cost_of(ours: dict, data: Path) -> dict:
    """dict weights_mb, cpu_ms, baselines_cpu_ms (name -> number), fastest_baseline_cpu_ms: 640x480, one face, thread.

    Processor time, so that other work on the machine does not count; frames and turns are those of bench.latency.
    """
    from bench import baselines, latency

    cv2.setNumThreads(1)
    frames = [latency.with_faces(frame, 1) for frame in latency.sample_frames(60)]
    made = {n: p for n, p in latency.pipelines(data, 1).items() if not n.startswith(latency.OURS)}
    made = {n: p for n, p in made.items() if not isinstance(p, baselines.MediaPipe)}  # another process's time
    present = {name: method.pipeline for name, method in ours.items() if not isinstance(method, Absent)}
    made |= {name: _Timed(pipeline) for name, pipeline in present.items()}
    times = {name: [] for name in made}
    for first in range(0, len(frames), latency.BLOCK):
        block = frames[first : first + latency.BLOCK]
        for name, pipeline in made.items():
            for number, frame in enumerate(block[: latency.WARM_UP] + block):
                start = time.process_time()
                pipeline.run(frame)
                if number >= latency.WARM_UP:
                    times[name].append(1e3 * (time.process_time() - start))
    cpu_ms = {name: float(np.median(values)) for name, values in times.items()}
    baselines_ms = {name: ms for name, ms in cpu_ms.items() if name not in ours}
    return {
        "weights_mb": {name: _weights_mb(pipeline) for name, pipeline in present.items()},
        "cpu_ms": {name: cpu_ms[name] for name in present},
        "baselines_cpu_ms": baselines_ms,
        "fastest_baseline_cpu_ms": min(baselines_ms.values(), default=None),
    }


class _Timed:
    """A Pipeline as bench.latency times it."""

    def __init__(self, pipeline):
        self._pipeline, self._stamp_ns = pipeline, 0
        pipeline.reset()

    def run(self, frame):
        self._stamp_ns += 66_666_667
        camera = CameraModel.from_hfov(frame.shape[1], frame.shape[0], DEFAULT_HFOV_DEG)
        result = self._pipeline.process(frame, camera, self._stamp_ns)
        return len(result.faces), result.stage_s


def _weights_mb(pipeline):
    """Megabytes of every model file that a Pipeline uses."""
    return sum(path.stat().st_size for path, _ in pipeline.models) / 1e6
