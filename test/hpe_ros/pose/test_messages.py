"""Messages of the pose node, on the real message types."""

from dataclasses import replace

import numpy as np
import pytest

from hpe_core.geometry import so3
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.types import Face, HeadPose, Landmarks

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def messages():
    from hpe_ros.pose import messages

    return messages


def head(yaw, face_id, x_m=0.0):
    pose = HeadPose(aflw2000.to_matrix(EulerDeg(yaw, 0.0, 0.0)), [x_m, 0.0, 0.8], np.diag([1.0, 2, 3, 4, 5, 6]))
    return Face(pose, 0.9, np.array([10.0, 20, 30, 40]), face_id)


def tf(messages, faces, header, prefix=""):
    return messages.transforms(faces, messages.face_poses(faces), header, prefix).transforms


def rotation(q):
    return so3.matrix_from_quat(np.array([q.x, q.y, q.z, q.w]))


def test_a_head_that_faces_the_camera_has_face_x_against_the_optical_axis_and_z_up(messages, header):
    face, gaze = tf(messages, [head(0.0, "face_a")], header)
    assert (face.child_frame_id, gaze.child_frame_id) == ("face_a", "gaze_a")
    assert face.header == gaze.header == header
    R_camera_face, R_camera_gaze = rotation(face.transform.rotation), rotation(gaze.transform.rotation)
    assert np.allclose(R_camera_face @ [1, 0, 0], [0, 0, -1])  # out of the face, to the camera
    assert np.allclose(R_camera_face @ [0, 1, 0], [1, 0, 0])  # the subject's left is the image's right
    assert np.allclose(R_camera_face @ [0, 0, 1], [0, -1, 0])  # the scalp is up
    assert np.allclose(R_camera_gaze @ [0, 0, 1], [0, 0, -1])  # gaze z looks where the face looks
    assert np.allclose(R_camera_gaze @ [0, 1, 0], [0, 1, 0])


def test_tf_names_take_the_prefix(messages, header):
    assert [t.child_frame_id for t in tf(messages, [head(0, "face_h")], header, "left_")] == [
        "face_left_h",
        "gaze_left_h",
    ]


def test_by_slot_the_frames_have_the_name_of_the_slot_and_heads_say_so(messages, header):
    faces = [replace(head(0.0, "face_rkqsf"), slot=0), replace(head(0.0, "face_qwert"), slot=27)]
    poses = messages.face_poses(faces)
    names = [t.child_frame_id for t in messages.transforms(faces, poses, header, "left_", by_slot=True).transforms]
    assert names == ["face_left_a", "gaze_left_a", "face_left_ab", "gaze_left_ab"]
    for by_slot, frame in ((True, ["face_ab"]), (False, [])):
        _, detection = messages.detections(faces, poses, header, by_slot).detections
        assert detection.id == "face_qwert"
        assert [result.hypothesis.class_id for result in detection.results] == ["head", *frame]
        seen = [replace(face, face_visibility=0.25) for face in faces]
        _, detection = messages.detections(seen, poses, header, by_slot).detections
        scores = [(result.hypothesis.class_id, result.hypothesis.score) for result in detection.results]
        assert scores[:1] + scores[-1:] == [("head", faces[1].score), ("visible_face", 0.25)]
        assert len(scores) == 2 + len(frame)


def test_the_nearest_face_is_the_primary_one_and_keeps_its_covariance(messages, header):
    faces = (head(0.0, "face_a", x_m=0.5), head(20.0, "face_b"))
    message = messages.primary_pose(faces, messages.face_poses(faces), header)
    assert message.pose.pose.position.x == 0.0
    assert np.reshape(message.pose.covariance, (6, 6)).diagonal().tolist() == [1, 2, 3, 4, 5, 6]
    assert message.header == header
    assert messages.primary_pose((), [], header) is None


def test_no_face_is_an_empty_array(messages, header):
    message = messages.pose_array(messages.face_poses(()), header)
    assert message.poses == []
    assert message.header == header


def test_an_unknown_covariance_is_marked_and_not_zero(messages, header):
    faces = (Face(HeadPose(np.eye(3), [0, 0, 1.0]), 0.9, np.zeros(4), "face_a"),)
    assert messages.primary_pose(faces, messages.face_poses(faces), header).pose.covariance[0] == -1.0


def test_detection_box_encloses_the_head_behind_the_sellion(messages, header):
    pytest.importorskip("vision_msgs")
    faces = (head(0.0, "face_a"),)
    (detection,) = messages.detections(faces, messages.face_poses(faces), header).detections
    assert detection.bbox.center.position.z > 0.8  # behind the sellion, seen from the camera
    size = detection.bbox.size
    assert np.allclose((size.x, size.y, size.z), (0.124, 0.144, 0.186), atol=1e-3)  # deep, wide, high
    assert detection.id == "face_a"


def test_markers_are_head_gaze_ray_and_text_of_each_face_after_the_old_ones_go(messages, header):
    faces = (head(0.0, "face_a"), head(30.0, "face_c", x_m=0.5))
    first, *made = messages.markers(faces, messages.face_poses(faces), header).markers
    assert first.action == first.DELETEALL
    assert [(m.ns, m.id) for m in made] == [(ns, slot) for slot in (0, 2) for ns in ("head", "gaze", "text")]
    assert all(m.header == header for m in [first, *made])
    sphere, ray, text = made[:3]
    assert (sphere.type, ray.type, text.type) == (sphere.SPHERE, ray.ARROW, text.TEXT_VIEW_FACING)
    # an arrow of RViz points along its x axis: from the sellion to the camera
    assert np.allclose(rotation(ray.pose.orientation) @ [1, 0, 0], [0, 0, -1])
    assert (ray.pose.position.z, ray.scale.x) == (0.8, messages.GAZE_RAY_M)
    assert sphere.pose.position.z > 0.8  # the head is behind the sellion
    assert text.text == "face_a 0.80 m"
    assert text.pose.position.y < -0.1  # above the crown: y is down
    assert made[0].color != made[3].color


def test_landmarks_are_a_marker_of_points_where_the_camera_sees_them(messages, header):
    landmarks = Landmarks(np.column_stack([np.linspace(-0.05, 0.05, 68), np.zeros((68, 2))]), np.ones(68))
    face = replace(head(0.0, "face_a"), landmarks=landmarks)
    first, dots = messages.landmark_markers((face, head(0.0, "face_b")), header).markers
    assert first.action == first.DELETEALL
    assert (dots.ns, dots.type, dots.id) == ("landmarks", dots.POINTS, 0)
    np.testing.assert_allclose([(p.x, p.y, p.z) for p in dots.points], face.landmarks_camera_m)
    assert dots.pose.orientation.w == 1.0  # points are in the camera's axes


def test_without_a_face_the_markers_only_take_the_old_ones_away(messages, header):
    (only,) = messages.markers((), [], header).markers
    assert only.action == only.DELETEALL
