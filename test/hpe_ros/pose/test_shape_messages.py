"""Expressions, meshes and action units of a dense model: as messages, and on a real graph."""

import numpy as np
import pytest

from hpe_core.errors import HpeError
from hpe_core.face_id import FaceId
from hpe_core.mesh.face_mesh import mesh_of
from hpe_core.mesh.head_model import EXPRESSIONS, IDENTITIES, shipped, shipped_small
from hpe_core.types import Face, FaceShape, HeadPose, Landmarks
from hpe_ros.node_config import NodeConfig

pytestmark = pytest.mark.ros

SMILE = {"mouthSmile_L": 0.75, "mouthSmile_R": 0.5, "jawOpen": 0.25}


def smiling(face_id="face_c", t=(0.1, 0.0, 0.8)):
    expression = np.zeros(EXPRESSIONS)
    for name, weight in SMILE.items():
        expression[shipped().expression_names.index(name)] = weight
    landmarks = Landmarks(np.zeros((68, 3)), np.r_[np.ones(34), np.zeros(34)])
    return Face(
        HeadPose(np.eye(3), np.array(t)),
        0.9,
        np.array([10.0, 20, 30, 40]),
        face_id,
        landmarks,
        shape=FaceShape(np.zeros(IDENTITIES), expression),
    )


@pytest.fixture
def messages():
    from hpe_ros.pose import shape_messages

    return shape_messages


def test_expressions_are_named_by_face_and_movement_and_empty_without_a_face(messages, header):
    message = messages.expressions([smiling("face_a"), smiling("face_b")], header)
    weights = dict(zip(message.name, message.position, strict=True))
    assert len(weights) == 2 * EXPRESSIONS and message.header == header
    assert weights["face_a/mouthSmile_L"] == 0.75 and weights["face_b/jawOpen"] == 0.25
    assert list(messages.expressions([], header).name) == []


def test_a_mesh_is_a_list_of_triangles_in_the_cameras_frame_seen_anticlockwise_from_outside(messages, header):
    face = smiling()
    clear, marker = messages.mesh_markers([face], header).markers
    assert clear.action == clear.DELETEALL
    assert (marker.type, marker.ns, marker.id) == (marker.TRIANGLE_LIST, "mesh", FaceId("face_c").number)
    points = np.array([[p.x, p.y, p.z] for p in marker.points]).reshape(-1, 3, 3)
    vertices = mesh_of(face, shipped_small()).vertices_m
    assert np.abs(points.reshape(-1, 3)[:, None] - vertices[None, :1]).min() < 1e-6
    np.testing.assert_allclose([points.min((0, 1)), points.max((0, 1))], [vertices.min(0), vertices.max(0)], atol=0.02)
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    front = points[..., 2].mean(1) < 0.8
    assert (normals[front, 2] < 0).mean() > 0.8  # they look to the camera


def test_faces_of_a_model_without_shapes_have_no_mesh(messages, header):
    plain = Face(HeadPose(np.eye(3), [0, 0, 1.0]), 0.9, np.zeros(4), "face_a")
    assert len(messages.mesh_markers([plain], header).markers) == 1
    assert list(messages.expressions([plain], header).position) == []


def test_action_units_have_the_stronger_side_and_the_share_of_visible_landmarks_as_confidence(header):
    pytest.importorskip("hri_msgs", reason="NOT TESTED: action units (hri_msgs is not installed)")
    from hri_msgs.msg import FacialActionUnits

    from hpe_ros.people.humans import action_units

    message = action_units(smiling(), header)
    assert message.intensity[FacialActionUnits.LIP_CORNER_PULLER] == pytest.approx(0.75)
    assert message.intensity[FacialActionUnits.JAW_DROP] == pytest.approx(0.25)
    assert (
        message.confidence[FacialActionUnits.JAW_DROP] == 0.5 and message.confidence[FacialActionUnits.CHEWING] == 0.0
    )


