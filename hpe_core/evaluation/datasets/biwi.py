"""BIWI Kinect Head Pose (Fanelli et al., IJCV 2013): <folder>/01 ... 24/frame_00003_{rgb.png,pose.txt}, rgb.cal.

Labels are given in the depth camera: rotation rows, then the head's position in millimetres. `rgb.cal` (intrinsics,
distortion, rotation, translation in mm, image size) carries them into the colour camera: X_rgb = R X_depth + T.
The head's origin is BIWI's own (not the sellion) and its axes differ by a few degrees from ours: see the frame offset.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.evaluation.images.dataset_kind import Dataset, Protocol
from hpe_core.evaluation.images.sample import Sample
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel

DATASET = Dataset(
    title="BIWI",
    marks=("[0-9][0-9]/rgb.cal",),
    command="biwi",
    protocols=(
        Protocol(
            name="biwi",
            dataset="biwi",
            note="all frames, colour camera; filtered sets (13,219 frames) are another protocol",
        ),
        Protocol(
            name="biwi-70-30",
            dataset="biwi",
            test_sequences=tuple(f"{i:02d}" for i in range(17, 25)),
            note="sequences 17 to 24 are the test part; never compare with numbers across datasets",
        ),
        Protocol(
            name="nlml-window-biwi",
            dataset="biwi",
            limits_deg=(50.0, 40.0, 30.0),
            note="the window of NLML-HPE on BIWI",
        ),
    ),
)

RATE_HZ = 30.0  # the Kinect's; frames are numbered, not stamped
FRAME = re.compile(r"frame_(\d+)_pose\.txt")


@dataclass(frozen=True, eq=False)
class Calibration:
    """camera: CameraModel of the colour camera; R_rgb_depth (3, 3), t_rgb_depth_m (3,): X_rgb = R X_depth + t."""

    camera: CameraModel
    R_rgb_depth: np.ndarray
    t_rgb_depth_m: np.ndarray


def numbers(path: str | Path, count: int) -> np.ndarray:
    """Exactly `count` (or more) numbers of a text file as a flat array. Raises HpeError when there are fewer."""
    try:
        values = np.array(Path(path).read_text("utf-8").split(), float)
    except (OSError, ValueError) as error:
        raise HpeError(f"{path} cannot be read as numbers: {getattr(error, 'strerror', None) or error}") from error
    if len(values) < count or not np.all(np.isfinite(values)):
        raise HpeError(f"{path} must hold {count} finite numbers, got {len(values)}")
    return values


def read_calibration(path: str | Path) -> Calibration:
    """Calibration of a rgb.cal file: 9 intrinsics, 4 distortion, 9 rotation, 3 translation (mm), 2 image size."""
    values = numbers(path, 27)
    K, D, R, t = values[:9].reshape(3, 3), values[9:13], values[13:22].reshape(3, 3), values[22:25]
    return Calibration(
        CameraModel(int(values[25]), int(values[26]), K, D), so3.project_to_rotation(R, max_residual=0.01), 1e-3 * t
    )


def read_pose(path: str | Path, calibration: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """R_camera_head (3, 3) and t_m (3,) in the colour camera of a frame_XXXXX_pose.txt."""
    values = numbers(path, 12)
    R_depth_head = so3.project_to_rotation(values[:9].reshape(3, 3), max_residual=0.01)
    t_depth_m = 1e-3 * values[9:12]
    R = calibration.R_rgb_depth
    return R @ R_depth_head, R @ t_depth_m + calibration.t_rgb_depth_m


def samples(folder: str | Path) -> Iterator[Sample]:
    """Sample of every labelled frame, sequence by sequence. Raises HpeError when there is none or a part is missing."""
    sequences = sorted(path for path in Path(folder).iterdir() if path.is_dir() and re.fullmatch(r"\d\d", path.name))
    if not sequences:
        raise HpeError(f"{folder} holds no sequences; BIWI has folders 01 to 24")
    for sequence in sequences:
        labels = [(match, path) for path in sorted(sequence.iterdir()) if (match := FRAME.fullmatch(path.name))]
        if not labels:
            continue
        cal = sequence / "rgb.cal"
        if not cal.is_file():
            raise HpeError(f"sequence {sequence.name} has no rgb.cal")
        calibration = read_calibration(cal)
        for match, label in labels:
            number = int(match.group(1))
            image = label.with_name(label.name.replace("_pose.txt", "_rgb.png"))
            if not image.is_file():
                raise HpeError(f"sequence {sequence.name}: {label.name} has no image {image.name}")
            R, t_m = read_pose(label, calibration)
            name, stamp_ns = f"{sequence.name}/frame_{number:05d}", round(number * 1e9 / RATE_HZ)
            yield Sample(
                name=name,
                path=image,
                sequence=sequence.name,
                stamp_ns=stamp_ns,
                R=R,
                local=False,
                t_m=t_m,
                camera=calibration.camera,
            )
