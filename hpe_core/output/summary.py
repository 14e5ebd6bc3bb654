"""summary.json: what went in, what came out, what was lost, how long it took, and with which versions."""

import platform
import re
from collections import Counter, defaultdict
from importlib import metadata
from typing import Any

import hpe_core
from hpe_core.io.camera_info import CameraChoice
from hpe_core.io.frame import Frame, Source
from hpe_core.output.histogram import LogHistogram
from hpe_core.pipeline import Pipeline
from hpe_core.types import COUNTED, FrameResult

PACKAGES = ("numpy", "scipy", "onnxruntime", "rosbags", "av")
MAX_UNREADABLE = 100  # images named one by one; the rest is counted


class Summary:
    """Counts over one run. Every frame of the source is either processed or dropped for a counted reason."""

    def __init__(self):
        self.frames = self.frames_with_faces = 0
        self.faces: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.turned_away = 0  # of the published faces, those that cannot be seen
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))  # as in FrameResult
        self._stage_s: defaultdict[str, LogHistogram] = defaultdict(LogHistogram)
        self.unreadable: list[dict[str, str | int]] = []
        self._first_reason: dict[str, str] = {}

    def add(self, result: FrameResult, stage_s: dict[str, float]) -> None:
        """Take in one FrameResult; stage_s: dict of seconds for the stages outside the pipeline."""
        self.frames += 1
        self.frames_with_faces += bool(result.faces)
        self.counts.update(result.counts)
        self.faces.update(face.face_id or "no id" for face in result.faces)
        self.turned_away += sum(face.turned_away for face in result.faces)
        for name, seconds in {**result.stage_s, **stage_s}.items():
            self._stage_s[name].add(seconds)

    def drop(self, reason: str) -> None:
        """Count one frame that could not be processed; reasons that differ in numbers alone count as the first one."""
        alike = re.sub(r"\b\d+\b", "#", reason)
        self.dropped[self._first_reason.setdefault(alike, reason)] += 1

    def drop_frame(self, frame: Frame) -> None:
        """Count one Frame without an image, and name the first MAX_UNREADABLE of them."""
        reason = frame.error or "no image"
        self.drop(reason)
        if len(self.unreadable) < MAX_UNREADABLE:
            self.unreadable.append({"source": frame.source, "frame": frame.index, "reason": reason})

    def latency_ms(self) -> dict[str, dict[str, float]]:
        """dict stage -> {p50, p95} in milliseconds, to within 0.5 %; a stage that an image does without is 0 there."""
        return {
            name: {f"p{q}": round(times.percentile(q, self.frames - times.count) * 1e3, 3) for q in (50, 95)}
            for name, times in self._stage_s.items()
        }

    def as_dict(
        self,
        source: Source,
        cameras: CameraChoice,
        pipeline: Pipeline,
        arguments: dict[str, Any],
        interrupted: bool,
    ) -> dict[str, Any]:
        """The content of summary.json, plain Python values only."""
        return {
            "source": {"name": source.name, "kind": source.kind, "total": source.total},
            "frames": self.frames,
            "frames_with_faces": self.frames_with_faces,
            "faces": sum(self.faces.values()),
            "faces_by_id": {} if source.kind == "images" else dict(self.faces),  # each of single images has its own
            "turned_away": self.turned_away,
            **_nested(self.counts),
            "dropped": dict(self.dropped),
            "unreadable": {"count": sum(self.dropped.values()), "first": self.unreadable},
            "losses": dict(source.losses),
            "notices": [*source.notices, *cameras.notices],
            "finished": not interrupted,
            "interrupted": interrupted,
            "latency_ms": self.latency_ms(),
            "camera": _camera_dict(cameras),
            "backend": pipeline.backend.name,
            "backend_choice": pipeline.backend.choice,
            "model": pipeline.config.estimator.model,
            "model_files": [
                {"file": path.name, "sha256": backend.sha256, "card": backend.card.raw}
                for path, backend in pipeline.models
            ],
            "versions": versions(),
            "arguments": arguments,
        }


def _nested(counts: Counter[str]) -> dict[str, Any]:
    """dict of counts, those of one source (`nlml.rigid`) in a dict of their own."""
    nested: dict[str, Any] = {}
    for name, count in counts.items():
        group, _, own = name.partition(".")
        if own:
            nested.setdefault(group, {})[own] = count
        else:
            nested[name] = count
    return nested


def _camera_dict(cameras: CameraChoice) -> dict[str, Any]:
    """The CameraModel of the last frame, and how many images had a calibration as it is, resized, or none."""
    camera = cameras.last
    if camera is None:
        return {"images": {}}
    return {
        "width": camera.width,
        "height": camera.height,
        "K": camera.K.ravel().tolist(),
        "D": camera.D.tolist(),
        "distortion_model": camera.model,
        "assumed": camera.assumed,
        "images": dict(cameras.images),
    }


def versions() -> dict[str, str]:
    """dict of the versions that a result depends on; packages that are not installed are left out."""
    import cv2

    found = {"hpe": hpe_core.__version__, "python": platform.python_version(), "opencv": cv2.__version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | {"system": f"{platform.system()} {platform.machine()}"}
