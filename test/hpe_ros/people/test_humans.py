"""REP-155 topics of the faces, on the real hri_msgs; skipped where they are not installed."""

import numpy as np
import pytest

from hpe_core.face_id import FaceIds
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.types import Face, HeadPose, Landmarks

pytestmark = pytest.mark.ros

CAMERA = CameraModel.from_hfov(640, 480, 60.0)
SIDE_PX = 128
OF_SEED_3 = FaceIds(3).take().letters
FRONTAL = np.eye(3)


@pytest.fixture(scope="module")
def humans():
    pytest.importorskip("hri_msgs", reason="hri_msgs is not installed: the REP-155 topics were NOT tested")
    from hpe_ros.people import humans

    return humans


def face(box_px=(160.0, 120.0, 320.0, 360.0), landmarks=None, face_id="face_c", R_camera_head=FRONTAL):
    """A face that looks into the camera, its face centre on the optical axis 0.8 m away."""
    pose = HeadPose(R_camera_head, np.array([0.0, 0.0, 0.8]) - R_camera_head @ FACE_CENTRE_M, np.eye(6))
    return Face(pose, 0.9, np.array(box_px), face_id, landmarks)


def test_the_box_is_given_in_parts_of_the_image(humans, header):
    region = humans.region(face(), CAMERA, header)
    assert (region.xmin, region.ymin, region.xmax, region.ymax) == (0.25, 0.25, 0.5, 0.75)
    assert region.c == pytest.approx(0.9)
    assert region.header == header


def test_a_box_beyond_the_image_is_cut_at_its_border(humans, header):
    region = humans.region(face((-50.0, 120.0, 700.0, 500.0)), CAMERA, header)
    assert (region.xmin, region.ymin, region.xmax, region.ymax) == (0.0, 0.25, 1.0, 1.0)


def test_landmarks_are_parts_of_the_image_with_their_visibility_and_pupils_are_unknown(humans, header):
    points, visible = np.zeros((68, 3)), np.linspace(0.0, 1.0, 68)
    points[30, 0] = 0.04  # the nose tip 4 cm to the right of the face centre, which is in the middle of the image
    message = humans.landmarks(face(landmarks=Landmarks(points, visible)), CAMERA, header)
    assert (message.width, message.height, len(message.landmarks)) == (640, 480, 70)
    nose, other = message.landmarks[30], message.landmarks[8]
    focal_px = 320.0 / np.tan(np.radians(30.0))
    assert nose.x == pytest.approx((CAMERA.K[0, 2] + focal_px * 0.04 / 0.8) / 640)
    assert (other.x, other.y) == pytest.approx((CAMERA.K[0, 2] / 640, CAMERA.K[1, 2] / 480))
    assert nose.c == pytest.approx(visible[30])
    assert [message.landmarks[i].c for i in (68, 69)] == [0.0, 0.0]


class Node:
    """Has publishers for these tests, by topic, each with one subscription unless its topic ends in one of `alone`."""

    def __init__(self, alone=()):
        self.alone, self.publishers = alone, {}

    def create_publisher(self, kind, topic, depth, **_):
        self.publishers[topic] = Publisher(topic, kind, not topic.endswith(self.alone))
        return self.publishers[topic]

    def destroy_publisher(self, publisher):
        del self.publishers[publisher.topic]


class Publisher:
    def __init__(self, topic, kind, subscribed):
        self.topic, self.kind, self.subscribed, self.sent = topic, kind, subscribed, []

    def get_subscription_count(self):
        return int(self.subscribed)

    def publish(self, message):
        assert isinstance(message, self.kind)
        self.sent.append(message)


