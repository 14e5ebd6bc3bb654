import tracemalloc

import numpy as np
import pytest

from hpe_core.output.summary import Summary
from hpe_core.types import FrameResult

STAGES = ("preprocess", "inference", "tracking", "write")


def test_percentiles_are_numpys_to_half_a_percent_and_a_stage_that_an_image_lacks_is_zero_there():
    rng, summary, seconds = np.random.default_rng(0), Summary(), []
    for i in range(3000):
        stage_s = dict(zip(STAGES, rng.lognormal(-4.0, 0.5, 4).tolist(), strict=True))
        if i % 3:
            stage_s["inference"] = 0.0
            summary.add(FrameResult(i, (), {name: s for name, s in stage_s.items() if s}), {})
        else:
            summary.add(FrameResult(i, (), stage_s), {})
        seconds.append(list(stage_s.values()))
    for name, values in zip(STAGES, np.transpose(seconds), strict=True):
        found = summary.latency_ms()[name]
        p50, p95 = 1e3 * np.percentile(values, (50, 95))
        assert (found["p50"], found["p95"]) == (pytest.approx(p50, rel=0.005), pytest.approx(p95, rel=0.005))
    assert summary.latency_ms()["inference"]["p50"] == 0.0
    assert summary.frames == 3000


def test_a_summary_of_more_frames_takes_no_more_memory():
    rng, summary = np.random.default_rng(0), Summary()

    def take(count):
        for _ in range(count):
            summary.add(FrameResult(0, (), dict.fromkeys(STAGES, 10 ** rng.uniform(-3, -1))), {})

    take(3000)
    tracemalloc.start()
    try:
        take(3000)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 10_000  # bytes: a list of 3000 floats would take 24,000 for each stage
    assert summary.frames == 6000
