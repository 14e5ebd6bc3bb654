"""The estimate `run`: the pipeline over a bag's images, every image in stamp order, nothing left to chance."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpe_core.config import PipelineConfig, repeatable
from hpe_core.errors import HpeError
from hpe_core.evaluation.errors.metrics import geodesic_deg, summary
from hpe_core.evaluation.streams.readers import header_stamps
from hpe_core.evaluation.streams.series import PoseSeries
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.frames import mirrored
from hpe_core.io.camera_info import DEFAULT_HFOV_DEG, CameraChoice
from hpe_core.io.sources.bag import BagSource
from hpe_core.types import Face

if TYPE_CHECKING:
    from hpe_core.io.frame import Frame

FLIP_IMAGES = 100
Progress = Callable[[int, int | None], None]  # called with images (or tasks) done and in all, None when unknown


def run_model(
    bag_path: str | Path,
    model: str = "",
    *,
    topic: str | None = None,
    config: PipelineConfig | None = None,
    camera: CameraModel | None = None,
    hfov_deg: float | None = None,
    flip: bool = False,
    progress: Progress | None = None,
) -> tuple[PoseSeries, dict[str, Any] | None]:
    """PoseSeries of the pipeline's faces on the images of a bag, and dict of the flip consistency (None unless `flip`).

    model: name or .onnx file, "" for the default; camera: overrides the bag's; progress: called with the
    number of images done and in all. One inference thread, so that sums are added in one order.
    """
    from hpe_core.pipeline import Pipeline

    config = repeatable(config or PipelineConfig())
    options = replace(config.estimator, threads=1, **({"model": model} if model else {}))
    pipeline = Pipeline(replace(config, estimator=options))
    cameras = CameraChoice(camera, DEFAULT_HFOV_DEG if hfov_deg is None else hfov_deg)
    losses: Counter[str] = Counter()
    found: list[tuple[int, Face]] = []
    messages: list[int] = []
    frame_id = ""
    with BagSource(bag_path, topic) as source:
        step = max(1, (source.total or 1) // FLIP_IMAGES)
        flips = _Flips(replace(config, estimator=options)) if flip else None
        for done, frame in enumerate(in_stamp_order(source, displacement(bag_path, source.topic)), 1):
            if progress:
                progress(done, source.total)
            if frame.image_bgr is None:
                losses[f"image not decoded: {frame.error}"] += 1
                continue
            if messages and frame.stamp_ns == messages[-1]:
                losses["image with the stamp of an earlier one"] += 1
                continue
            camera_of_frame, frame_id = cameras.of(frame), frame.frame_id
            if cameras.changed:
                pipeline.reset()
            result = pipeline.process(frame.image_bgr, camera_of_frame, frame.stamp_ns)
            messages.append(frame.stamp_ns)
            found += [(frame.stamp_ns, face) for face in result.faces]
            if result.counts["untracked"]:
                losses["face beyond max_faces"] += result.counts["untracked"]
            if result.counts["beyond_lens"]:
                losses["face where the camera's distortion has no inverse"] += result.counts["beyond_lens"]
            if flips and frame.index % step == 0:
                flips.add(frame.image_bgr, camera_of_frame)
        losses.update(source.losses)
        notices = [*source.notices, *cameras.notices]
    if not messages:
        raise HpeError(f"{bag_path} has no image that can be read")
    return _series(found, messages, frame_id, losses, notices), flips.as_dict() if flips else None


def _series(
    found: Sequence[tuple[int, Face]],
    message_stamps: Sequence[int],
    frame_id: str,
    losses: Counter[str],
    notices: Sequence[str],
) -> PoseSeries:
    stamps = np.array([stamp for stamp, _ in found], np.int64)
    faces = [face for _, face in found]
    unknown = np.full((6, 6), np.nan)
    covariance = [unknown if face.pose.covariance is None else face.pose.covariance for face in faces]
    message_ns = np.array(message_stamps, np.int64)
    return PoseSeries(
        stamp_ns=stamps,
        log_ns=np.full(len(stamps), -1),
        R=np.array([face.pose.R_camera_head for face in faces]).reshape(-1, 3, 3),
        t_m=np.array([face.pose.t_camera_head_m for face in faces]).reshape(-1, 3),
        covariance=np.array(covariance).reshape(-1, 6, 6),
        face_id=np.array([face.face_id for face in faces], dtype=str),
        has_ids=True,
        message_stamp_ns=message_ns,
        message_log_ns=np.full(len(message_ns), -1),
        frame_id=frame_id,
        losses=losses,
        notices=tuple(notices),
    )


def displacement(bag_path: str | Path, topic: str) -> int:
    """By how many places any image of the topic comes later in the bag than its stamp says; headers only are read."""
    stamps = header_stamps(bag_path, topic)
    order = np.argsort(stamps, kind="stable")
    places = np.empty(len(order), int)
    places[order] = np.arange(len(order))
    return int(np.max(np.arange(len(order)) - places, initial=0))


def in_stamp_order(frames: Iterable[Frame], places: int) -> Iterator[Frame]:
    """The frames in stamp order, holding back no more than `places` + 1 of them."""
    waiting: list[tuple[int, int, Frame]] = []
    for number, frame in enumerate(frames):
        heapq.heappush(waiting, (frame.stamp_ns, number, frame))
        if len(waiting) > places:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


class _Flips:
    """Rotations in single images and in their mirror images, by an untracked pipeline of its own."""

    def __init__(self, config: PipelineConfig) -> None:
        from hpe_core.pipeline import Pipeline

        self._pipeline = Pipeline(config)
        self._R: list[np.ndarray] = []
        self._R_flipped: list[np.ndarray] = []
        self._lost = 0

    def add(self, image_bgr: np.ndarray, camera: CameraModel) -> None:
        """Compare one image, whose camera's principal point moves to the other side in the mirror."""
        K = camera.K.copy()
        K[0, 2] = camera.width - 1 - K[0, 2]
        pair = []
        for picture, its_camera in ((image_bgr, camera), (image_bgr[:, ::-1].copy(), replace(camera, K=K))):
            self._pipeline.reset()
            faces = self._pipeline.process(picture, its_camera, 0).faces
            pair.append(max(faces, key=lambda face: face.score, default=None))
        face, flipped = pair
        if face is None or flipped is None:
            if face is not flipped:
                self._lost += 1
            return
        self._R.append(face.pose.R_camera_head)
        self._R_flipped.append(mirrored(flipped.pose.R_camera_head))

    def as_dict(self) -> dict[str, Any]:
        """Geodesic error between both, and how often only one of them had a face."""
        R, R_flipped = np.array(self._R).reshape(-1, 3, 3), np.array(self._R_flipped).reshape(-1, 3, 3)
        return {"images": len(R), "found_in_one_only": self._lost, "geodesic_deg": summary(geodesic_deg(R, R_flipped))}
