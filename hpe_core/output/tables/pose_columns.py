"""The columns of a face in tables: poses.csv, poses.parquet and `Faces.to_pandas` have the same ones."""

from collections.abc import Collection

import numpy as np

from hpe_core.geometry.camera import CameraModel
from hpe_core.output.choices import COVARIANCE, LANDMARKS, LANDMARKS_M
from hpe_core.types import Face

N_LANDMARKS = 68
_AXES = ("x", "y", "z", "rx", "ry", "rz")  # of HeadPose.covariance: metres, then radians
_UPPER = np.triu_indices(6)
Value = float | str | None  # None: unknown

# name -> decimals in a CSV
_NUMBERS = {
    "score": 4,
    **dict.fromkeys(("yaw_deg", "pitch_deg", "roll_deg"), 4),
    **dict.fromkeys(("sight_yaw_deg", "sight_pitch_deg", "sight_roll_deg"), 4),
    **dict.fromkeys(("qx", "qy", "qz", "qw"), 7),
    **dict.fromkeys(("tx_m", "ty_m", "tz_m"), 5),
    **dict.fromkeys(("x0", "y0", "x1", "y1"), 2),
    "rotation_std_deg": 3,
    "depth_std_m": 5,
    "face_visibility": 3,
}
_OF_EXTRAS = {
    COVARIANCE: {f"cov_{_AXES[i]}_{_AXES[j]}": None for i, j in zip(*_UPPER, strict=True)},
    LANDMARKS: {
        f"landmark_{i}_{what}": digits
        for i in range(N_LANDMARKS)
        for what, digits in (("x_px", 2), ("y_px", 2), ("visible", 3))
    },
    LANDMARKS_M: {f"landmark_{i}_{axis}_m": 5 for i in range(N_LANDMARKS) for axis in "xyz"},
}


def face_columns(extras: Collection[str] = ()) -> tuple[str, ...]:
    """Names of the columns of a face; extras: some of EXTRAS."""
    return ("face_id", *decimals(extras))


def decimals(extras: Collection[str] = ()) -> dict[str, int | None]:
    """dict name of a column of numbers -> decimals in a CSV; None: nine significant digits."""
    return _NUMBERS | {name: digits for extra in extras for name, digits in _OF_EXTRAS[extra].items()}


def face_values(face: Face, camera: CameraModel, extras: Collection[str] = ()) -> list[Value]:
    """The values of `face_columns` for a Face that this CameraModel saw.

    yaw, pitch, roll as AFLW2000, in the camera's axes and (`sight_`) relative to the line of sight; quaternion
    (x, y, z, w) and translation of the REP-155 face frame in the camera; box in pixels; covariance as in HeadPose,
    its upper triangle.
    """
    pose = face.pose
    values = [
        [face.score],
        pose.euler_aflw2000.stacked(),
        pose.euler_line_of_sight.stacked(),
        pose.quat_camera_face,
        pose.t_camera_head_m,
        face.box_px,
        [pose.rotation_std_deg, pose.depth_std_m],
        [np.nan if face.face_visibility is None else face.face_visibility],
        *(_OF[extra](face, camera) for extra in extras),
    ]
    numbers = np.concatenate(values).tolist()
    return [None if face.face_id is None else str(face.face_id), *(v if np.isfinite(v) else None for v in numbers)]


def _covariance(face: Face, camera: CameraModel) -> np.ndarray:
    covariance = face.pose.covariance
    return np.full(len(_UPPER[0]), np.nan) if covariance is None else covariance[_UPPER]


def _landmarks(face: Face, camera: CameraModel) -> np.ndarray:
    points_m = face.landmarks_camera_m
    if face.landmarks is None or points_m is None:
        return np.full(3 * N_LANDMARKS, np.nan)
    pixels = np.where((points_m[:, 2] > 0)[:, None], camera.project(points_m), np.nan)
    return np.column_stack([pixels, face.landmarks.visible]).ravel()


def _landmarks_m(face: Face, camera: CameraModel) -> np.ndarray:
    points_m = face.landmarks_camera_m
    return np.full(3 * N_LANDMARKS, np.nan) if points_m is None else points_m.ravel()


_OF = {COVARIANCE: _covariance, LANDMARKS: _landmarks, LANDMARKS_M: _landmarks_m}
