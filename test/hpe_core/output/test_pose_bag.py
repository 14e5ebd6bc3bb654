"""The messages of the poses bag, read back by rosbags, by the definitions in the bag itself, and by ROS 2."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from hpe_core.geometry import euler
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.frame import Frame
from hpe_core.io.message_types import FOXGLOVE_MSGS
from hpe_core.output.pose_bag import IMAGE_TOPIC, IMAGE_TOPICS, INFO_TOPIC, TOPICS, PoseBag
from hpe_core.types import Face, FrameResult, HeadPose, Landmarks

LAYOUT = Path(__file__).parents[3] / "config" / "foxglove.json"
CAMERA = CameraModel(64, 48, np.array([[60.0, 0.0, 31.5], [0.0, 60.0, 23.5], [0.0, 0.0, 1.0]]), [-0.1, 0, 0, 0, 0])
STAMP_NS = 1_500_000_007
IMAGE = np.full((48, 64, 3), (200, 100, 50), np.uint8)


def face(face_id, depth_m):
    R = euler.aflw2000.to_matrix(euler.EulerDeg(yaw=20.0, pitch=-10.0, roll=5.0))
    landmarks = Landmarks(np.zeros((68, 3)), np.linspace(0.0, 1.0, 68))
    pose = HeadPose(R, [0.0, 0.0, depth_m], np.diag([0.01, 0.01, 0.04, 0.02, 0.02, 0.02]))
    return Face(pose, 0.875, np.array([1.0, 2.0, 33.5, 44.25]), face_id, landmarks, face_visibility=0.25)


@pytest.fixture
def folder(tmp_path):
    """A bag of one frame with two faces, the nearest of them face_c, and with the image."""
    bag = PoseBag(tmp_path / "poses", image=True)
    frame = Frame(IMAGE, STAMP_NS, "lens", 0, "clip.mp4")
    bag.write(frame, FrameResult(STAMP_NS, (face("face_a", 2.0), face("face_c", 1.0))), CAMERA)
    bag.close()
    return tmp_path / "poses"


@pytest.fixture
def read(folder):
    """dict topic -> the message, by the definitions that the bag itself carries."""
    messages = {}
    with Reader(folder) as reader:
        for connection, _, data in reader.messages():
            store = get_typestore(Stores.EMPTY)
            store.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
            messages[connection.topic] = store.deserialize_cdr(data, connection.msgtype)
    return messages


def test_the_bag_describes_all_its_messages_itself(read):
    assert read.keys() == {*TOPICS, *IMAGE_TOPICS}


def test_heads_have_id_score_covariance_and_the_box_around_the_head(read):
    first, second = read["/heads"].detections
    assert (first.id, second.id) == ("face_a", "face_c")
    result, seen = first.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == ("head", 0.875)
    assert (seen.hypothesis.class_id, seen.hypothesis.score) == ("visible_face", 0.25)
    assert result.pose.pose.position.z == 2.0 and result.pose.covariance[14] == pytest.approx(0.04)
    size = first.bbox.size
    # ears 144 mm apart, from the tip of the nose to the ears 124 mm, from hairline to chin 186 mm
    assert (size.x, size.y, size.z) == pytest.approx((0.124, 0.144, 0.186))


def test_angles_are_those_of_the_nearest_face_in_degrees(read):
    vector = read["/head_angles"].vector
    assert (vector.x, vector.y, vector.z) == pytest.approx((5.0, -10.0, 20.0))


def test_landmarks_are_a_cloud_in_metres_that_says_whose_they_are(read):
    cloud = read["/landmarks"]
    kinds = {7: "<f4", 6: "<u4"}
    rows = cloud.data.view(np.dtype([(field.name, kinds[field.datatype]) for field in cloud.fields]))
    assert (cloud.width, len(rows)) == (136, 136)
    assert rows["face"].tolist() == 68 * [0] + 68 * [2]
    assert rows["landmark"].tolist() == 2 * list(range(68))
    assert (rows["visible"][0], rows["visible"][67]) == (0.0, 1.0)
    # all on the face centre, which is within 6 cm of the sellion
    assert np.hypot(np.hypot(rows["x"], rows["y"]), rows["z"] - np.repeat([2.0, 1.0], 68)).max() < 0.06


def test_annotations_are_of_the_image_with_its_stamp(read):
    annotations = read["/annotations"]
    assert (annotations.timestamp.sec, annotations.timestamp.nanosec) == (1, 500_000_007)
    kinds = [one.type for one in annotations.points]
    assert kinds == 2 * [2, 4, 1, 1]  # closed line, lines, points seen, points hidden
    corner = annotations.points[0].points[2]
    assert (corner.x, corner.y) == (34.0, 44.75)
    assert len(annotations.points[1].outline_colors) == 3  # one per axis
    assert [text.text.partition(" ")[0] for text in annotations.texts] == ["face_a", "face_c"]


def test_the_image_is_a_jpeg_with_its_calibration(read):
    image, info = read[IMAGE_TOPIC], read[INFO_TOPIC]
    assert (image.format, image.header.frame_id) == ("jpeg", "lens")
    decoded = cv2.imdecode(image.data, cv2.IMREAD_COLOR)
    assert np.abs(decoded.astype(int) - IMAGE).max() < 6
    assert (info.width, info.height, info.k[0], info.d[0]) == (64, 48, 60.0, -0.1)
    assert info.header.stamp.nanosec == image.header.stamp.nanosec == 7 + 500_000_000


def test_without_the_option_there_is_no_image(tmp_path):
    PoseBag(tmp_path / "poses").close()
    with Reader(tmp_path / "poses") as reader:
        assert {connection.topic for connection in reader.connections} == set(TOPICS)


def test_the_definitions_of_foxglove_come_with_their_licence():
    assert "MIT License" in (FOXGLOVE_MSGS / "LICENSE").read_text()
    assert {path.stem for path in FOXGLOVE_MSGS.glob("*.msg")} >= {"ImageAnnotations", "PointsAnnotation"}


def test_the_layout_for_foxglove_names_topics_and_fields_of_the_bag(read):
    text = LAYOUT.read_text()
    named = set(re.findall(r'"(/\w[\w/]*)', text))
    assert named <= set(read) and {"/annotations", IMAGE_TOPIC, "/landmarks", "/head_poses"} <= named
    panels = json.loads(text)["configById"]
    for path in (one["value"] for panel in panels.values() for one in panel.get("paths", ())):
        topic, *fields = path.split(".")
        value = read[topic]
        for field in fields:
            value = getattr(value, field)
        assert isinstance(value, float), path


@pytest.mark.ros
def test_ros_2_reads_the_bag(folder):
    rosbag2 = pytest.importorskip("rosbag2_py", reason="no rosbag2_py: the bag was NOT read by ROS 2")
    from rclpy.serialization import deserialize_message
    from rosidl_runtime_py.utilities import get_message

    reader = rosbag2.SequentialReader()
    reader.open_uri(str(folder))
    kinds = {topic.name: topic.type for topic in reader.get_all_topics_and_types()}
    assert kinds == TOPICS | IMAGE_TOPICS
    found = {}
    while reader.has_next():
        topic, data, stamp_ns = reader.read_next()
        assert stamp_ns == STAMP_NS
        if topic != "/annotations":  # its package need not be installed
            found[topic] = deserialize_message(data, get_message(kinds[topic]))
    assert [head.id for head in found["/heads"].detections] == ["face_a", "face_c"]
    assert found["/landmarks"].width == 136 and found["/tf"].transforms[0].child_frame_id == "face_a"
