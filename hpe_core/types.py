"""Frozen values that travel between the parts. Frames and units are in the names."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.face_id import FaceId
from hpe_core.geometry import euler, frames, so3
from hpe_core.geometry.head import FACE_CENTRE_M, relative_to_line_of_sight
from hpe_core.geometry.lookat import lookat_rotation

_I3 = np.eye(3)
FACE_SEEN_FROM = 0.5  # face_visibility of a face that can be seen
VISIBLE_FACE = "visible_face"  # class_id of the hypothesis in `heads` whose score is Face.face_visibility
_POSE_FIELDS = ("R_camera_head", "t_camera_head_m", "covariance")


@dataclass(frozen=True, eq=False)
class HeadPose:
    """Head frame seen from the camera optical frame: v_camera = R_camera_head @ v_head + t_camera_head_m.

    covariance: (6, 6) m^2, rad^2 in ROS order (x, y, z, rotations about the camera's x, y, z axes), where the true
    rotation is exp(error) @ R_camera_head; None means unknown, never zero.
    Raises HpeError when R is no rotation or a number is not finite.
    """

    R_camera_head: np.ndarray
    t_camera_head_m: np.ndarray
    covariance: np.ndarray | None = None

    def __post_init__(self) -> None:
        if np.shape(self.R_camera_head) != (3, 3):
            raise HpeError(f"head rotation must be a 3x3 matrix, got shape {np.shape(self.R_camera_head)}")
        R = np.array(self.R_camera_head, float)
        if R.shape != (3, 3) or not np.abs(R @ R.T - _I3).max() < 1e-9 or np.linalg.det(R) < 0:
            R = so3.project_to_rotation(R, max_residual=1e-3)
        t = np.array(self.t_camera_head_m, float)
        if t.shape != (3,) or not np.all(np.isfinite(t)):
            raise HpeError(f"head translation must be 3 finite numbers, got {t.tolist()}")
        object.__setattr__(self, "R_camera_head", R)
        object.__setattr__(self, "t_camera_head_m", t)
        if self.covariance is not None:
            covariance = np.array(self.covariance, float)
            if covariance.shape != (6, 6) or not np.all(np.isfinite(covariance)):
                raise HpeError(f"pose covariance must be 6x6 and finite, got shape {covariance.shape}")
            object.__setattr__(self, "covariance", covariance)

    @classmethod
    def many(cls, R: np.ndarray, t: np.ndarray, covariances: np.ndarray | None = None) -> "list[HeadPose]":
        """The HeadPose of each rotation (N, 3, 3), position (N, 3) m and covariance (N, 6, 6); one check for all.

        Raises HpeError as one alone would.
        """
        R, t = np.array(R, float), np.array(t, float)
        given = [None] * len(R) if covariances is None else np.array(covariances, float)
        fine = (
            (R.shape[1:], t.shape[1:]) == ((3, 3), (3,))
            and (np.abs(R @ R.swapaxes(-1, -2) - _I3) < 1e-9).all()
            and (np.linalg.det(R) > 0).all()
            and np.isfinite(t).all()
            and (isinstance(given, list) or (given.shape[1:] == (6, 6) and np.isfinite(given).all()))
        )
        if not fine:
            return [cls(*one) for one in zip(R, t, given, strict=True)]
        made = []
        for one in zip(R, t, given, strict=True):
            pose = object.__new__(cls)
            pose.__dict__.update(zip(_POSE_FIELDS, one, strict=True))
            made.append(pose)
        return made

    def with_covariance(self, covariance: np.ndarray) -> "HeadPose":
        """The same pose, which is not checked again, with another covariance (6, 6), which is its own from now on.

        Raises HpeError when that is not finite.
        """
        if covariance.shape != (6, 6) or not np.isfinite(covariance).all():
            raise HpeError(f"pose covariance must be 6x6 and finite, got shape {covariance.shape}")
        pose = object.__new__(HeadPose)
        pose.__dict__.update(self.__dict__, covariance=covariance)
        return pose

    @property
    def euler_aflw2000(self) -> euler.EulerDeg:
        """EulerDeg in the AFLW2000 native convention."""
        return euler.aflw2000.from_matrix(self.R_camera_head)

    @property
    def euler_line_of_sight(self) -> euler.EulerDeg:
        """EulerDeg, AFLW2000, relative to the line of sight: all 0 for somebody who faces the camera."""
        return relative_to_line_of_sight(self.R_camera_head, self.t_camera_head_m)

    @property
    def quat_camera_face(self) -> np.ndarray:
        """Quaternion (4,) x, y, z, w of the REP-155 face frame in the camera optical frame."""
        return so3.quat_from_matrix(frames.face_from_head(self.R_camera_head))

    @property
    def quat_camera_gaze(self) -> np.ndarray:
        """Quaternion (4,) x, y, z, w of the REP-155 gaze frame in the camera optical frame."""
        return so3.quat_from_matrix(frames.gaze_from_head(self.R_camera_head))

    @property
    def covariance_ros(self) -> np.ndarray:
        """Covariance (36,) row-major for PoseWithCovariance; unknown is -1 in element 0, as in sensor_msgs/Imu."""
        return np.array([-1.0] + 35 * [0.0]) if self.covariance is None else self.covariance.ravel()

    @property
    def rotation_std_deg(self) -> float:
        """Root mean square standard deviation of the rotation about one axis, degrees; NaN when unknown."""
        return np.nan if self.covariance is None else np.degrees(np.sqrt(np.trace(self.covariance[3:, 3:]) / 3.0))

    @property
    def depth_std_m(self) -> float:
        """Standard deviation along the line of sight, metres; NaN when unknown."""
        if self.covariance is None:
            return np.nan
        ray = self.t_camera_head_m / np.linalg.norm(self.t_camera_head_m)
        return float(np.sqrt(ray @ self.covariance[:3, :3] @ ray))


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The 68 Multi-PIE landmarks of one face as a network saw them (hpe_core.geometry.landmarks68).

    points_local_m: (68, 3) in the virtual camera that is turned to the face, x right, y down, z away, from the face
    centre, on a head of reference size (weak perspective: x = REFERENCE_LENGTH_M * pixels / size_px); visible: (68,) in
    0 ... 1.
    """

    points_local_m: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True, eq=False)
