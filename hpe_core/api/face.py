"""One face as users see it: angles, position, uncertainty, landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpe_core.api.mesh import Mesh
from hpe_core.errors import HpeError
from hpe_core.geometry import so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg
from hpe_core.mesh.expressions import expression_of
from hpe_core.mesh.face_mesh import mesh_of
from hpe_core.types import Face

_GAZE = "left_yaw", "left_pitch", "right_yaw", "right_pitch"
MIN_PROBABILITY = 0.5  # that the head points so near, for looks_at_camera to say yes


@dataclass(frozen=True, eq=False, repr=False)
class FacePose:
    """One face: a head pose in the camera that saw it.

    Camera frame (optical): x right, y down, z forward, metres. Head frame: origin at the sellion (nose root), x to the
    subject's left, y down, z into the skull; a head that faces along the camera's axis has no rotation at all.

    detection: everything the pipeline says; camera: the CameraModel of the image; box_index: the row of `boxes` that it
    is for, where boxes were given.
    """

    detection: Face
    camera: CameraModel
    box_index: int | None = None

    @property
    def id(self) -> str | None:
        """`face_a` ... while it is tracked, None for a face of `predict`."""
        return None if self.detection.face_id is None else str(self.detection.face_id)

    @property
    def yaw(self) -> float:
        """Degrees, -90 to 90; above 0 the face is turned to the image's left (the subject's right).

        yaw, pitch and roll follow AFLW2000-3D: R = Rx(-pitch) Ry(yaw) Rz(roll). They are relative to the camera's axes;
        `relative_to_line_of_sight` has them relative to the direction in which the camera sees the face.
        """
        return float(self.detection.pose.euler_aflw2000.yaw)

    @property
    def pitch(self) -> float:
        """Degrees, -180 to 180; above 0 the face looks up."""
        return float(self.detection.pose.euler_aflw2000.pitch)

    @property
    def roll(self) -> float:
        """Degrees, -180 to 180; above 0 the head is tilted clockwise in the image."""
        return float(self.detection.pose.euler_aflw2000.roll)

    @property
    def R(self) -> np.ndarray:
        """Rotation (3, 3) from the head frame to the camera frame: v_camera = R @ v_head + position_m."""
        return self.detection.pose.R_camera_head.copy()

    @property
    def quaternion(self) -> np.ndarray:
        """The rotation R as a quaternion (4,) x, y, z, w (the order of SciPy and ROS)."""
        return so3.quat_from_matrix(self.detection.pose.R_camera_head)

    @property
    def quaternion_ros(self) -> np.ndarray:
        """Quaternion (4,) x, y, z, w of the REP-155 face frame (x out of the face, z to the scalp) in the camera frame,
        as in poses.csv and on the topics of the ROS nodes."""
        return self.detection.pose.quat_camera_face

    @property
    def position_m(self) -> np.ndarray:
        """Position (3,) of the sellion in the camera frame, metres: x right, y down, z forward."""
        return self.detection.pose.t_camera_head_m.copy()

    @property
    def distance_m(self) -> float:
        """Metres from the camera to the sellion."""
        return float(np.linalg.norm(self.detection.pose.t_camera_head_m))

    @property
    def covariance(self) -> np.ndarray | None:
        """Covariance (6, 6) in the order of ROS: position x, y, z in the camera frame (m^2), then rotation about the
        camera's x, y and z axes (rad^2); None when unknown."""
        covariance = self.detection.pose.covariance
        return None if covariance is None else covariance.copy()

    @property
    def std_deg(self) -> float | None:
        """Standard deviation of the rotation about one axis (root mean square of the three), degrees; None: unknown."""
        return _known(self.detection.pose.rotation_std_deg)

    @property
    def depth_std_m(self) -> float | None:
        """Standard deviation of the distance, metres; None when unknown."""
        return _known(self.detection.pose.depth_std_m)

    @property
    def score(self) -> float:
        """Score of full-frame detection, 0 to 1; 1 for a box of your own."""
        return float(self.detection.score)

    @property
    def face_visibility(self) -> float | None:
        """How likely the face itself can be seen, 0 to 1: near 0 for the back of a head, 0.5 when it is turned by about
        100 degrees; None when the model has no landmarks."""
        return self.detection.face_visibility

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in pixels: the head from ear to ear and from the hairline to the chin."""
        x0, y0, x1, y1 = (float(value) for value in self.detection.box_px)
        return x0, y0, x1, y1

    @property
    def landmarks_m(self) -> np.ndarray | None:
        """The 68 Multi-PIE landmarks (68, 3) in the camera frame, metres; None when the model has none, and of a head
        turned away (`face_visibility` below 0.1)."""
        return self.detection.landmarks_camera_m

    @property
    def landmarks_px(self) -> np.ndarray | None:
        """The 68 landmarks (68, 2) in the image, pixels; (0, 0) is the centre of the top left pixel."""
        points = self.landmarks_m
        return None if points is None else self.camera.project(points)

    @property
    def landmarks_visible(self) -> np.ndarray | None:
        """How visible (68,) each landmark is, 0 to 1."""
        landmarks = self.detection.landmarks
        return None if landmarks is None else landmarks.visible.copy()

    @property
    def expression(self) -> dict[str, float] | None:
        """Weights, 0 to 1, of 53 facial movements by name (`jawOpen`, `eyeBlink_L` ...; L and R are the subject's), of
        this image alone; None when the model tells none."""
        return None if self.detection.shape is None else expression_of(self.detection.shape)

    @property
    def identity(self) -> np.ndarray | None:
        """The shape of the face (40,) in standard deviations of the head model, in a stream averaged over the images of
        this face; None when the model tells none."""
        return None if self.detection.shape is None else np.array(self.detection.shape.identity, float)

    @property
    def gaze_deg(self) -> dict[str, float] | None:
        """Directions of the eyes in the head, degrees, to the subject's left and up: left_yaw, left_pitch, right_yaw,
        right_pitch; None when the model tells none."""
        shape = self.detection.shape
        if shape is None or shape.gaze_rad is None:
            return None
        return dict(zip(_GAZE, np.degrees(shape.gaze_rad).tolist(), strict=True))

    def mesh(self) -> Mesh | None:
        """The mesh of the face, where the camera sees it; None when the model tells no shape."""
        made = mesh_of(self.detection)
        return None if made is None else Mesh(made, self.camera)

    def relative_to_line_of_sight(self) -> EulerDeg:
        """yaw, pitch, roll in degrees relative to the ray from the camera to the face: all 0 for somebody who faces the
        camera, wherever in the image. Signs as those of `yaw`, `pitch` and `roll`."""
        angles = self.detection.pose.euler_line_of_sight
        return EulerDeg(float(angles.yaw), float(angles.pitch), float(angles.roll))

    def looks_at_camera(self, within_deg: float = 10.0) -> bool | None:
        """Whether the head points to the camera, to within so many degrees (0.5 to 90), more likely than not.

        The direction of the head, not that of the eyes. None when nobody can tell: the face is narrower than 48 pixels,
        its direction less certain than 12 degrees, or it would look there and cannot be seen.
        """
        from hpe_core.attention.config import AttentionConfig
        from hpe_core.attention.decision import Head, view_of
        from hpe_core.attention.targets import PlacedTarget

        try:
            within_deg = float(within_deg)
        except (TypeError, ValueError) as error:
            raise HpeError(f"within_deg must be a number of degrees, got {within_deg!r}") from error
        if not 0.5 <= within_deg <= 90.0:
            raise HpeError(f"within_deg must lie in [0.5, 90], got {within_deg:g}")
        x0, y0, x1, y1 = self.box
        head = Head(self.id or "", self.detection.pose, min(x1 - x0, y1 - y0), self.face_visibility)
        view = view_of(head, PlacedTarget("camera", np.zeros(3), 0.0), AttentionConfig(within_deg, within_deg))
        return None if view.problem else view.probability >= MIN_PROBABILITY

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers, lists and None, ready for JSON. Units are in the names; see the properties."""
        covariance, landmarks, identity = self.covariance, self.landmarks_px, self.identity
        return {
            "face_id": self.id,
            "score": self.score,
            "face_visibility": self.face_visibility,
            "yaw_deg": self.yaw,
            "pitch_deg": self.pitch,
            "roll_deg": self.roll,
            "std_deg": self.std_deg,
            "quaternion_xyzw": self.quaternion.tolist(),
            "position_m": self.position_m.tolist(),
            "depth_std_m": self.depth_std_m,
            "box_px": list(self.box),
            "box_index": self.box_index,
            "covariance": None if covariance is None else covariance.tolist(),
            "landmarks_px": None if landmarks is None else landmarks.tolist(),
            "expression": self.expression,
            "identity": None if identity is None else identity.tolist(),
            "gaze_deg": self.gaze_deg,
        }

    def __repr__(self) -> str:
        name = f"{self.id}, " if self.id else ""
        angles = f"yaw {self.yaw:+.1f}, pitch {self.pitch:+.1f}, roll {self.roll:+.1f} deg"
        return f"<face: {name}{angles}, {self.distance_m:.2f} m, score {self.score:.2f}>"


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
