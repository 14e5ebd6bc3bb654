"""What the node knows about its own health: counters, windows and states, as plain values. Thread-safe."""

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.io.camera_info import Pairing
from hpe_core.types import COUNTED, FrameResult, count_text
from hpe_ros.status import Level, Status, described

WINDOW = 300  # frames over which rates and percentiles are taken
SILENCE_S = 2.0  # no image for so long is a warning

# why frames are dropped
SUPERSEDED = "superseded by a newer image"
RATE_LIMITED = "beyond max_rate_hz"
UNREADABLE = "unusable image"
NO_CAMERA = "waiting for camera_info"
FAILED = "internal error"

# what happened to the stream, beside drops
OTHER_IMAGES = "changes of image size or calibration"
CLOCK_BACK = "stamps jumped back"
GAP = "silences"  # of more than SILENCE_S


class Diagnostics:
    """Collects from the callbacks and the worker; `statuses()` is what is published."""

    def __init__(self):
        self._lock = threading.Lock()
        self._model = Status("model", "stale", "not configured", {})
        self._running = False
        self.restart()

    def restart(self, running: bool = False) -> None:
        """Zero the counters and forget the camera; `running` is whether images are expected."""
        with self._lock:
            self._running, self._since = running, time.monotonic()
            self._camera: tuple[Pairing, int, int] | None = None  # of the latest image, and its size
            self._qos_problems: dict[str, str] = {}
            self._received, self._processed, self._faces = 0, 0, 0
            self._counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))  # as in FrameResult
            self._dropped: Counter[str] = Counter()
            self._dropped_before: Counter[str] = Counter()
            self._untracked_before = 0
            self._noted: Counter[str] = Counter()
            self._assumed, self._camera_infos = 0, 0
            self._last_error = ""
            self._arrivals: deque[float] = deque(maxlen=WINDOW)
            self._times_ms: dict[str, deque[float]] = {}

    def model(self, level: Level, message: str) -> None:
        """State of model and backend."""
        with self._lock:
            self._model = Status("model", level, message, {})

    def camera(self, pairing: Pairing, width: int, height: int) -> bool:
        """State of camera_info, from the Pairing of an image. True when it is news."""
        with self._lock:
            self._assumed += pairing.source == "assumed"
            before, self._camera = self._camera, (pairing, width, height)
        return before is None or before[0].problem != pairing.problem

    def qos(self, problems: Mapping[str, str]) -> None:
        """Dict from topic to why messages of a publisher do not arrive, as found just now."""
        with self._lock:
            self._qos_problems = dict(problems)

    def received(self) -> None:
        """An image arrived."""
        with self._lock:
            self._received += 1
            now = time.monotonic()
            if self._arrivals and now - self._arrivals[-1] > SILENCE_S:
                self._noted[GAP] += 1
            self._arrivals.append(now)

    def camera_info_received(self) -> None:
        """A camera_info arrived. Cameras send one with every image: many more than images means lost images."""
        with self._lock:
            self._camera_infos += 1

    def dropped(self, reason: str) -> None:
        """An image was not processed."""
        with self._lock:
            self._dropped[reason] += 1

    def noted(self, event: str) -> None:
        """Something happened to the stream that deserves a count."""
        with self._lock:
            self._noted[event] += 1

    def failed(self, error: BaseException) -> str:
        """An image raised an exception. Text for the log: one line when the image is to blame, else the traceback."""
        self.dropped(UNREADABLE if isinstance(error, HpeError) else FAILED)
        line, text = described(error)
        with self._lock:
            self._last_error = line
        return text

    def processed(self, result: FrameResult, now_ns: int, latency_s: float) -> None:
        """A FrameResult was published at now_ns (node clock), latency_s after the image's callback.

        stamp_age is how old the image was when it arrived, overhead the latency less the networks' own time, node the
        latency less all that hpe_core spent. A stage that an image does without counts as 0 there.
        """
        stamp_to_publish_s = (now_ns - result.stamp_ns) * 1e-9
        times_s = {
            "stamp_age": stamp_to_publish_s - latency_s,
            "latency": latency_s,
            "overhead": latency_s - result.stage_s.get("inference", 0.0) - result.stage_s.get("refinement", 0.0),
            "node": latency_s - sum(result.stage_s.values()),
            "stamp_to_publish": stamp_to_publish_s,
            **result.stage_s,
        }
        with self._lock:
            self._processed += 1
            self._faces = len(result.faces)
            self._counts.update(result.counts)
            for name, seconds in (dict.fromkeys(self._times_ms, 0.0) | times_s).items():
                self._times_ms.setdefault(name, deque(maxlen=WINDOW)).append(seconds * 1e3)

    def statuses(self) -> list[Status]:
        """Of model, camera, qos, input and latency."""
        with self._lock:
            latency = {name: _percentiles(times) for name, times in self._times_ms.items()}
            values = {f"{name}_ms": text for name, text in latency.items()}
            message = f"p50/p95 {values['latency_ms']} ms" if self._processed else "no frame yet"
            times = Status("latency", "ok" if self._processed else "stale", message, values)
            return [self._model, self._camera_status(), self._qos(), self._input(), times]

    def _camera_status(self):
        if self._camera is None:
            return Status("camera", "stale", "no image yet", {})
        pairing, width, height = self._camera
        values = {"source": pairing.source, "image": f"{width}x{height}", "images without calibration": self._assumed}
        if pairing.camera is not None:
            K, D = pairing.camera.K, pairing.camera.D
            values |= {"fx": f"{K[0, 0]:.2f}", "fy": f"{K[1, 1]:.2f}", "cx": f"{K[0, 2]:.2f}", "cy": f"{K[1, 2]:.2f}"}
            values |= {"distortion": f"{pairing.camera.model}, {len(D)} coefficients" if len(D) else "none"}
        return Status("camera", "warn" if pairing.problem else "ok", pairing.problem or "calibrated", values)

    def _qos(self):
        if not self._running:
            return Status("qos", "stale", "not active", {})
        message = "; ".join(f"QoS mismatch on {topic}" for topic in sorted(self._qos_problems))
        return Status("qos", "error" if message else "ok", message or "all publishers fit", self._qos_problems)

    def _input(self):
        fresh = self._dropped - self._dropped_before
        self._dropped_before = self._dropped.copy()
        untracked = self._counts["untracked"] - self._untracked_before
        self._untracked_before += untracked
        values = {"rate_hz": f"{_rate(self._arrivals):.2f}", "received": self._received, "processed": self._processed}
        values |= {"camera_info received": self._camera_infos}
        values |= {"faces": self._faces}
        values |= {count_text(name): count for name, count in self._counts.items()}
        values |= {"dropped": self._dropped.total()}
        values |= {f"dropped, {reason}": count for reason, count in sorted(self._dropped.items())}
        values |= {event: self._noted[event] for event in (GAP, OTHER_IMAGES, CLOCK_BACK)}
        if self._last_error:
            values["last_error"] = self._last_error
        level: Level = "ok"
        message = f"{values['rate_hz']} images/s"
        # a newer image replacing one that waits is how the node keeps up; losses that nobody wanted deserve a look
        lost = {reason: count for reason, count in fresh.items() if reason not in (SUPERSEDED, RATE_LIMITED)}
        silence_s = time.monotonic() - (self._arrivals[-1] if self._arrivals else self._since)
        if not self._running:
            level, message = "stale", "not active"
        elif silence_s > SILENCE_S:
            level, message = "warn", f"no image for {silence_s:.0f} s"
        elif lost:
            level, message = "warn", "frames lost: " + ", ".join(f"{count} {r}" for r, count in sorted(lost.items()))
        elif untracked:
            level, message = "warn", f"{values['rate_hz']} images/s, {count_text('untracked')} are left out"
        return Status("input", level, message, values)


def _rate(times_s: deque[float]) -> float:
    """Events per second of a window of event times; 0 when there are fewer than two."""
    return (len(times_s) - 1) / (times_s[-1] - times_s[0]) if len(times_s) > 1 and times_s[-1] > times_s[0] else 0.0


def _percentiles(values: deque[float]) -> str:
    """'p50/p95' as text."""
    return "/".join(f"{value:.2f}" for value in np.percentile(values, (50, 95))) if values else "n/a"
