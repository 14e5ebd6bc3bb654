"""What is said in pixels of the image: boxes, ids and landmarks."""

import numpy as np
import pytest

from hpe_core.geometry.camera import CameraModel
from hpe_core.output.annotations import image_annotations
from hpe_core.types import Face, HeadPose, Landmarks

pytestmark = pytest.mark.ros

CAMERA = CameraModel.from_hfov(640, 480, 60.0)
BOX_PX = np.array([100.0, 50.0, 180.0, 170.0])
LANDMARKS = Landmarks(np.column_stack([np.linspace(-0.05, 0.05, 68), np.zeros((68, 2))]), np.ones(68))


@pytest.fixture
def made():
    from hpe_ros.pose import flat_messages

    return flat_messages


def face(face_id="face_b", landmarks=None):
    return Face(HeadPose(np.eye(3), [0.0, 0.0, 0.8], np.eye(6)), 0.75, BOX_PX, face_id, landmarks)


def test_a_detection_is_the_box_in_pixels_with_id_and_score(made, header):
    pytest.importorskip("vision_msgs")
    message = made.detections([face("face_b"), face("face_a")], header)
    assert message.header == header
    first, second = message.detections
    assert (first.id, second.id, first.header) == ("face_b", "face_a", header)
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (140.0, 110.0)
    assert (first.bbox.size_x, first.bbox.size_y, first.bbox.center.theta) == (80.0, 120.0, 0.0)
    (result,) = first.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == ("face", 0.75)


def test_without_a_face_there_is_an_empty_array(made, header):
    pytest.importorskip("vision_msgs")
    assert made.detections([], header).detections == []


def test_foxglove_gets_what_the_bag_of_a_run_has_with_the_stamp_of_the_image(made, header):
    pytest.importorskip("foxglove_msgs", reason="foxglove_msgs is not installed: annotations were NOT tested")
    faces = [face("face_b", LANDMARKS), face("face_a")]
    message, expected = made.annotations(faces, CAMERA, header), image_annotations(CAMERA, faces)
    kinds = {"points": 1, "line_loop": 2, "line_list": 4}  # constants of foxglove_msgs/PointsAnnotation
    assert [p.type for p in message.points] == [kinds[one.kind] for one in expected.points]
    for sent, one in zip(message.points, expected.points, strict=True):
        assert [(p.x, p.y) for p in sent.points] == one.points_px
        colours = [(c.r, c.g, c.b) for c in sent.outline_colors] or [
            (sent.outline_color.r, sent.outline_color.g, sent.outline_color.b)
        ]
        assert colours == one.colours
    assert [t.text for t in message.texts] == [one.text for one in expected.texts]
    assert [(t.position.x, t.position.y) for t in message.texts] == [one.position_px for one in expected.texts]
    (ring, _), (centre_px, _) = message.circles, [one.centre_px for one in expected.circles]
    assert (ring.position.x, ring.position.y, ring.outline_color.a, ring.fill_color.a) == (*centre_px, 1.0, 0.0)
    parts = [*message.points, *message.texts, *message.circles]
    assert all(part.timestamp == header.stamp for part in parts)


def test_foxglove_gets_nothing_without_a_face(made, header):
    pytest.importorskip("foxglove_msgs", reason="foxglove_msgs is not installed: annotations were NOT tested")
    empty = made.annotations([], CAMERA, header)
    assert (list(empty.points), list(empty.circles), list(empty.texts)) == ([], [], [])
