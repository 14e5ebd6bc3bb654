"""Axes, signs and units of the whole pipeline: a rendered head in named poses, seen raw (distorted) and rectified.

What is expected is written here by hand, in the camera optical frame (x right, y down, z forward), and the bag's own
truth must agree with it. Tolerances are wide, but narrower than any named turn, so no sign can be wrong.
"""

from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from hpe_core.config import PipelineConfig, overridden
from hpe_core.geometry import frames, so3
from hpe_core.geometry.camera import CameraModel
from hpe_core.geometry.head import FACE_CENTRE_M
from hpe_core.io.camera_info import camera_from_message
from hpe_core.pipeline import Pipeline
from hpe_core.pixels.encodings import bgr_from_compressed

BAG = Path(__file__).parents[2] / "assets" / "conformance_bag"
ROTATION_DEG, BEARING_DEG, RANGE_RATIO = 16.0, 2.0, 1.25

TO_CAMERA, UPRIGHT, MIDDLE = (0, 0, -1), (0, -1, 0), (0, 0, 0.7)
# sin, cos of 35 deg: 0.574, 0.819; of 22: 0.375, 0.927; of 25: 0.423, 0.906; of 30: 0.5, 0.866
# name: direction of the gaze, direction from chin to crown, middle of the head in metres
EXPECTED = {
    "front": (TO_CAMERA, UPRIGHT, MIDDLE),
    "turned_to_image_left": ((-0.574, 0, -0.819), UPRIGHT, MIDDLE),
    "turned_to_image_right": ((0.574, 0, -0.819), UPRIGHT, MIDDLE),
    "looking_up": ((0, -0.375, -0.927), (0, -0.927, 0.375), MIDDLE),
    "looking_down": ((0, 0.375, -0.927), (0, -0.927, -0.375), MIDDLE),
    "tilted_clockwise": (TO_CAMERA, (0.423, -0.906, 0), MIDDLE),
    "tilted_anticlockwise": (TO_CAMERA, (-0.423, -0.906, 0), MIDDLE),
    "near": (TO_CAMERA, UPRIGHT, (0, 0, 0.4)),
    "far": (TO_CAMERA, UPRIGHT, (0, 0, 1.3)),
    "at_image_left": (TO_CAMERA, UPRIGHT, (-0.40, 0, 0.7)),
    "at_image_right": (TO_CAMERA, UPRIGHT, (0.40, 0, 0.7)),
    "at_image_top": (TO_CAMERA, UPRIGHT, (0, -0.25, 0.7)),
    "at_image_bottom": (TO_CAMERA, UPRIGHT, (0, 0.25, 0.7)),
    # atan(0.40 / 0.7) = 29.7 deg: sin 0.496, cos 0.868
    "at_image_right_facing_the_camera": ((-0.496, 0, -0.868), UPRIGHT, (0.40, 0, 0.7)),
    "in_the_corner_turned_to_image_left": ((-0.5, 0, -0.866), UPRIGHT, (0.40, 0.22, 0.75)),
}
EDGES = [name for name in EXPECTED if name.startswith(("at_image", "in_the_corner"))]


@pytest.fixture(scope="module")
def views():
    """Dict from name to the messages of that view, by topic."""
    store, by_time = get_typestore(Stores.ROS2_JAZZY), {}
    with Reader(BAG) as reader:
        for connection, time_ns, data in reader.messages():
            by_time.setdefault(time_ns, {})[connection.topic] = store.deserialize_cdr(data, connection.msgtype)
    return {messages["/truth/view"].data: messages for messages in by_time.values()}


@pytest.fixture(scope="module")
def pipeline():
    return Pipeline(overridden(PipelineConfig(), {"estimator": {"threads": 1}}))


@pytest.fixture(scope="module")
def pose_in(views, pipeline):
    """pose_in(name, kind) -> HeadPose found in the `raw` or `rect` image; one face must be there."""

    def pose(name, kind, camera=None):
        messages = views[name]
        camera = camera or camera_from_message(messages["/camera/camera_info"], rectified=kind == "rect")
        pipeline.reset()
        image_bgr = bgr_from_compressed(messages[f"/camera/image_{kind}/compressed"].data)
        faces = pipeline.process(image_bgr, camera, 0).faces
        assert len(faces) == 1, f"{name}, {kind}: {len(faces)} faces"
        return faces[0].pose

    return pose


