"""The place of a camera as a message."""

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped
from std_msgs.msg import Header

from hpe_core.geometry.so3 import quat_from_matrix
from hpe_core.people.camera_list import CameraEntry
from hpe_ros.messages import vector3


def camera_transform(camera: CameraEntry, stamp: Time) -> TransformStamped:
    """geometry_msgs/TransformStamped of a CameraEntry that has a place: parent -> frame_id of its images."""
    assert camera.place is not None
    x, y, z, w = quat_from_matrix(camera.place.R_fixed_camera).tolist()
    rotation = Quaternion(x=x, y=y, z=z, w=w)
    transform = Transform(translation=vector3(camera.place.t_fixed_camera_m), rotation=rotation)
    header = Header(stamp=stamp, frame_id=camera.parent)
    return TransformStamped(header=header, child_frame_id=camera.frame_id, transform=transform)
