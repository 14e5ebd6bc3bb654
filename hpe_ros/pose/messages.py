"""Messages of the pose node for the faces of an image; headers are copied, never restamped."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseArray,
    PoseWithCovariance,
    PoseWithCovarianceStamped,
    Quaternion,
    Transform,
    TransformStamped,
)
from std_msgs.msg import ColorRGBA, Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from hpe_core.face_id import FaceId
from hpe_core.geometry import frames, so3
from hpe_core.geometry.head import HEAD_BOX_CENTRE_FACE_M, HEAD_BOX_SIZE_M
from hpe_core.types import VISIBLE_FACE, Face, primary_face
from hpe_ros.messages import point, vector3
from hpe_ros.optional import HAS_VISION_MSGS

if TYPE_CHECKING or HAS_VISION_MSGS:  # without it the node has no `heads`
    from vision_msgs.msg import BoundingBox3D, Detection3D, Detection3DArray, ObjectHypothesis, ObjectHypothesisWithPose

GAZE_RAY_M = 0.5
_RAY_WIDTH_M, _TEXT_HEIGHT_M, _TEXT_ABOVE_M, _DOT_M = 0.015, 0.05, 0.18, 0.004


def face_poses(faces: Sequence[Face]) -> list[Pose]:
    """One geometry_msgs/Pose per Face: its REP-155 face frame in the camera."""
    quats = _quaternions(frames.face_from_head, faces)
    return [
        Pose(position=point(face.pose.t_camera_head_m), orientation=quat)
        for face, quat in zip(faces, quats, strict=True)
    ]


def pose_array(poses: list[Pose], header: Header) -> PoseArray:
    """geometry_msgs/PoseArray of `face_poses`; empty when there is no face."""
    return PoseArray(header=header, poses=poses)


def primary_pose(faces: Sequence[Face], poses: list[Pose], header: Header) -> PoseWithCovarianceStamped | None:
    """geometry_msgs/PoseWithCovarianceStamped of the nearest face, or None when there is none."""
    face = primary_face(faces)
    if face is None:
        return None
    return PoseWithCovarianceStamped(header=header, pose=_with_covariance(face, poses[faces.index(face)]))


def detections(faces: Sequence[Face], poses: list[Pose], header: Header, by_slot: bool = False) -> "Detection3DArray":
    """vision_msgs/Detection3DArray of faces with their `face_poses`; only where vision_msgs is installed.

    by_slot: as in `transforms`; each face then has a second hypothesis, whose class_id is the name of its TF frame.
    The score of a last one, VISIBLE_FACE, is face_visibility, where that is known.
    """
    heads = [_detection(face, pose, header, by_slot) for face, pose in zip(faces, poses, strict=True)]
    return Detection3DArray(header=header, detections=heads)


def tf_name(face: Face, by_slot: bool) -> FaceId:
    """What TF calls a Face: by its id, or by its slot."""
    return FaceId.of_number(face.slot) if by_slot and face.slot is not None else FaceId(face.face_id)


def transforms(
    faces: Sequence[Face], poses: list[Pose], header: Header, prefix: str = "", by_slot: bool = False
) -> TFMessage:
    """tf2_msgs/TFMessage with face_<prefix><id> and gaze_<prefix><id> (REP-155) under the header's frame; by_slot: with
    the name of the slot for the id."""
    made = []
    for face, pose, gaze in zip(faces, poses, _quaternions(frames.gaze_from_head, faces), strict=True):
        translation = vector3(face.pose.t_camera_head_m)
        face_id = tf_name(face, by_slot)
        for name, rotation in ((face_id.face_frame(prefix), pose.orientation), (face_id.gaze_frame(prefix), gaze)):
            transform = Transform(translation=translation, rotation=rotation)
            made.append(TransformStamped(header=header, child_frame_id=name, transform=transform))
    return TFMessage(transforms=made)


def markers(faces: Sequence[Face], poses: list[Pose], header: Header) -> MarkerArray:
    """visualization_msgs/MarkerArray for RViz: per Face its head, its gaze ray and a text; first all old ones go.

    Namespaces `head`, `gaze` and `text`, one id per face, so that each can be switched off.
    """
    made = [Marker(header=header, action=Marker.DELETEALL)]
    for face, pose in zip(faces, poses, strict=True):
        made += _face_markers(face, pose, header)
    return MarkerArray(markers=made)


def landmark_markers(faces: Sequence[Face], header: Header) -> MarkerArray:
    """visualization_msgs/MarkerArray: the 68 landmarks of each Face that has them; first all old ones go.

    Apart from `markers`, because they take as long as those again.
    """
    made = [Marker(header=header, action=Marker.DELETEALL)]
    for face in faces:
        points_camera_m = face.landmarks_camera_m
        if points_camera_m is not None:
            points = [Point(x=x, y=y, z=z) for x, y, z in points_camera_m.tolist()]
            size_m = (_DOT_M, _DOT_M, _DOT_M)
            made.append(_marker(face, header, "landmarks", Marker.POINTS, 1.0, size_m, points=points))
    return MarkerArray(markers=made)


def _marker(
    face: Face, header: Header, namespace: str, kind: int, opacity: float, size_m: Sequence[float], **fields
) -> Marker:
    face_id = FaceId(face.face_id)
    red, green, blue = (channel / 255.0 for channel in face_id.colour_rgb)
    colour = ColorRGBA(r=red, g=green, b=blue, a=opacity)
    scale = vector3(np.array(size_m))
    return Marker(header=header, ns=namespace, id=face_id.number, type=kind, color=colour, scale=scale, **fields)


def _face_markers(face: Face, pose: Pose, header: Header) -> list[Marker]:
    marker = functools.partial(_marker, face, header)
    head = marker("head", Marker.SPHERE, 0.5, HEAD_BOX_SIZE_M, pose=_box_pose(face, pose))
    # an ARROW points along x, and so does the face frame; the gaze is the head's until eyes are measured
    ray = marker("gaze", Marker.ARROW, 1.0, (GAZE_RAY_M, _RAY_WIDTH_M, _RAY_WIDTH_M), pose=pose)
    crown = face.pose.R_camera_head @ np.array([0.0, -_TEXT_ABOVE_M, 0.0])
    above = Pose(position=point(face.pose.t_camera_head_m + crown))
    text = f"{face.face_id} {np.linalg.norm(face.pose.t_camera_head_m):.2f} m"
    label = marker("text", Marker.TEXT_VIEW_FACING, 1.0, (0.0, 0.0, _TEXT_HEIGHT_M), pose=above, text=text)
    return [head, ray, label]


def _quaternions(frame_from_head: Callable[[np.ndarray], np.ndarray], faces: Sequence[Face]) -> list[Quaternion]:
    """One geometry_msgs/Quaternion per Face, its rotation by frame_from_head (N, 3, 3) -> (N, 3, 3).

    All faces at once, because a call costs more than its numbers.
    """
    if not faces:
        return []
    quats = so3.quat_from_matrix(frame_from_head(np.array([face.pose.R_camera_head for face in faces])))
    return [Quaternion(x=x, y=y, z=z, w=w) for x, y, z, w in quats.tolist()]


def _with_covariance(face: Face, pose: Pose) -> PoseWithCovariance:
    return PoseWithCovariance(pose=pose, covariance=face.pose.covariance_ros)


def _box_pose(face: Face, pose: Pose) -> Pose:
    """geometry_msgs/Pose of the box around the head, in the axes of its face frame."""
    R_camera_face = frames.face_from_head(face.pose.R_camera_head)
    centre = face.pose.t_camera_head_m + R_camera_face @ HEAD_BOX_CENTRE_FACE_M
    return Pose(position=point(centre), orientation=pose.orientation)


def _detection(face: Face, pose: Pose, header: Header, by_slot: bool) -> "Detection3D":
    box = BoundingBox3D(center=_box_pose(face, pose), size=vector3(HEAD_BOX_SIZE_M))
    classes, with_covariance = {"head": face.score}, _with_covariance(face, pose)
    if by_slot:
        classes[tf_name(face, by_slot)] = face.score
    if face.face_visibility is not None:
        classes[VISIBLE_FACE] = face.face_visibility
    results = [
        ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=name, score=score), pose=with_covariance)
        for name, score in classes.items()
    ]
    return Detection3D(header=header, results=results, bbox=box, id=face.face_id)
