"""Axes on a real graph: images of a head in named poses go in, TF, gaze and pose are looked up with tf2 in base_link.

The camera sits on a robot's mast, looks to the robot's left and 20 degrees up. What is expected is worked out by hand
in base_link (REP-103: x forward, y left, z up), where this camera's axes are
right = (1, 0, 0), down = (0, 0.342, -0.940), forward = (0, 0.940, 0.342).
"""

import time
from array import array

import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

pytestmark = pytest.mark.ros

CAMERA_FRAME = "camera_optical_frame"
CAMERA_M = np.array([0.1, 0.2, 1.0])
HEAD_CENTRE_FACE_M = np.array([-0.05, 0.0, -0.03])  # REP-155 face frame: 5 cm behind and 3 cm below the sellion
ROTATION_DEG, POSITION_RATIO = 16.0, 0.25

TO_CAMERA, UPRIGHT, MIDDLE = (0, -0.940, -0.342), (0, -0.342, 0.940), (0.1, 0.858, 1.239)
# name: direction of the gaze, direction from chin to crown, middle of the head in metres, all in base_link
EXPECTED = {
    "front": (TO_CAMERA, UPRIGHT, MIDDLE),
    "turned_to_image_left": ((-0.574, -0.770, -0.280), UPRIGHT, MIDDLE),
    "turned_to_image_right": ((0.574, -0.770, -0.280), UPRIGHT, MIDDLE),
    "looking_up": ((0, -0.999, 0.035), (0, 0.035, 0.999), MIDDLE),
    "looking_down": ((0, -0.743, -0.669), (0, -0.669, 0.743), MIDDLE),
    "tilted_clockwise": (TO_CAMERA, (0.423, -0.310, 0.852), MIDDLE),
    "tilted_anticlockwise": (TO_CAMERA, (-0.423, -0.310, 0.852), MIDDLE),
    "near": (TO_CAMERA, UPRIGHT, (0.1, 0.576, 1.137)),
    "far": (TO_CAMERA, UPRIGHT, (0.1, 1.422, 1.445)),
    "at_image_left": (TO_CAMERA, UPRIGHT, (-0.3, 0.858, 1.239)),
    "at_image_right": (TO_CAMERA, UPRIGHT, (0.5, 0.858, 1.239)),
    "at_image_top": (TO_CAMERA, UPRIGHT, (0.1, 0.772, 1.474)),
    "at_image_bottom": (TO_CAMERA, UPRIGHT, (0.1, 0.943, 1.004)),
    "at_image_right_facing_the_camera": ((-0.496, -0.816, -0.297), UPRIGHT, (0.5, 0.858, 1.239)),
    "in_the_corner_turned_to_image_left": ((-0.5, -0.814, -0.296), UPRIGHT, (0.5, 0.980, 1.050)),
}


def read_views(bag):
    """Dict from name to the rosbags messages of that view, by topic."""
    store, by_time = get_typestore(Stores.ROS2_JAZZY), {}
    with Reader(bag) as reader:
        for connection, time_ns, data in reader.messages():
            by_time.setdefault(time_ns, {})[connection.topic] = store.deserialize_cdr(data, connection.msgtype)
    return {messages["/truth/view"].data: messages for messages in by_time.values()}


def ros_messages(view, kind):
    """(CompressedImage, CameraInfo) of rclpy, of a view's `raw` or `rect` image."""
    from sensor_msgs.msg import CameraInfo, CompressedImage

    picture, info = view[f"/camera/image_{kind}/compressed"], view["/camera/camera_info"]
    image = CompressedImage(format=picture.format, data=array("B", picture.data.tobytes()))
    camera_info = CameraInfo(width=info.width, height=info.height, distortion_model=info.distortion_model)
    camera_info.k, camera_info.d, camera_info.p, camera_info.r = info.k, info.d.tolist(), info.p, info.r
    for header in (image.header, camera_info.header):
        header.frame_id = picture.header.frame_id
        header.stamp.sec, header.stamp.nanosec = picture.header.stamp.sec, picture.header.stamp.nanosec
    return image, camera_info


def static_transform(parent, child, translation, quaternion):
    from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3

    x, y, z = map(float, translation)
    qx, qy, qz, qw = map(float, quaternion)
    transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw))
    made = TransformStamped(child_frame_id=child, transform=transform)
    made.header.frame_id = parent
    return made


@pytest.fixture(scope="module")
def tf(graph):
    """tf2 Buffer that listens on the graph, where the robot's static transforms are published."""
    from tf2_ros import Buffer, StaticTransformBroadcaster, TransformListener

    buffer = Buffer()
    listener = TransformListener(buffer, graph.node)  # to the end: taking it away would end the executor's thread
    broadcaster = StaticTransformBroadcaster(graph.node)
    left_and_up = Rotation.from_euler("ZY", [90, -20], degrees=True).as_quat()  # REP-103: nose up is negative pitch
    mount = static_transform("base_link", "camera_link", CAMERA_M, left_and_up)
    optical = static_transform("camera_link", CAMERA_FRAME, (0, 0, 0), (-0.5, 0.5, -0.5, 0.5))  # as camera drivers do
    broadcaster.sendTransform([mount, optical])
    yield buffer
    assert listener.buffer is buffer


