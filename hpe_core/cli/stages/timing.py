"""How long a call takes."""

import time
from collections.abc import Callable
from typing import Any

WARM_UP, FEWEST = 5, 20  # calls


def latency(seconds: float, call: Callable[..., object], *given: Any) -> dict[str, float]:
    """p50, p95, p99 and mean in ms of call(*given), repeated for so long after a warm-up, and how often that was."""
    import numpy as np

    for _ in range(WARM_UP):
        call(*given)
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < FEWEST:
        start = time.perf_counter()
        call(*given)
        times.append(1e3 * (time.perf_counter() - start))
    p50, p95, p99 = (round(float(value), 3) for value in np.percentile(times, (50, 95, 99)))
    mean = round(float(np.mean(times)), 3)
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "mean_ms": mean, "calls": len(times)}