def directions(R_camera_head):
    """Gaze and chin-to-crown direction of a head in the camera."""
    return R_camera_head @ (0, 0, -1), R_camera_head @ (0, -1, 0)


def angle_deg(a, b):
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), np.dot(a, b)))


def centre_of(R_camera_head, t_camera_head_m):
    return R_camera_head @ FACE_CENTRE_M + t_camera_head_m


def test_the_bag_holds_these_views_and_its_truth_is_the_table(views):
    assert list(views) == list(EXPECTED)
    for name, messages in views.items():
        pose = messages["/truth/head_pose"].pose
        q, p = pose.orientation, pose.position
        R = frames.head_from_face(so3.matrix_from_quat((q.x, q.y, q.z, q.w)))
        gaze, crown = directions(R)
        np.testing.assert_allclose(gaze, EXPECTED[name][0], atol=1e-3, err_msg=name)
        np.testing.assert_allclose(crown, EXPECTED[name][1], atol=1e-3, err_msg=name)
        np.testing.assert_allclose(centre_of(R, (p.x, p.y, p.z)), EXPECTED[name][2], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", ["raw", "rect"])
@pytest.mark.parametrize("name", EXPECTED)
def test_the_head_is_where_it_is_and_looks_where_it_looks(pose_in, name, kind):
    pose = pose_in(name, kind)
    gaze, crown = directions(pose.R_camera_head)
    assert angle_deg(gaze, EXPECTED[name][0]) < ROTATION_DEG, gaze
    assert angle_deg(crown, EXPECTED[name][1]) < ROTATION_DEG, crown
    centre, expected_m = centre_of(pose.R_camera_head, pose.t_camera_head_m), EXPECTED[name][2]
    assert angle_deg(centre, expected_m) < BEARING_DEG, centre
    ratio = np.linalg.norm(centre) / np.linalg.norm(expected_m)
    assert 1 / RANGE_RATIO < ratio < RANGE_RATIO, ratio


def test_the_tolerance_is_smaller_than_every_named_turn():
    for name, (gaze, crown, _) in EXPECTED.items():
        turn = max(angle_deg(gaze, TO_CAMERA), angle_deg(crown, UPRIGHT))
        assert turn == 0 or turn > ROTATION_DEG, name


@pytest.mark.parametrize(
    "name, axis, sign",
    [
        ("turned_to_image_left", "yaw", 1),
        ("turned_to_image_right", "yaw", -1),
        ("looking_up", "pitch", 1),
        ("looking_down", "pitch", -1),
        ("tilted_clockwise", "roll", 1),
        ("tilted_anticlockwise", "roll", -1),
    ],
)
def test_each_turn_is_the_one_euler_angle_of_aflw2000_that_is_named_for_it(pose_in, name, axis, sign):
    turn_deg = {"yaw": 35, "pitch": 22, "roll": 25}
    angles = pose_in(name, "rect").euler_aflw2000
    for other in turn_deg:
        expected = sign * turn_deg[axis] if other == axis else 0
        assert getattr(angles, other) == pytest.approx(expected, abs=ROTATION_DEG), (other, angles)


def test_a_lens_whose_distortion_is_ignored_puts_heads_at_the_edge_elsewhere(pose_in, views):
    info = camera_from_message(views["front"]["/camera/camera_info"])
    straight = CameraModel(info.width, info.height, info.K)

    def error_deg(name, camera):
        pose = pose_in(name, "raw", camera)
        return angle_deg(centre_of(pose.R_camera_head, pose.t_camera_head_m), EXPECTED[name][2])

    with_distortion = np.mean([error_deg(name, info) for name in EDGES])
    without = np.mean([error_deg(name, straight) for name in EDGES])
    assert with_distortion < 0.7 * without, (with_distortion, without)
