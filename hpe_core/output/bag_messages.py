"""The messages of the poses bag, of the classes that rosbags makes; no ROS needed."""

from collections.abc import Callable, Sequence
from itertools import starmap
from typing import Any

import cv2
import numpy as np

from hpe_core.errors import HpeError
from hpe_core.face_id import FaceId
from hpe_core.geometry import frames, so3
from hpe_core.geometry.head import HEAD_BOX_CENTRE_FACE_M, HEAD_BOX_SIZE_M
from hpe_core.io.message_types import Message
from hpe_core.mesh.expressions import named_expressions
from hpe_core.output.annotations import PLATE_OPACITY, Annotations, Rgb
from hpe_core.types import VISIBLE_FACE, Face

JPEG_QUALITY = 90
_POINT_KINDS = {"points": 1, "line_loop": 2, "line_list": 4}  # constants of foxglove_msgs/PointsAnnotation
_FLOAT32, _UINT32 = 7, 6  # constants of sensor_msgs/PointField
_LANDMARK = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("visible", "<f4"), ("landmark", "<u4"), ("face", "<u4")]
)


class Messages:
    """Maker of messages from the classes of a type store."""

    def __init__(self, types: dict[str, Any]):
        self._classes = {name.replace("/msg/", "/"): made for name, made in types.items()}

    def header(self, stamp_ns: int, frame_id: str) -> Message:
        """std_msgs/Header. Raises HpeError when the stamp does not fit a ROS time."""
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        if not -(1 << 31) <= seconds < 1 << 31:
            raise HpeError(f"stamp {stamp_ns} ns does not fit a ROS time")
        return self._make("std_msgs/Header", self._make("builtin_interfaces/Time", seconds, nanoseconds), frame_id)

    def poses(self, faces: Sequence[Face]) -> list[Message]:
        """One geometry_msgs/Pose per Face: its REP-155 face frame in the camera."""
        quats = self._quaternions(frames.face_from_head, faces)
        return [
            self._make("geometry_msgs/Pose", self._point(face.pose.t_camera_head_m), quat)
            for face, quat in zip(faces, quats, strict=True)
        ]

    def pose_array(self, header: Message, poses: list[Message]) -> Message:
        """geometry_msgs/PoseArray of `poses`."""
        return self._make("geometry_msgs/PoseArray", header, poses)

    def primary(self, header: Message, face: Face, pose: Message) -> Message:
        """geometry_msgs/PoseWithCovarianceStamped of one Face and its pose."""
        return self._make("geometry_msgs/PoseWithCovarianceStamped", header, self._with_covariance(face, pose))

    def angles(self, header: Message, face: Face) -> Message:
        """geometry_msgs/Vector3Stamped: x roll, y pitch, z yaw in degrees, AFLW2000 convention."""
        angles = face.pose.euler_aflw2000
        return self._make("geometry_msgs/Vector3Stamped", header, self._vector((angles.roll, angles.pitch, angles.yaw)))

    def transforms(self, header: Message, faces: Sequence[Face], poses: list[Message]) -> Message:
        """tf2_msgs/TFMessage with face_<id> and gaze_<id> (REP-155) under the header's frame."""
        made = []
        for face, pose, gaze in zip(faces, poses, self._quaternions(frames.gaze_from_head, faces), strict=True):
            translation, face_id = self._vector(face.pose.t_camera_head_m), FaceId(face.face_id)
            for name, rotation in ((face_id.face_frame(), pose.orientation), (face_id.gaze_frame(), gaze)):
                transform = self._make("geometry_msgs/Transform", translation, rotation)
                made.append(self._make("geometry_msgs/TransformStamped", header, name, transform))
        return self._make("tf2_msgs/TFMessage", made)

    def heads(self, header: Message, faces: Sequence[Face], poses: list[Message]) -> Message:
        """vision_msgs/Detection3DArray as the pose node publishes it: id, score, face_visibility, box, pose with
        covariance."""
        made = []
        for face, pose in zip(faces, poses, strict=True):
            R_camera_face = frames.face_from_head(face.pose.R_camera_head)
            centre = self._point(face.pose.t_camera_head_m + R_camera_face @ HEAD_BOX_CENTRE_FACE_M)
            centre = self._make("geometry_msgs/Pose", centre, pose.orientation)
            box = self._make("vision_msgs/BoundingBox3D", centre, self._vector(HEAD_BOX_SIZE_M))
            classes = {"head": face.score, VISIBLE_FACE: face.face_visibility}
            with_covariance = self._with_covariance(face, pose)
            results = [
                self._make(
                    "vision_msgs/ObjectHypothesisWithPose",
                    self._make("vision_msgs/ObjectHypothesis", name, float(score)),
                    with_covariance,
                )
                for name, score in classes.items()
                if score is not None
            ]
            made.append(self._make("vision_msgs/Detection3D", header, results, box, str(face.face_id)))
        return self._make("vision_msgs/Detection3DArray", header, made)

    def landmarks(self, header: Message, faces: Sequence[Face]) -> Message:
        """sensor_msgs/PointCloud2 of the 68 landmarks of every Face that has them, metres in the camera optical frame.

        Fields: x, y, z; visible (0 to 1); landmark (0 to 67, iBUG order); face (FaceId.number).
        """
        clouds = []
        for face in faces:
            points_m = face.landmarks_camera_m
            if face.landmarks is not None and points_m is not None:
                cloud = np.zeros(len(points_m), _LANDMARK)
                cloud["x"], cloud["y"], cloud["z"] = points_m.T
                cloud["visible"] = face.landmarks.visible
                cloud["landmark"] = np.arange(len(points_m))
                cloud["face"] = FaceId(face.face_id).number
                clouds.append(cloud)
        data = np.concatenate(clouds) if clouds else np.zeros(0, _LANDMARK)
        fields = [
            self._make("sensor_msgs/PointField", name, 4 * i, _FLOAT32 if i < 4 else _UINT32, 1)
            for i, name in enumerate(_LANDMARK.names or ())
        ]
        size = _LANDMARK.itemsize
        content = data.view(np.uint8)
        return self._make(
            "sensor_msgs/PointCloud2", header, 1, len(data), fields, False, size, len(content), content, True
        )

    def expressions(self, header: Message, faces: Sequence[Face]) -> Message:
        """sensor_msgs/JointState of every Face that has a shape, as `expressions` of the pose node: `<id>/<movement>`
        and its weight, 0 to 1."""
        names, weights = named_expressions(faces)
        return self._make("sensor_msgs/JointState", header, names, np.array(weights), np.zeros(0), np.zeros(0))

    def annotations(self, header: Message, annotations: Annotations) -> Message:
        """foxglove_msgs/ImageAnnotations."""
        clear, none = self._make("foxglove_msgs/Color", 0.0, 0.0, 0.0, 0.0), []
        point2 = self._classes["foxglove_msgs/Point2"]
        circles = [
            self._make(
                *("foxglove_msgs/CircleAnnotation", header.stamp, point2(*circle.centre_px), circle.diameter_px),
                *(circle.thickness_px, clear, self._colour(circle.colour), none),
            )
            for circle in annotations.circles
        ]
        points = [
            self._make(
                *("foxglove_msgs/PointsAnnotation", header.stamp, _POINT_KINDS[one.kind]),
                *(list(starmap(point2, one.points_px)), self._colour(one.colours[0])),
                *(list(map(self._colour, one.colours[1:] and one.colours)), clear, one.thickness_px, none),
            )
            for one in annotations.points
        ]
        plate = self._make("foxglove_msgs/Color", 0.0, 0.0, 0.0, PLATE_OPACITY)
        texts = [
            self._make(
                *("foxglove_msgs/TextAnnotation", header.stamp, point2(*text.position_px), text.text),
                *(text.size_px, self._colour(text.colour), plate, none),
            )
            for text in annotations.texts
        ]
        return self._make("foxglove_msgs/ImageAnnotations", header.stamp, circles, points, texts, none)

    def image(self, header: Message, image_bgr: np.ndarray) -> Message:
        """sensor_msgs/CompressedImage: the image (H, W, 3) uint8 as a JPEG."""
        _, encoded = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return self._make("sensor_msgs/CompressedImage", header, "jpeg", encoded)

    def _make(self, name: str, *fields: Any) -> Message:
        return self._classes[name](*fields)

    def _quaternions(self, rotations: Callable[[np.ndarray], np.ndarray], faces: Sequence[Face]) -> list[Message]:
        """One geometry_msgs/Quaternion per Face, its rotation by rotations (N, 3, 3) -> (N, 3, 3); all faces at once,
        because a call costs more than its numbers."""
        if not faces:
            return []
        quats = so3.quat_from_matrix(rotations(np.stack([face.pose.R_camera_head for face in faces])))
        return [self._make("geometry_msgs/Quaternion", *quat) for quat in quats.tolist()]

    def _point(self, point_m: np.ndarray) -> Message:
        return self._make("geometry_msgs/Point", *point_m.tolist())

    def _vector(self, vector: Any) -> Message:
        return self._make("geometry_msgs/Vector3", *map(float, vector))

    def _with_covariance(self, face: Face, pose: Message) -> Message:
        return self._make("geometry_msgs/PoseWithCovariance", pose, face.pose.covariance_ros)

    def _colour(self, rgb: Rgb) -> Message:
        return self._make("foxglove_msgs/Color", *rgb, 1.0)
