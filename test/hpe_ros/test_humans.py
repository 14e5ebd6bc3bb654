"""REP-155 topics of the faces, on the real hri_msgs; skipped where they are not installed."""

import numpy as np
import pytest

from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.types import Face, HeadPose, Landmarks

pytestmark = pytest.mark.ros

CAMERA = CameraModel.from_hfov(640, 480, 60.0)


@pytest.fixture(scope="module")
def humans():
    from hpe_ros import humans

    if not humans.installed():
        pytest.skip("hri_msgs is not installed: the REP-155 topics were NOT tested")
    return humans


@pytest.fixture
def header():
    from std_msgs.msg import Header

    return Header(frame_id="lens")


def face(box_px=(160.0, 120.0, 320.0, 360.0), landmarks=None, face_id="face_c"):
    """A face that looks into the camera, its face centre on the optical axis 0.8 m away."""
    pose = HeadPose(np.eye(3), np.array([0.0, 0.0, 0.8]) - FACE_CENTRE_M, np.eye(6))
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


def test_the_graph_lists_tracked_ids_and_gives_each_its_region(humans, start_node, graph, bag, sample_image):
    from geometry_msgs.msg import PoseArray
    from hri_msgs.msg import IdsList, NormalizedRegionOfInterest2D

    node = start_node("/humane", autostart=True)
    poses = graph.record(PoseArray, "/humane/head_poses")
    tracked = graph.record(IdsList, "/humans/faces/tracked")
    regions = graph.record(NormalizedRegionOfInterest2D, "/humans/faces/a/roi")
    camera = graph.camera("/humane")
    graph.until(lambda: regions or (graph.show(camera, poses, sample_image) and None), what="region")
    assert tracked[-1].ids == ["a"]
    graph.show(camera, poses, np.full_like(sample_image, 90))
    graph.until(lambda: tracked[-1].ids == [], what="an empty list")
    region = regions[-1]
    assert 0.0 <= region.xmin < region.xmax <= 1.0
    assert 0.0 <= region.ymin < region.ymax <= 1.0
    assert region.header.frame_id == "lens"
    assert node.stop() == 0
    assert "Traceback" not in node.text
