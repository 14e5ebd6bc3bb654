"""Messages of the attention node. Standard types only, chosen so that whoever reads `heads` reads these too.

`attention`, `people_looking` (vision_msgs/Detection3DArray) and `looking_started`, `looking_stopped`
(vision_msgs/Detection3D) say: this head (id, pose, box, as in `heads`) is, with this score, on that target (class_id).
An id with scored labels is what Detection3D is made for. Key-value lists and JSON strings would be read by hand, and
vision_msgs/Classification has no id. The topic, not a text within, says whether looking starts or stops.
An unknown score is NaN, never 0.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import Transform, TransformStamped, Vector3
from std_msgs.msg import ColorRGBA, Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from hpe_core.attention.decision import Event, Head, State
from hpe_core.errors import HpeError
from hpe_core.face_id import focus_frame
from hpe_core.geometry import frames, so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.gaze import GAZE_HEAD
from hpe_core.geometry.head import box_from_pose
from hpe_core.types import VISIBLE_FACE, HeadPose
from hpe_ros.messages import point, vector3
from hpe_ros.optional import HAS_HRI_MSGS, HAS_VISION_MSGS

if TYPE_CHECKING or HAS_VISION_MSGS:  # without it the node refuses to be configured
    from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesis, ObjectHypothesisWithPose

if TYPE_CHECKING or HAS_HRI_MSGS:
    from hri_msgs.msg import Gaze

RAY_M = 1.0
COLOURS = {
    State.LOOKING: ColorRGBA(r=0.1, g=0.8, b=0.2, a=1.0),
    State.AWAY: ColorRGBA(r=0.6, g=0.6, b=0.6, a=0.8),
    State.UNKNOWN: ColorRGBA(r=1.0, g=0.6, b=0.0, a=0.8),
}


def heads_from_detections(message: "Detection3DArray", camera: CameraModel | None) -> tuple[list[Head], list[str]]:
    """(heads, why detections were left out) of a Detection3DArray as pose_node publishes it.

    camera: CameraModel by which the size of a face in the image is known, or None.
    """
    heads, problems = {}, []
    for detection in message.detections:
        try:
            head = _head(detection, camera)
            if head.face_id in heads:
                raise HpeError(f"two detections have the id '{head.face_id}'")
            heads[head.face_id] = head
        except HpeError as error:
            problems.append(str(error))
    return list(heads.values()), problems


def _head(detection: "Detection3D", camera: CameraModel | None) -> Head:
    if not detection.id or not detection.results:
        raise HpeError("detection without an id or without a pose")
    hypothesis, *_ = detection.results
    stamped = hypothesis.pose
    p, q = stamped.pose.position, stamped.pose.orientation
    covariance = np.array(stamped.covariance).reshape(6, 6)
    unknown = covariance[0, 0] < 0 or not covariance.any()  # -1 is ours, all zeros is what others leave unset
    R = frames.head_from_face(so3.matrix_from_quat([q.x, q.y, q.z, q.w]))
    pose = HeadPose(R, np.array([p.x, p.y, p.z]), None if unknown else covariance)
    scores = {result.hypothesis.class_id: result.hypothesis.score for result in detection.results}
    face_px = None
    if camera is not None:
        box = box_from_pose(camera, pose.R_camera_head, pose.t_camera_head_m)
        face_px = float(min(box[2:] - box[:2]))
    return Head(detection.id, pose, face_px, scores.get(VISIBLE_FACE))


def on_targets(detection: "Detection3D", scores: Mapping[str, float]) -> "Detection3D":
    """Detection3D of the same head, with its own header, whose hypotheses are the targets; scores: by their names.

    The pose beside each target is that of the head.
    """
    head, *_ = detection.results
    results = [
        ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=name, score=score), pose=head.pose)
        for name, score in scores.items()
    ]
    return Detection3D(header=detection.header, id=detection.id, bbox=detection.bbox, results=results)


def event_detection(event: Event, detection: "Detection3D", header: Header) -> "Detection3D":
    """Detection3D of an Event with the header of its decision; score 1 for started and 0 for stopped."""
    made = on_targets(detection, {event.target: float(event.kind == "started")})
    made.header = header
    return made


def tf_name(detection: "Detection3D") -> str:
    """What the TF frame of a head is called, as pose_node says it in a second hypothesis; without one, by its id."""
    names = [result.hypothesis.class_id for result in list(detection.results)[1:]]
    return next((name for name in names if name.startswith("face_")), detection.id)


def focus_transforms(points_m: Mapping[str, np.ndarray], header: Header, prefix: str = "") -> TFMessage:
    """tf2_msgs/TFMessage with focus_<id> (REP-155) at the point (3,) that each head looks at; axes of the header.

    points_m: by the name of the head's own frame.
    """
    made = [
        TransformStamped(
            header=header,
            child_frame_id=focus_frame(name, prefix),
            transform=Transform(translation=vector3(points_m[name])),
        )
        for name in sorted(points_m)
    ]
    return TFMessage(transforms=made)


def gazes(receivers: Mapping[str, str], header: Header) -> "list[Gaze]":
    """One hri_msgs/Gaze per face id and its receiver; the empty receiver is the robot. Needs hri_msgs."""
    return [Gaze(header=header, sender=sender, receiver=receiver) for sender, receiver in sorted(receivers.items())]


def gaze_markers(heads: Sequence[Head], states: Mapping[str, State], header: Header) -> MarkerArray:
    """visualization_msgs/MarkerArray: an arrow of 1 m along each head's gaze; states: by face id.

    Green looks at something, grey at nothing, orange is unknown. The first marker takes away the earlier ones.
    """
    made = [Marker(header=header, action=Marker.DELETEALL)]
    for number, head in enumerate(heads):
        start = head.pose.t_camera_head_m
        arrow = Marker(header=header, ns="gaze", id=number, type=Marker.ARROW, action=Marker.ADD)
        arrow.points = [point(start), point(start + RAY_M * head.pose.R_camera_head @ GAZE_HEAD)]
        arrow.scale = Vector3(x=0.012, y=0.03, z=0.06)
        arrow.color = COLOURS[states.get(head.face_id, State.UNKNOWN)]
        arrow.pose.orientation.w = 1.0
        made.append(arrow)
    return MarkerArray(markers=made)
