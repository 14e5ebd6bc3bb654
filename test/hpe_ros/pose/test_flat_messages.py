"""What is said in pixels of the image: boxes, ids and landmarks."""

import numpy as np
import pytest

from hpe_core.geometry.camera import CameraModel
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


def test_foxglove_gets_box_id_and_landmarks_with_the_stamp_of_the_image(made, header):
    pytest.importorskip("foxglove_msgs", reason="foxglove_msgs is not installed: annotations were NOT tested")
    message = made.annotations([face("face_b", LANDMARKS)], CAMERA, header)
    box, dots = message.points
    assert (box.type, dots.type) == (box.LINE_LOOP, dots.POINTS)
    assert [(p.x, p.y) for p in box.points] == [(100.0, 50.0), (180.0, 50.0), (180.0, 170.0), (100.0, 170.0)]
    expected_px = CAMERA.project(face("face_b", LANDMARKS).landmarks_camera_m)
    np.testing.assert_allclose([(p.x, p.y) for p in dots.points], expected_px)
    (text,) = message.texts
    assert (text.text, text.position.x, text.position.y) == ("face_b 0.75", 100.0, 50.0)
    assert {text.timestamp.sec, box.timestamp.sec, dots.timestamp.sec} == {header.stamp.sec}


def test_foxglove_gets_no_landmarks_of_a_method_without_and_nothing_without_a_face(made, header):
    pytest.importorskip("foxglove_msgs", reason="foxglove_msgs is not installed: annotations were NOT tested")
    assert len(made.annotations([face()], CAMERA, header).points) == 1
    empty = made.annotations([], CAMERA, header)
    assert (list(empty.points), list(empty.texts)) == ([], [])
