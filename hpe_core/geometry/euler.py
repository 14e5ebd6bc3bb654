"""Named Euler conventions. Angles exist only at edges, always through one of the conventions below.

Every convention maps R_camera_head (head frame: x to the subject's left, y down, z into the skull; camera optical
frame) to yaw, pitch, roll in degrees and back. The rotation is a product of three turns about coordinate axes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class EulerDeg:
    """Yaw, pitch, roll in degrees, scalars or arrays (...,) of one shape; meaningless without its convention."""

    yaw: np.ndarray | float
    pitch: np.ndarray | float
    roll: np.ndarray | float

    def stacked(self) -> np.ndarray:
        """(..., 3) degrees: yaw, pitch, roll."""
        return np.stack([self.yaw, self.pitch, self.roll], -1)


def axis_turn(axis: int, angle_rad: ArrayLike) -> np.ndarray:
    """Rotation matrices (..., 3, 3) about coordinate axis 0, 1 or 2 by angles (...,) rad."""
    angle_rad = np.asarray(angle_rad, float)
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R = np.zeros(angle_rad.shape + (3, 3))
    R[..., axis, axis] = 1.0
    R[..., i, i], R[..., j, j] = c, c
    R[..., i, j], R[..., j, i] = -s, s
    return R


def _angles_xyz(R):
    """a, b, c (rad) with R = Rx(a) Ry(b) Rz(c), b in [-pi/2, pi/2]; at b = +-pi/2, c is 0."""
    b = np.arcsin(np.clip(R[..., 0, 2], -1.0, 1.0))
    locked = np.abs(R[..., 0, 2]) > 1.0 - 1e-12
    a = np.where(locked, np.arctan2(R[..., 2, 1], R[..., 1, 1]), np.arctan2(-R[..., 1, 2], R[..., 2, 2]))
    c = np.where(locked, 0.0, np.arctan2(-R[..., 0, 1], R[..., 0, 0]))
    return a, b, c


def _angles_zyx(R):
    """c, b, a (rad) with R = Rz(c) Ry(b) Rx(a), b in [-pi/2, pi/2]; at b = +-pi/2, a is 0."""
    b = -np.arcsin(np.clip(R[..., 2, 0], -1.0, 1.0))
    locked = np.abs(R[..., 2, 0]) > 1.0 - 1e-12
    c = np.where(locked, np.arctan2(-R[..., 0, 1], R[..., 1, 1]), np.arctan2(R[..., 1, 0], R[..., 0, 0]))
    a = np.where(locked, 0.0, np.arctan2(R[..., 2, 1], R[..., 2, 2]))
    return c, b, a


def _angles_yxz(R):
    """b, a, c (rad) with R = Ry(b) Rx(a) Rz(c), a in [-pi/2, pi/2]; at a = +-pi/2, c is 0."""
    a = -np.arcsin(np.clip(R[..., 1, 2], -1.0, 1.0))
    locked = np.abs(R[..., 1, 2]) > 1.0 - 1e-12
    b = np.where(locked, np.arctan2(-R[..., 2, 0], R[..., 0, 0]), np.arctan2(R[..., 0, 2], R[..., 2, 2]))
    c = np.where(locked, 0.0, np.arctan2(R[..., 1, 0], R[..., 1, 1]))
    return b, a, c


class Aflw2000:
    """AFLW2000-3D and 300W-LP: R = Rx(-pitch) Ry(yaw) Rz(roll).

    yaw > 0 turns the face to the image's left, pitch > 0 up, roll > 0 clockwise in the image.
    Source: `Pose_Para` = (pitch, yaw, roll). 3DDFA's passive X-Y-Z product P = Rx(-pitch) Ry(-yaw) Rz(-roll) leads from
    the head to a camera with y up and z to the viewer, so R = C P C with C = diag(1, -1, -1). The transpose of P is the
    way back, camera to head, and the label of 6DRepNet.
    """

    @staticmethod
    def from_matrix(R_camera_head: ArrayLike) -> EulerDeg:
        """EulerDeg of rotations (..., 3, 3)."""
        a, b, c = _angles_xyz(np.asarray(R_camera_head, float))
        return EulerDeg(yaw=np.degrees(b), pitch=np.degrees(-a), roll=np.degrees(c))

    @staticmethod
    def to_matrix(angles: EulerDeg) -> np.ndarray:
        """R_camera_head (..., 3, 3) of EulerDeg."""
        yaw, pitch, roll = np.radians(angles.yaw), np.radians(angles.pitch), np.radians(angles.roll)
        return axis_turn(0, -pitch) @ axis_turn(1, yaw) @ axis_turn(2, roll)

    @staticmethod
    def std_deg(R_camera_head: ArrayLike, covariance_rad2: ArrayLike) -> EulerDeg:
        """Standard deviations as EulerDeg of rotations (..., 3, 3) with covariances (..., 3, 3) rad^2 about the
        camera's axes; NaN where those are.

        To first order, where the true rotation is exp(error) @ R_camera_head. They grow beyond all bounds towards a yaw
        of +-90 degrees, where roll and pitch cannot be told apart; infinite there.
        """
        a, b, _ = _angles_xyz(np.asarray(R_camera_head, float))
        locked = (np.abs(np.cos(b)) < 1e-6)[..., None]
        first = axis_turn(0, a)
        # columns: the axis in the camera about which each angle turns
        second, third = first[..., :, 1], (first @ axis_turn(1, b))[..., :, 2]
        axes = np.stack([np.broadcast_to(np.eye(3)[0], second.shape), second, third], -1)
        inverse = np.linalg.inv(np.where(locked[..., None], np.eye(3), axes))
        variance = np.einsum("...ij,...jk,...ik->...i", inverse, np.asarray(covariance_rad2, float), inverse)
        pitch, yaw, roll = np.moveaxis(np.where(locked, np.inf, np.degrees(np.sqrt(np.maximum(variance, 0.0)))), -1, 0)
        return EulerDeg(yaw=yaw, pitch=pitch, roll=roll)


class Biwi(Aflw2000):
    """BIWI Kinect as every crop-based paper reads it: the same product, applied to R in the depth-camera frame.

    `R' = R^T; roll = -atan2(R'10, R'00), yaw = -atan2(-R'20, hypot(R'21, R'22)), pitch = atan2(R'21, R'22)`
    (Hopenet's reader) is Rx(-pitch) Ry(yaw) Rz(roll). Its head frame differs from AFLW2000's by a few degrees.
    """


class PanTilt:
    """Where the face points: R = Ry(yaw) Rx(-pitch) Rz(roll), yaw the pan to +-180 and pitch the tilt to +-90.

    Signs as in Aflw2000, and the same angles where yaw or pitch is 0; but defined at any yaw, turned heads and their
    backs included, and not where the face points straight up or down.
    """

    @staticmethod
    def from_matrix(R_camera_head: ArrayLike) -> EulerDeg:
        """EulerDeg of rotations (..., 3, 3)."""
        b, a, c = _angles_yxz(np.asarray(R_camera_head, float))
        return EulerDeg(yaw=np.degrees(b), pitch=np.degrees(-a), roll=np.degrees(c))

    @staticmethod
    def to_matrix(angles: EulerDeg) -> np.ndarray:
        """R_camera_head (..., 3, 3) of EulerDeg."""
        yaw, pitch, roll = np.radians(angles.yaw), np.radians(angles.pitch), np.radians(angles.roll)
        return axis_turn(1, yaw) @ axis_turn(0, -pitch) @ axis_turn(2, roll)


class RosRpy:
    """ROS fixed-axis roll, pitch, yaw (REP-103) of any rotation: R = Rz(yaw) Ry(pitch) Rx(roll).

    Apply it to R_base_face of a REP-155 face frame in an x-forward, z-up frame, not to camera axes.
    """

    @staticmethod
    def from_matrix(R: ArrayLike) -> EulerDeg:
        """EulerDeg of rotations (..., 3, 3)."""
        c, b, a = _angles_zyx(np.asarray(R, float))
        return EulerDeg(yaw=np.degrees(c), pitch=np.degrees(b), roll=np.degrees(a))

    @staticmethod
    def to_matrix(angles: EulerDeg) -> np.ndarray:
        """R (..., 3, 3) of EulerDeg."""
        yaw, pitch, roll = np.radians(angles.yaw), np.radians(angles.pitch), np.radians(angles.roll)
        return axis_turn(2, yaw) @ axis_turn(1, pitch) @ axis_turn(0, roll)


aflw2000 = Aflw2000
biwi = Biwi
pan_tilt = PanTilt
ros_rpy = RosRpy
