"""One labelled image of a dataset, and the scaled-orthographic fits of 3DDFA that two of them are labelled with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.geometry import euler
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M, REFERENCE_LENGTH_M, range_from_size
from hpe_core.geometry.lookat import global_from_local
from hpe_core.io.files import read_regular
from hpe_core.pixels.encodings import bgr_from_compressed
from hpe_core.pixels.image_header import MAX_FILE_BYTES

SELLION = 27  # of the 68 Multi-PIE landmarks
ORTHOGRAPHIC_UNITS_PER_M = 1e6  # the Basel face model is in micrometres


@dataclass(frozen=True, kw_only=True)
class Facing:
    """A label that is a direction only: pan_deg (turned to the image's left is positive) and tilt_deg (up is) of the
    marker that somebody was asked to face. Right in its order within a sequence, not in its size.
    """

    pan_deg: float
    tilt_deg: float
    person: str


@dataclass(frozen=True, eq=False)
class Sample:
    """A labelled image. sequence: images of one sequence follow each other in time or are a series of one head, "" for
    unrelated images.

    R (3, 3): R_local (see hpe_core.geometry.lookat) where `local`, else R_camera_head; box_px (4,) x0, y0, x1, y1 of
    the face or None; t_m (3,): R_camera_head's head in the camera, None when unknown; size_px, sellion_px (2,): of a
    scaled-orthographic fit, None elsewhere; camera: None when there is no calibration.
    image_id: what several faces of one image share, "" for an image of its own; encoded: bytes of the image where it is
    no file by itself; others_px (M, 4): boxes of everything else in the image that is a face or may be one, None when
    that is not known; of_landmarks: whether box_px bounds the 68 landmarks, which crops of published networks are made
    from, or is a face box of another kind; facing: of a label that is a direction only, R has no roll then;
    landmarks_px (68, 2): where the set has them.
    """

    name: str
    path: Path
    sequence: str
    stamp_ns: int
    R: np.ndarray
    local: bool
    box_px: np.ndarray | None = None
    t_m: np.ndarray | None = None
    size_px: float | None = None
    sellion_px: np.ndarray | None = None
    camera: CameraModel | None = None
    image_id: str = ""
    encoded: bytes | None = None
    others_px: np.ndarray | None = None
    of_landmarks: bool = True
    facing: Facing | None = None
    landmarks_px: np.ndarray | None = None

    def image(self) -> np.ndarray:
        """The image (H, W, 3) uint8 BGR. Raises HpeError when it cannot be read."""
        try:
            encoded = read_regular(self.path, MAX_FILE_BYTES) if self.encoded is None else self.encoded
            return bgr_from_compressed(encoded)
        except HpeError as error:
            raise HpeError(f"image cannot be read: {error}") from error

    @property
    def angles(self) -> euler.EulerDeg:
        """EulerDeg of the label as its dataset publishes it."""
        return euler.aflw2000.from_matrix(self.R)


def pose_in_camera(sample: Sample, camera: CameraModel) -> tuple[np.ndarray, np.ndarray]:
    """R_camera_head (3, 3) and t_m (3,) of a Sample's label in a CameraModel.

    A scaled-orthographic fit is placed where its face centre and size appear in that camera, so its distance is as good
    as the assumed focal length and the mean head. Raises HpeError when its camera has no ray there.
    """
    if sample.t_m is not None:
        return sample.R, sample.t_m
    if sample.sellion_px is None or sample.size_px is None:
        raise HpeError(f"{sample.name}: the label has no position and no size")
    centre_px = sample.sellion_px + sample.size_px / REFERENCE_LENGTH_M * (sample.R @ FACE_CENTRE_M)[:2]
    ray = camera.rays(centre_px)
    if not np.all(np.isfinite(ray)):
        raise HpeError(f"{sample.name}: the camera's distortion has no inverse at the face, {centre_px.round(1)} px")
    R, centre_m = global_from_local(sample.R, ray, range_from_size(camera, ray, sample.size_px))
    return R, centre_m - R @ FACE_CENTRE_M


def read_fit(path: str | Path, image_path: Path, name: str, index: int) -> Sample:
    """Sample of a .mat file of AFLW2000-3D or 300W-LP: Pose_Para = pitch, yaw, roll (rad), translation, scale; and
    pt3d_68 or pt2d = 68 landmarks. Raises HpeError when the file is not one."""
    from scipy.io import loadmat

    try:
        fields = loadmat(str(path), variable_names=("Pose_Para", "pt3d_68", "pt2d"))
        pose = np.asarray(fields["Pose_Para"], float).ravel()
        points = np.asarray(fields["pt3d_68"] if "pt3d_68" in fields else fields["pt2d"], float)[:2]
    except Exception as error:  # loadmat lets struct, zlib, index and type errors through
        raise HpeError(f"{path} is not a label file with Pose_Para and 68 landmarks: {error}") from error
    if pose.size < 7 or points.shape != (2, 68) or not np.all(np.isfinite(pose)):
        raise HpeError(
            f"{path} must have 7 numbers in Pose_Para and 2x68 landmarks, got {pose.size} and {points.shape}"
        )
    pitch, yaw, roll = np.degrees(pose[:3])
    R = euler.aflw2000.to_matrix(euler.EulerDeg(yaw=yaw, pitch=pitch, roll=roll))
    size_px = REFERENCE_LENGTH_M * ORTHOGRAPHIC_UNITS_PER_M * pose[6]
    if not size_px > 0:
        raise HpeError(f"{path}: the scale in Pose_Para must be above 0, got {pose[6]}")
    box = np.concatenate([points.min(1), points.max(1)])
    return Sample(
        name=name,
        path=image_path,
        sequence="",
        stamp_ns=index,
        R=R,
        local=True,
        box_px=box,
        size_px=float(size_px),
        sellion_px=points[:, SELLION],
        landmarks_px=points.T,
    )