def test_pictures_are_bgr_of_the_image_they_are_stamped_as_and_the_aligned_one_is_upright(humans, header):
    node = Node()
    header.stamp.sec = 7
    # a head on its side: crown (blue) to the image's right, chin (red) to the left
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, 320:, 0] = image[:, :320, 2] = 200
    on_its_side = face(R_camera_head=np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    humans.HumansOutputs(node, "").publish_pictures(image, [on_its_side], CAMERA, header)
    pictures = {}
    for topic, publisher in node.publishers.items():
        (message,) = publisher.sent
        assert (message.header, message.encoding) == (header, "bgr8")
        assert (message.width, message.height, message.step) == (SIDE_PX, SIDE_PX, 3 * SIDE_PX)
        pictures[topic] = np.array(message.data, np.uint8).reshape(SIDE_PX, SIDE_PX, 3)
    cropped, aligned = pictures["/humans/faces/c/cropped"], pictures["/humans/faces/c/aligned"]
    assert [cropped[64, x].tolist() for x in (10, 118)] == [[0, 0, 200], [200, 0, 0]]
    assert [aligned[y, 64].tolist() for y in (10, 118)] == [[200, 0, 0], [0, 0, 200]]


def test_a_picture_that_nobody_subscribes_to_is_not_even_made(humans, header, monkeypatch):
    made = []
    for topic in humans.PICTURES:
        monkeypatch.setitem(humans.PICTURES, topic, lambda image, *_: made.append(image) or image)
    outputs, image = humans.HumansOutputs(Node(alone=("cropped", "aligned")), ""), np.zeros((480, 640, 3), np.uint8)
    outputs.publish_pictures(image, [face()], CAMERA, header)
    assert made == []
    outputs = humans.HumansOutputs(Node(alone=("aligned",)), "")
    outputs.publish_pictures(image, [face()], CAMERA, header)
    assert len(made) == 1


def test_topics_of_a_face_go_a_second_after_the_face_and_come_back_with_it(humans, header):
    node, image = Node(), np.zeros((480, 640, 3), np.uint8)
    outputs = humans.HumansOutputs(node, "")

    def topics_after(stamp_ms, *faces):
        header.stamp.sec, header.stamp.nanosec = 100 + stamp_ms // 1000, stamp_ms % 1000 * 10**6
        outputs.publish(faces, CAMERA, header)
        outputs.publish_pictures(image, faces, CAMERA, header)
        return {topic.removeprefix("/humans/faces/") for topic in node.publishers}

    of_a, of_b = ({f"{name}/{kind}" for kind in ("roi", "cropped", "aligned")} for name in "ab")
    a, b = face(face_id="face_a"), face(face_id="face_b")
    assert topics_after(0, a, b) == {"tracked"} | of_a | of_b
    assert topics_after(900, b) == {"tracked"} | of_a | of_b
    assert topics_after(1100, b) == {"tracked"} | of_b
    assert topics_after(1200, a) == {"tracked"} | of_a | of_b
    assert topics_after(-50_000, b) == {"tracked"} | of_b  # a bag that starts again
    assert topics_after(-40_000) == {"tracked"}
    outputs.destroy()
    assert node.publishers == {}


def test_the_graph_lists_tracked_ids_and_gives_each_its_region(humans, start_node, graph, bag, sample_image):
    from geometry_msgs.msg import PoseArray
    from hri_msgs.msg import IdsList, NormalizedRegionOfInterest2D

    node = start_node("/humane", autostart=True, id_seed=3)
    poses = graph.record(PoseArray, "/humane/head_poses")
    tracked = graph.record(IdsList, "/humans/faces/tracked")
    regions = graph.record(NormalizedRegionOfInterest2D, f"/humans/faces/{OF_SEED_3}/roi")
    camera = graph.camera("/humane")
    graph.until(lambda: regions or (graph.show(camera, poses, sample_image) and None), what="region")
    assert tracked[-1].ids == [OF_SEED_3]
    graph.show(camera, poses, np.full_like(sample_image, 90))
    graph.until(lambda: tracked[-1].ids == [], what="an empty list")
    region = regions[-1]
    assert 0.0 <= region.xmin < region.xmax <= 1.0
    assert 0.0 <= region.ymin < region.ymax <= 1.0
    assert region.header.frame_id == "lens"
    assert node.stop() == 0
    assert "Traceback" not in node.text


def test_the_graph_gives_pictures_of_a_face_to_who_subscribes_until_the_face_has_gone(
    humans, start_node, graph, sample_image
):
    from geometry_msgs.msg import PoseArray
    from hri_msgs.msg import IdsList
    from sensor_msgs.msg import Image

    node = start_node("/portrait", autostart=True, id_seed=3)
    poses, camera = graph.record(PoseArray, "/portrait/head_poses"), graph.camera("/portrait")
    tracked = graph.record(IdsList, "/humans/faces/tracked")
    graph.until(lambda: graph.show(camera, poses, sample_image).poses, what="a face")
    topics = [f"/humans/faces/{OF_SEED_3}/{kind}" for kind in ("cropped", "aligned")]

    def offered():
        return [len(graph.node.get_publishers_info_by_topic(topic)) for topic in topics]

    graph.until(lambda: offered() == [1, 1], what="both topics")
    cropped = graph.record(Image, topics[0])
    answer = graph.until(
        lambda: (shown := graph.show(camera, poses, sample_image)) and cropped and shown, what="a picture"
    )
    graph.until(lambda: cropped[-1].header.stamp == answer.header.stamp, what="the picture of this image")
    picture = cropped[-1]
    assert (picture.header.frame_id, picture.encoding) == ("lens", "bgr8")
    assert (picture.width, picture.height) == (SIDE_PX, SIDE_PX)
    pixels = np.array(picture.data, np.uint8)
    assert pixels.std() > 20.0  # not one colour
    for _ in range(30):  # 2 s by stamps
        graph.show(camera, poses, np.full_like(sample_image, 90))
    graph.until(lambda: tracked[-1].ids == [] and offered() == [0, 0], what="the topics gone")
    assert node.stop() == 0
    assert "Traceback" not in node.text
