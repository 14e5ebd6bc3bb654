"""Everything that turns ROS messages into core values and back; headers are copied, never restamped."""

import importlib.util
import subprocess
import sys
from array import array

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseArray,
    PoseWithCovariance,
    PoseWithCovarianceStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import ColorRGBA, Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from hpe_core.errors import HpeError
from hpe_core.face_id import FaceId
from hpe_core.geometry import frames, so3
from hpe_core.geometry.head import REFERENCE_POINTS_M
from hpe_core.pixels.encodings import ENCODINGS, bgr_from_compressed, bgr_from_raw
from hpe_core.types import primary_face

try:
    from vision_msgs.msg import BoundingBox3D, Detection3D, Detection3DArray, ObjectHypothesis, ObjectHypothesisWithPose
except ImportError:  # optional: without it the node has no `heads`
    Detection3DArray = None

# box around the reference points, in the axes of the REP-155 face frame
_POINTS_FACE_M = REFERENCE_POINTS_M @ frames.R_head_face
_BOX_CENTRE_FACE_M = (_POINTS_FACE_M.max(0) + _POINTS_FACE_M.min(0)) / 2.0
_BOX_SIZE_M = _POINTS_FACE_M.max(0) - _POINTS_FACE_M.min(0)

GAZE_RAY_M = 0.5
_RAY_WIDTH_M, _TEXT_HEIGHT_M, _TEXT_ABOVE_M = 0.015, 0.05, 0.18

# a cv_bridge built for another NumPy does not raise, it crashes the process: so it is tried in another one
_CV_BRIDGE_TRIAL = """
from cv_bridge import CvBridge
from sensor_msgs.msg import Image
image = Image(height=1, width=2, encoding="rgb8", step=6, data=bytes([0, 1, 2, 3, 4, 5]))
assert CvBridge().imgmsg_to_cv2(image, "bgr8").tolist() == [[[2, 1, 0], [5, 4, 3]]]
"""


def cv_bridge_or_none():
    """A CvBridge when cv_bridge is installed and works with this interpreter's NumPy, else None."""
    if importlib.util.find_spec("cv_bridge") is None:
        return None
    if subprocess.run([sys.executable, "-c", _CV_BRIDGE_TRIAL], capture_output=True).returncode != 0:
        return None
    from cv_bridge import CvBridge

    return CvBridge()


def bgr_from_image(message, cv_bridge=None):
    """(H, W, 3) uint8 BGR of a sensor_msgs Image or CompressedImage; cv_bridge reads encodings that the core lacks.

    Raises HpeError when the message is damaged or its encoding unknown.
    """
    if isinstance(message, CompressedImage):
        return bgr_from_compressed(message.data)
    if message.encoding not in ENCODINGS and cv_bridge is not None:
        return _by_cv_bridge(message, cv_bridge)
    return bgr_from_raw(
        message.data, message.height, message.width, message.encoding, message.step, bool(message.is_bigendian)
    )


def _by_cv_bridge(message, cv_bridge):
    """bgr_from_image by cv_bridge, which garbles rows whose padding is no multiple of a pixel: it gets none."""
    try:
        dtype, channels = cv_bridge.encoding_to_dtype_with_channels(message.encoding)
        row_bytes = message.width * channels * np.dtype(dtype).itemsize
        rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
        if not 0 < row_bytes <= message.step:
            raise HpeError(f"step is {message.step} bytes but a row takes {row_bytes}")
        plain = Image(height=message.height, width=message.width, encoding=message.encoding, step=row_bytes)
        plain.is_bigendian = message.is_bigendian
        plain.data = array("B", rows[:, :row_bytes].tobytes())
        return cv_bridge.imgmsg_to_cv2(plain, "bgr8")
    except Exception as error:  # cv_bridge raises RuntimeError, TypeError, KeyError, AttributeError and its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise HpeError(
            f"image of encoding {message.encoding} cannot be read by cv_bridge: {reason}; "
            f"allowed without it: {', '.join(ENCODINGS)}"
        ) from error


def image_from_bgr(image_bgr, header):
    """sensor_msgs/Image (bgr8) of (H, W, 3) uint8."""
    height, width = image_bgr.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="bgr8", step=3 * width)
    # rclpy checks other sequences byte by byte, about 150 times slower
    message.data = array("B", np.ascontiguousarray(image_bgr).tobytes())
    return message