def test_numbers_of_the_action_units_are_those_of_hri_msgs():
    pytest.importorskip("hri_msgs", reason="NOT TESTED: action units (hri_msgs is not installed)")
    from hri_msgs.msg import FacialActionUnits as Units

    from hpe_core.mesh.expressions import ACTION_UNITS, EYES_CLOSED, WINK

    assert (Units.INNER_BROW_RAISER, Units.LIP_CORNER_PULLER, Units.JAW_DROP, Units.EYES_DOWN) == (1, 12, 26, 64)
    assert (Units.EYES_CLOSED, Units.WINK, Units.CHEEK_PUFF, Units.LIP_FUNNELER) == (EYES_CLOSED, WINK, 34, 22)
    assert ACTION_UNITS[Units.LIP_STRETCHER] == ("mouthStretch_L", "mouthStretch_R")


def test_a_part_of_the_overlay_that_is_none_is_named():
    with pytest.raises(HpeError, match=r"overlay_parts must be a list of some of box, .*'faces'"):
        NodeConfig(overlay_parts=("faces",))


def test_the_graph_gives_expressions_meshes_and_action_units_of_a_dense_model(
    start_node, graph, sample_image, dense_net
):
    from geometry_msgs.msg import PoseArray
    from sensor_msgs.msg import Image, JointState
    from visualization_msgs.msg import MarkerArray

    from hpe_ros.optional import HAS_HRI_MSGS

    model = f"head6dof+{dense_net(None, {'jawOpen': 0.75})}"
    node = start_node("/lively", autostart=True, id_seed=3, model=model, overlay_parts=["mesh", "landmarks"])
    poses, camera = graph.record(PoseArray, "/lively/head_poses"), graph.camera("/lively")
    expressions = graph.record(JointState, "/lively/expressions")
    meshes, overlay = graph.record(MarkerArray, "/lively/meshes"), graph.record(Image, "/lively/overlay")
    answer = graph.until(
        lambda: (shown := graph.show(camera, poses, sample_image)).poses and expressions and overlay and shown,
        what="expressions",
    )
    graph.until(lambda: expressions[-1].header.stamp == answer.header.stamp, what="those of this image")
    weights = dict(zip(expressions[-1].name, expressions[-1].position, strict=True))
    (jaw,) = [name for name in weights if name.endswith("/jawOpen")]
    face_id = jaw.removesuffix("/jawOpen")
    assert weights[jaw] == pytest.approx(0.75, abs=1e-6) and len(weights) == EXPRESSIONS
    graph.until(lambda: meshes and len(meshes[-1].markers) == 2, what="a mesh")
    marker = meshes[-1].markers[1]
    assert marker.header.frame_id == "lens" and len(marker.points) % 3 == 0 and len(marker.points) > 10_000
    position, nose = answer.poses[0].position, np.array([[p.x, p.y, p.z] for p in marker.points])
    assert np.linalg.norm(nose - [position.x, position.y, position.z], axis=1).min() < 0.02  # the sellion is on it
    if HAS_HRI_MSGS:
        from hri_msgs.msg import FacialActionUnits

        units = graph.record(FacialActionUnits, f"/humans/faces/{FaceId(face_id).letters}/facs")
        graph.until(lambda: units or (graph.show(camera, poses, sample_image) and None), what="action units")
        assert units[-1].intensity[FacialActionUnits.JAW_DROP] == pytest.approx(0.75, abs=1e-3)
    graph.show(camera, poses, np.full_like(sample_image, 90))
    graph.until(lambda: list(expressions[-1].name) == [] and len(meshes[-1].markers) == 1, what="empty messages")
    assert node.stop() == 0
    assert "Traceback" not in node.text


def test_a_node_whose_model_tells_no_shape_refuses_a_mesh_in_its_overlay(start_node, graph):
    node = start_node("/plain", autostart=True, overlay_parts=["mesh"])
    reason = "overlay_parts: 'mesh' needs a model that tells the shape of faces, such as dense"
    graph.until(lambda: reason in node.text, what="the reason")
    node.stop()