@pytest.fixture(scope="module", params=["raw", "rect"])
def found(request, start_node, graph, tf, bag):
    """Dict from view to what the node said: face and gaze in base_link, face in the camera, and its `head_pose`."""
    from geometry_msgs.msg import PoseWithCovarianceStamped
    from rclpy.time import Time
    from tf2_msgs.msg import TFMessage

    kind, namespace, prefix = request.param, f"/conformance_{request.param}", f"{request.param}_"
    poses, sent = graph.record(PoseWithCovarianceStamped, f"{namespace}/head_pose"), graph.record(TFMessage, "/tf")
    node = start_node(
        namespace,
        autostart=True,
        image_transport="compressed",
        image_is_rectified=kind == "rect",
        tf_prefix=prefix,
        max_faces=1,
    )
    camera = graph.camera(namespace, compressed=True)
    results = {}
    for name, view in read_views(bag.with_name("conformance_bag")).items():
        image, info = ros_messages(view, kind)
        stamp = image.header.stamp

        def answer(stamp=stamp):
            """(head_pose, child frames on /tf) of this stamp, once both are there."""
            pose = next((m for m in poses if m.header.stamp == stamp), None)
            children = {t.child_frame_id for m in sent for t in m.transforms if t.header.stamp == stamp}
            children = sorted(child for child in children if f"_{prefix}" in child)
            return (pose, children) if pose and children else None

        attempts = 0
        while answer() is None:  # best effort: an image may be lost
            assert attempts < 30, f"{kind}, {name}: no answer\n{node.text}"
            camera.infos.publish(info)
            time.sleep(0.05)
            camera.images.publish(image)
            end = time.monotonic() + 1.0
            while answer() is None and time.monotonic() < end:
                time.sleep(0.01)
            attempts += 1
        pose, (face, gaze) = answer()
        at = Time.from_msg(stamp)
        graph.until(lambda f=gaze, at=at: tf.can_transform("base_link", f, at), what=f"{gaze} in base_link")
        results[name] = {
            "face": matrix_and_origin(tf.lookup_transform("base_link", face, at)),
            "gaze": matrix_and_origin(tf.lookup_transform("base_link", gaze, at)),
            "face in camera": tf.lookup_transform(CAMERA_FRAME, face, at),
            "head_pose": pose,
            "names": (face, gaze),
        }
    camera.close()
    assert node.stop() == 0, node.text
    assert "Traceback" not in node.text
    return results


def matrix_and_origin(stamped):
    """(3, 3) with the child's axes as columns, and its origin (3,), in the parent."""
    q, t = stamped.transform.rotation, stamped.transform.translation
    return Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), np.array([t.x, t.y, t.z])


def angle_deg(a, b):
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), np.dot(a, b)))


def test_every_view_is_answered(found):
    assert list(found) == list(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_gaze_frame_has_z_along_the_gaze_y_down_and_x_to_the_subjects_right(found, name):
    gaze, crown, _ = EXPECTED[name]
    R, _ = found[name]["gaze"]
    assert angle_deg(R[:, 2], gaze) < ROTATION_DEG, R[:, 2]
    assert angle_deg(-R[:, 1], crown) < ROTATION_DEG, R[:, 1]
    assert angle_deg(R[:, 0], np.cross(gaze, crown)) < ROTATION_DEG, R[:, 0]


@pytest.mark.parametrize("name", EXPECTED)
def test_face_frame_has_x_out_of_the_face_y_to_the_subjects_left_and_z_to_the_crown(found, name):
    gaze, crown, _ = EXPECTED[name]
    R, _ = found[name]["face"]
    assert angle_deg(R[:, 0], gaze) < ROTATION_DEG, R[:, 0]
    assert angle_deg(R[:, 1], np.cross(crown, gaze)) < ROTATION_DEG, R[:, 1]
    assert angle_deg(R[:, 2], crown) < ROTATION_DEG, R[:, 2]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_head_is_where_it_is_on_the_robots_left(found, name):
    R, origin = found[name]["face"]
    centre, expected = origin + R @ HEAD_CENTRE_FACE_M, np.array(EXPECTED[name][2])
    allowed_m = POSITION_RATIO * np.linalg.norm(expected - CAMERA_M)
    assert np.linalg.norm(centre - expected) < allowed_m, (centre, expected)
    np.testing.assert_allclose(found[name]["gaze"][1], origin, atol=1e-9)


@pytest.mark.parametrize("name", EXPECTED)
def test_head_pose_is_the_face_frame_in_the_cameras_optical_frame(found, name):
    message, (R, origin) = found[name]["head_pose"], matrix_and_origin(found[name]["face in camera"])
    assert message.header.frame_id == CAMERA_FRAME
    p, q = message.pose.pose.position, message.pose.pose.orientation
    np.testing.assert_allclose((p.x, p.y, p.z), origin, atol=1e-9)
    np.testing.assert_allclose(Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), R, atol=1e-9)
    assert message.pose.covariance[0] > 0.0
    face, gaze = found[name]["names"]
    assert face.startswith("face_") and gaze == face.replace("face_", "gaze_")