def ns_from_time(stamp):
    """Nanoseconds of a builtin_interfaces/Time."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def time_from_ns(stamp_ns):
    """builtin_interfaces/Time of nanoseconds."""
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)


def face_poses(faces):
    """List of geometry_msgs/Pose, one per Face: its REP-155 face frame in the camera."""
    quats = _quaternions(frames.face_from_head, faces)
    points = [Point(**_xyz(face.pose.t_camera_head_m)) for face in faces]
    return [Pose(position=point, orientation=quat) for point, quat in zip(points, quats, strict=True)]


def pose_array(poses, header):
    """geometry_msgs/PoseArray of `face_poses`; empty when there is no face."""
    return PoseArray(header=header, poses=poses)


def primary_pose(faces, poses, header):
    """geometry_msgs/PoseWithCovarianceStamped of the nearest face, or None when there is none."""
    face = primary_face(faces)
    if face is None:
        return None
    return PoseWithCovarianceStamped(header=header, pose=_with_covariance(face, poses[faces.index(face)]))


def detections(faces, poses, header):
    """vision_msgs/Detection3DArray of faces with their `face_poses`; only where vision_msgs is installed."""
    found = [_detection(face, pose, header) for face, pose in zip(faces, poses, strict=True)]
    return Detection3DArray(header=header, detections=found)


def transforms(faces, poses, header, prefix=""):
    """tf2_msgs/TFMessage with face_<id> and gaze_<id> (REP-155) under the header's frame."""
    message = TFMessage()
    for face, pose, gaze in zip(faces, poses, _quaternions(frames.gaze_from_head, faces), strict=True):
        translation = Vector3(**_xyz(face.pose.t_camera_head_m))
        face_id = FaceId(face.face_id)
        for name, rotation in ((face_id.face_frame, pose.orientation), (face_id.gaze_frame, gaze)):
            transform = Transform(translation=translation, rotation=rotation)
            message.transforms.append(
                TransformStamped(header=header, child_frame_id=prefix + name, transform=transform)
            )
    return message


def markers(faces, poses, header):
    """visualization_msgs/MarkerArray for RViz: per Face its head, its gaze ray and a text; first all old ones go.

    Namespaces `head`, `gaze` and `text`, one id per face, so that each can be switched off.
    """
    made = MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])
    for face, pose in zip(faces, poses, strict=True):
        made.markers += _face_markers(face, pose, header)
    return made


def _face_markers(face, pose, header):
    face_id = FaceId(face.face_id)
    red, green, blue = (channel / 255.0 for channel in face_id.colour_rgb)

    def marker(namespace, kind, opacity, size, **fields):
        colour = ColorRGBA(r=red, g=green, b=blue, a=opacity)
        scale = Vector3(**_xyz(np.array(size)))
        return Marker(header=header, ns=namespace, id=face_id.number, type=kind, color=colour, scale=scale, **fields)

    head = marker("head", Marker.SPHERE, 0.5, _BOX_SIZE_M, pose=_box_pose(face, pose))
    # an ARROW points along x, and so does the face frame; the gaze is the head's until eyes are measured
    ray = marker("gaze", Marker.ARROW, 1.0, (GAZE_RAY_M, _RAY_WIDTH_M, _RAY_WIDTH_M), pose=pose)
    crown = face.pose.R_camera_head @ np.array([0.0, -_TEXT_ABOVE_M, 0.0])
    above = Pose(position=Point(**_xyz(face.pose.t_camera_head_m + crown)))
    text = f"{face.face_id} {np.linalg.norm(face.pose.t_camera_head_m):.2f} m"
    label = marker("text", Marker.TEXT_VIEW_FACING, 1.0, (0.0, 0.0, _TEXT_HEIGHT_M), pose=above, text=text)
    return [head, ray, label]


def diagnostic_array(statuses, stamp, node_name):
    """diagnostic_msgs/DiagnosticArray of hpe_ros.pose.diagnostics.Status values, under the node's full name."""
    levels = {
        "ok": DiagnosticStatus.OK,
        "warn": DiagnosticStatus.WARN,
        "error": DiagnosticStatus.ERROR,
        "stale": DiagnosticStatus.STALE,
    }
    message = DiagnosticArray(header=Header(stamp=stamp))
    for status in statuses:
        values = [KeyValue(key=key, value=str(value)) for key, value in status.values.items()]
        message.status.append(
            DiagnosticStatus(
                level=levels[status.level],
                name=f"{node_name.lstrip('/')}: {status.name}",
                message=status.message,
                hardware_id=node_name,
                values=values,
            )
        )
    return message


def _xyz(vector):
    x, y, z = vector.tolist()
    return {"x": x, "y": y, "z": z}


def _quaternions(frame_from_head, faces):
    """List of geometry_msgs/Quaternion; all faces at once, because a call costs more than its numbers."""
    if not faces:
        return []
    quats = so3.quat_from_matrix(frame_from_head(np.stack([face.pose.R_camera_head for face in faces])))
    return [Quaternion(x=x, y=y, z=z, w=w) for x, y, z, w in quats.tolist()]


def _with_covariance(face, pose):
    return PoseWithCovariance(pose=pose, covariance=face.pose.covariance_ros)


def _box_pose(face, pose):
    """geometry_msgs/Pose of the box around the head, in the axes of its face frame."""
    R_camera_face = frames.face_from_head(face.pose.R_camera_head)
    centre = face.pose.t_camera_head_m + R_camera_face @ _BOX_CENTRE_FACE_M
    return Pose(position=Point(**_xyz(centre)), orientation=pose.orientation)


def _detection(face, pose, header):
    box = BoundingBox3D(center=_box_pose(face, pose), size=Vector3(**_xyz(_BOX_SIZE_M)))
    hypothesis = ObjectHypothesis(class_id="head", score=face.score)
    results = [ObjectHypothesisWithPose(hypothesis=hypothesis, pose=_with_covariance(face, pose))]
    return Detection3D(header=header, results=results, bbox=box, id=face.face_id)
