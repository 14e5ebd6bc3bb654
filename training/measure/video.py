"""How still the poses of a resting head are, and how late: every method on every frame of a video of one face.

There is no truth: motion is judged by the mean rotation of all methods that see single frames, which has no lag. Only
the parts in which that mean rests count, the same for all methods (hpe_core.evaluation.errors.stability).
"""

from dataclasses import replace

import cv2
import numpy as np

from hpe_core.config import PipelineConfig
from hpe_core.errors import HpeError
from hpe_core.evaluation.errors import stability
from hpe_core.evaluation.errors.time_offset import time_offset
from hpe_core.evaluation.images.evaluate import OURS, OWN_DETECTION, Absent, Ours, short_name, with_model
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.files import plain_path
from hpe_core.types import primary_face
from training.measure.baselines import YUNET

DETECTOR_WIDTH = 640


def frames_of(path):
    """Yields stamp_ns and image of every frame. Raises HpeError when the file is no video."""
    with plain_path(path) as name:
        capture = cv2.VideoCapture(name)
    fps = capture.get(cv2.CAP_PROP_FPS)
    if not capture.isOpened() or not fps > 0:
        raise HpeError(f"{path} is not a video that can be read")
    number = 0
    while True:
        ok, image = capture.read()
        if not ok:
            return
        yield round(number / fps * 1e9), image
        number += 1


class Tracked:
    """A Pipeline over the frames of a video, with its own tracking, with or without the filter over time."""

    def __init__(self, config, filtered):
        self._pipeline = Ours(replace(config, tracker=replace(config.tracker, filter=filtered))).pipeline
        self.single_frames = not filtered

    def rotation(self, image, stamp_ns, boxes):
        """R (3, 3) of the nearest face, or NaN."""
        camera = CameraModel.from_hfov(image.shape[1], image.shape[0], 60.0)
        face = primary_face(self._pipeline.process(image, camera, stamp_ns).faces)
        return np.full((3, 3), np.nan) if face is None else face.pose.R_camera_head


class PerFrame:
    """A baseline on the largest box of each frame."""

    single_frames = True

    def __init__(self, baseline):
        self._baseline = baseline

    def rotation(self, image, stamp_ns, boxes):
        """R_local (3, 3), or NaN."""
        return self._baseline.rotation(image, boxes[0]) if len(boxes) else np.full((3, 3), np.nan)


def video_methods(baselines, models=()):
    """dict name -> method or Absent, each of our models with and without the filter; models: as in our_methods."""
    made = {}
    for model in models or OURS:
        for filtered, label in ((True, short_name(model)), (False, f"{short_name(model)}, no filter")):
            try:
                made[label] = Tracked(with_model(PipelineConfig(), model), filtered)
            except HpeError as error:
                made[label] = Absent(OWN_DETECTION, str(error))
    for name, baseline in baselines.items():
        if baseline.faces_from == YUNET:
            made[name] = baseline if isinstance(baseline, Absent) else PerFrame(baseline)
    return made


def evaluate_video(path, methods, detect=None, limit=None):
    """dict name -> numbers of every method (or its absence), and dict of the video itself.

    detect(image) -> boxes (B, 4) in pixels of a frame that is DETECTOR_WIDTH wide; None: there is no detector.
    """
    present = {name: method for name, method in methods.items() if not isinstance(method, Absent)}
    stamps, rotations = [], {name: [] for name in present}
    for stamp_ns, image in frames_of(path):
        if limit is not None and len(stamps) == limit:
            break
        boxes = boxes_of(image, detect) if detect else ()
        stamps.append(stamp_ns)
        for name, method in present.items():
            rotations[name].append(method.rotation(image, stamp_ns, boxes))
    if not stamps:
        raise HpeError(f"{path} has no frames")
    stamps = np.array(stamps, np.int64)
    rotations = {name: np.array(R) for name, R in rotations.items()}
    results, video = judged(stamps, rotations, {name for name, m in present.items() if m.single_frames})
    absent = {name: {"status": "absent", "reason": m.reason} for name, m in methods.items() if name not in present}
    return {name: results.get(name) or absent[name] for name in methods}, video


def boxes_of(image, detect):
    """Boxes (B, 4) in the image, largest first."""
    scale = min(1.0, DETECTOR_WIDTH / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes = (detect(small) + 0.5) / scale - 0.5
    return boxes[np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(-1))]


def judged(stamp_ns, rotations, single_frames):
    """dict name -> jitter and lag of rotations (dict name -> (N, 3, 3), NaN where there is none), and the video's part.

    single_frames: names of the methods without memory; their mean is the reference. A method with memory is late by
    its lag, so each method without is also shown behind a low-pass filter of one pole that is as late.
    """
    known = {name: np.all(np.isfinite(R), axis=(1, 2)) for name, R in rotations.items()}
    everywhere = np.all(list(known.values()), axis=0)
    if everywhere.sum() < 2 * stability.WINDOW:
        raise HpeError(f"only {int(everywhere.sum())} frames have a face for every method")
    stamp, R = stamp_ns[everywhere], {name: value[everywhere] for name, value in rotations.items()}
    reference = so3.project_to_rotation(np.mean([R[name] for name in sorted(single_frames)], axis=0))
    nowhere = np.zeros((len(stamp), 3))
    rests = stability.still(reference, nowhere, stamp)
    period_s = float(np.median(np.diff(stamp))) * 1e-9
    lags = {name: time_offset(stamp, value, stamp, reference).offset_s for name, value in R.items()}
    late = [lag for name, lag in lags.items() if name not in single_frames and lag is not None]
    shared_lag_s = max(max(late, default=0.0), 0.0)
    results = {}
    for name, value in R.items():
        results[name] = {
            "status": "measured",
            "frames": len(stamp_ns),
            "found": int(known[name].sum()),
            "single_frames": name in single_frames,
            "lag_s": lags[name],
            "jitter_deg_per_axis": _jitter(value, nowhere, rests),
            "jitter_at_shared_lag_deg_per_axis": _jitter(low_pass(value, shared_lag_s, period_s), nowhere, rests)
            if name in single_frames
            else None,
        }
    runs = len(rests)
    video = {
        "frames": len(stamp_ns),
        "judged_frames": len(stamp),
        "still_share": float(rests.sum() / runs) if runs else None,
        "shared_lag_s": shared_lag_s,
    }
    return results, video


def _jitter(R, nowhere, rests):
    return stability.jitter([(R, nowhere, rests)])["rotation_deg_per_axis"]


def low_pass(R, lag_s, period_s):
    """Rotations (N, 3, 3) behind a filter of one pole that delays slow motion by lag_s: it goes the share
    1 / (1 + lag / period) of the way to each new rotation."""
    share = 1.0 / (1.0 + lag_s / period_s)
    out = [R[0]]
    for new in R[1:]:
        out.append(out[-1] @ so3.matrix_from_rotvec(share * so3.rotvec_from_matrix(out[-1].T @ new)))
    return np.array(out)
