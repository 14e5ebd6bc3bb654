"""Messages of the people node."""

from typing import cast

import numpy as np
from geometry_msgs.msg import Pose, Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from hpe_core.face_id import FaceId
from hpe_core.people.people import Person
from hpe_core.types import Face, HeadPose


def as_head(person: Person) -> Face:
    """A Person as the messages of heads have it: the fixed frame stands for that of a camera."""
    pose = person.pose
    head = HeadPose(pose.R_fixed_head, pose.t_fixed_head_m, pose.covariance)
    return Face(head, person.score, np.zeros(4), cast(FaceId, person.person_id))


def person_transform(person_id: str, pose: Pose, header: Header, prefix: str = "") -> TransformStamped:
    """geometry_msgs/TransformStamped of person_<id> (REP-155) at the pose of the face frame."""
    p = pose.position
    transform = Transform(translation=Vector3(x=p.x, y=p.y, z=p.z), rotation=pose.orientation)
    return TransformStamped(header=header, child_frame_id=f"{prefix}person_{person_id}", transform=transform)
