"""Messages of the attention node on the real types; poses make the way there and back unchanged."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from hpe_core.attention.decision import State
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.types import Face, HeadPose

pytestmark = pytest.mark.ros

COVARIANCE = np.diag([1e-4, 2e-4, 3e-4, 1e-3, 2e-3, 3e-3])


@pytest.fixture(scope="module")
def made():
    pytest.importorskip("vision_msgs")
    from hpe_ros.attention import messages

    return messages


@pytest.fixture
def array(made, header):
    """array(face, ...) -> Detection3DArray as pose_node publishes it."""
    from hpe_ros.pose import messages

    return lambda *faces: messages.detections(faces, messages.face_poses(faces), header)


def face(face_id="face_a", yaw=20.0, covariance=COVARIANCE, z_m=0.8):
    R = aflw2000.to_matrix(EulerDeg(yaw, 10.0, -5.0))
    return Face(HeadPose(R, [0.1, -0.05, z_m], covariance), 0.9, np.zeros(4), face_id)


def test_a_head_comes_back_from_its_detection_as_it_was(made, array):
    (head,), problems = made.heads_from_detections(array(face()), None)
    assert (head.face_id, head.face_px, problems) == ("face_a", None, [])
    np.testing.assert_allclose(head.pose.R_camera_head, face().pose.R_camera_head, atol=1e-12)
    np.testing.assert_allclose(head.pose.t_camera_head_m, [0.1, -0.05, 0.8])
    np.testing.assert_allclose(head.pose.covariance, COVARIANCE)


def test_how_likely_the_face_can_be_seen_comes_back_and_is_unknown_without_it(made, array):
    heads, problems = made.heads_from_detections(array(face("face_b"), replace(face(), face_visibility=0.25)), None)
    assert ([head.face_visibility for head in heads], problems) == ([None, 0.25], [])


def test_unknown_and_unset_covariances_are_unknown(made, array):
    (ours,), _ = made.heads_from_detections(array(face(covariance=None)), None)
    (theirs,), _ = made.heads_from_detections(array(face(covariance=np.zeros((6, 6)))), None)
    assert ours.pose.covariance is theirs.pose.covariance is None


def test_a_face_of_13_cm_is_half_as_wide_in_the_image_at_twice_the_distance(made, array):
    camera = CameraModel.from_hfov(640, 480, 60.0)
    near, far = (made.heads_from_detections(array(face(z_m=z)), camera)[0][0].face_px for z in (1.0, 2.0))
    assert 60.0 < near < 110.0  # 554 px of focal length, 124 to 190 mm of head
    assert far == pytest.approx(near / 2.0, rel=0.1)


def test_what_cannot_be_used_is_left_out_and_told_without_losing_the_others(made, array):
    message = array(face("face_a"), face("face_b"), face("face_b"), face("face_c"), face("face_d"))
    message.detections[0].id = ""
    message.detections[3].results[0].pose.pose.orientation.w = float("nan")
    message.detections[4].results = []
    heads, problems = made.heads_from_detections(message, None)
    assert [head.face_id for head in heads] == ["face_b"]
    assert len(problems) == 4
    assert "two detections have the id 'face_b'" in problems


@pytest.mark.parametrize("by_slot, focus", [(False, "focus_rkqsf"), (True, "focus_b")])
def test_focus_is_named_as_the_frames_of_the_face_are(made, header, by_slot, focus):
    from hpe_ros.pose import messages

    faces = [replace(face("face_rkqsf"), slot=1)]
    (detection,) = messages.detections(faces, messages.face_poses(faces), header, by_slot).detections
    (transform,) = made.focus_transforms({made.tf_name(detection): np.zeros(3)}, header).transforms
    assert (transform.child_frame_id, detection.id) == (focus, "face_rkqsf")


def test_focus_is_a_frame_at_the_target_named_by_the_face(made, header):
    (transform,) = made.focus_transforms({"face_b": np.array([1.0, 2.0, 3.0])}, header, "left_").transforms
    assert (transform.child_frame_id, transform.header) == ("focus_left_b", header)
    p = transform.transform.translation
    assert (p.x, p.y, p.z) == (1.0, 2.0, 3.0)


def test_the_ray_of_a_frontal_head_goes_one_metre_to_the_camera_and_is_green_when_it_looks(made, header):
    head = SimpleNamespace(face_id="face_a", pose=HeadPose(np.eye(3), [0.0, 0.0, 2.0]))
    clear, arrow = made.gaze_markers([head], {"face_a": State.LOOKING}, header).markers
    assert (clear.action, arrow.action) == (clear.DELETEALL, arrow.ADD)
    assert [(p.x, p.y, p.z) for p in arrow.points] == [(0.0, 0.0, 2.0), (0.0, 0.0, 1.0)]
    assert arrow.color.g > max(arrow.color.r, arrow.color.b)


def test_gazes_name_sender_and_receiver(made, header, monkeypatch):
    if made.Gaze is None:  # the fields of hri_msgs/Gaze, where it is not installed
        monkeypatch.setattr(made, "Gaze", SimpleNamespace)
    first, second = made.gazes({"face_b": "tablet", "face_a": ""}, header)
    assert (first.sender, first.receiver, first.header) == ("face_a", "", header)
    assert (second.sender, second.receiver) == ("face_b", "tablet")


def test_shipped_yaml_lists_every_parameter_with_its_default():
    from hpe_ros.node_config import ATTENTION_NODE_GROUPS
    from hpe_ros.parameters import fields_of

    text = (Path(__file__).parents[3] / "config" / "attention.yaml").read_text()
    given = yaml.safe_load(text)["/**"]["ros__parameters"]
    given["targets"] = tuple(given["targets"])
    assert given == {name: f.default for name, f in fields_of(ATTENTION_NODE_GROUPS).items()}