class FaceShape:
    """What a dense network says of one face, by the directions of hpe_core.mesh.head_model.

    identity: (40,) standard deviations, averaged over the images of a track; expression: (53,) in 0 ... 1, of this
    image; gaze_rad: (4,) left yaw, pitch, right yaw, pitch of the eyes in the head, to the subject's left and up, None
    without a network that tells it; log_size: ln of how much larger than the reference people of this identity are.
    """

    identity: np.ndarray
    expression: np.ndarray
    gaze_rad: np.ndarray | None = None
    log_size: float = 0.0


@dataclass(frozen=True)
class RangeReading:
    """What a depth image says of a face. ratio: of the range to the size-based one; both standard deviations are
    relative to it. noise_std: what is another error in the next image; systematic_std: what is the same one.
    """

    ratio: float
    noise_std: float
    systematic_std: float


@dataclass(frozen=True)
class RangeScale:
    """How many times larger and farther off a face is than a head of reference size that looks the same, with the
    relative standard deviation of that which no filter averages away: of the identity of a face, or of depth images.
    """

    ratio: float
    rel_std: float


@dataclass(frozen=True, eq=False)
class Face:
    """One face in one image. box_px: (4,) x0, y0, x1, y1; confirmed: whether a crop network, too, takes it for a face;
    None where none tells. face_visibility: 0 to 1, how likely the face itself can be seen, which is turned away less
    than about 100 degrees; None where no landmarks tell. landmarks: None also of a head turned away.

    face_id: of its track, of five letters as in `face_rkqsf`, and never of another track; slot: a number from 0 to 63
    that only this face has now and another one may have later. Both are None before tracking. reading: of its range in
    this depth image; scale: as depth images of this or earlier images say, or the identity;
    None where the size alone counts. shape: of a dense network, of which hpe_core.mesh.face_mesh makes a mesh.
    """

    pose: HeadPose
    score: float
    box_px: np.ndarray
    face_id: FaceId | None = None
    landmarks: Landmarks | None = None
    confirmed: bool | None = None
    slot: int | None = None
    reading: RangeReading | None = None
    scale: RangeScale | None = None
    face_visibility: float | None = None
    shape: FaceShape | None = None

    def changed(self, **fields: Any) -> "Face":
        """As dataclasses.replace of these fields, which takes ten times as long: several times per face and image.

        Raises TypeError for what is no field.
        """
        if not fields.keys() <= self.__dict__.keys():
            raise TypeError(f"a Face has no {', '.join(sorted(fields.keys() - self.__dict__.keys()))}")
        face = object.__new__(Face)
        face.__dict__.update(self.__dict__, **fields)
        return face

    @property
    def turned_away(self) -> bool:
        """Whether the head is there but its face cannot be seen; False where nothing tells."""
        return self.face_visibility is not None and self.face_visibility < FACE_SEEN_FROM

    @property
    def landmarks_camera_m(self) -> np.ndarray | None:
        """Landmarks (68, 3) in the camera optical frame, metres, where the camera sees them; None without a network."""
        if self.landmarks is None:
            return None
        ratio = 1.0 if self.scale is None else self.scale.ratio
        centre = self.pose.t_camera_head_m / ratio + self.pose.R_camera_head @ FACE_CENTRE_M  # of a reference head
        range_m = np.linalg.norm(centre)
        points = self.landmarks.points_local_m
        # weak perspective to perspective: x / range is what the virtual camera sees, at depth range + z
        points = points * np.stack([1.0 + points[:, 2] / range_m] * 2 + [np.ones(len(points))], -1)
        return ratio * (centre + points @ lookat_rotation(centre / range_m))


def primary_face(faces: Iterable[Face]) -> Face | None:
    """The nearest of the faces, the one that `head_pose` is about; None when there is none."""
    return min(faces, key=lambda face: np.linalg.norm(face.pose.t_camera_head_m), default=None)


# what FrameResult.counts always holds, as people read it; what a rotation source counts is named by itself
COUNTED = {
    "untracked": "faces beyond max_faces",
    "beyond_lens": "faces where the distortion has no inverse",
    "unconfirmed": "faces not confirmed, not published",
}


def count_text(name: str) -> str:
    """What a name in FrameResult.counts means."""
    return COUNTED.get(name) or name.replace(".", " ")


@dataclass(frozen=True, eq=False)
class FrameResult:
    """Everything known about one image; an image without a face has `faces == ()`.

    stage_s: seconds spent per stage. counts: name -> how many; `untracked`: faces that full-frame detection saw beyond
    max_faces (with those hidden for the moment), dropped; `beyond_lens`: faces found where the lens's distortion has no
    inverse (CameraModel.rays), which have no pose; `unconfirmed`: what the whole-image network took for a face and the
    crop network did not, such as the back of a head, or gave no rotation of; and what hpe_core.rotations counts, such
    as `nlml.rigid`.
    candidate_boxes_px: (M, 4) x0, y0, x1, y1 of everything that was taken for a face in this image, or was expected to
    be one, published or not: squares of REFERENCE_LENGTH_M around the face's centre.
    """

    stamp_ns: int
    faces: tuple[Face, ...]
    stage_s: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    candidate_boxes_px: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
