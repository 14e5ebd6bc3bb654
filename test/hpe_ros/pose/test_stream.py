"""The main job on a real graph: `ros2 launch`, a bag's images from another process, poses and TF against the truth."""

import sys

import numpy as np
import pytest

from hpe_core.evaluation.errors.metrics import depth_error_m, geodesic_deg
from hpe_core.evaluation.streams.readers import parse_spec, read_series
from hpe_core.face_id import FaceId
from hpe_core.geometry import frames, so3
from hpe_ros.optional import HAS_HRI_MSGS

pytestmark = pytest.mark.ros

FRAMES = 150
FRAME_ID = "camera_optical_frame"


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def xyz(v):
    return v.x, v.y, v.z


def xyzw(q):
    return q.x, q.y, q.z, q.w


class Seen:
    """What the node published, by kind; prints short, so that a failing test stays readable."""

    def __init__(self, **messages):
        self.__dict__.update(messages)


@pytest.fixture(scope="module")
def replay(start, graph, bag, publisher, model):
    """Everything that the launched node published while the sample bag was replayed to it once, raw, at 15 Hz."""
    from diagnostic_msgs.msg import DiagnosticArray
    from geometry_msgs.msg import PoseArray, PoseWithCovarianceStamped
    from sensor_msgs.msg import Image
    from tf2_msgs.msg import TFMessage
    from vision_msgs.msg import Detection3DArray
    from visualization_msgs.msg import MarkerArray

    seen = Seen(
        poses=graph.record(PoseArray, "/robot/head_poses"),
        primary=graph.record(PoseWithCovarianceStamped, "/robot/head_pose"),
        heads=graph.record(Detection3DArray, "/robot/heads"),
        tf=graph.record(TFMessage, "/tf"),
        overlay=graph.record(Image, "/robot/overlay"),
        markers=graph.record(MarkerArray, "/robot/markers"),
        health=graph.record(DiagnosticArray, "/diagnostics"),
    )
    launch = start(
        ["ros2", "launch", "hpe_ros", "pose.launch.py", "namespace:=robot", f"model:={model}"]
        + ["image:=/camera/image", "camera_info:=/camera/camera_info", f"python:={sys.executable}"]
    )
    camera = start([sys.executable, publisher, bag, "--rate", "15", "--ros-args", "-r", "__ns:=/camera"])
    assert camera.wait(90.0) == 0, camera.text + launch.text
    graph.until(lambda: stamp_ns(seen.poses[-1]) == truth(bag).stamp_ns[-1], 5.0, "the last frame's poses")
    count = len(seen.health)
    graph.until(lambda: len(seen.health) > count, 5.0, "diagnostics after the last frame")
    seen.launch_text = launch.text
    yield seen
    assert launch.stop() == 0, launch.text
    assert "Traceback" not in launch.text


def truth(bag):
    return read_series(bag, parse_spec("/truth/head_pose"))


def the_id(seen):
    """Id of the one head in all that was seen."""
    (face_id,) = {detection.id for message in seen.heads for detection in message.detections}
    return FaceId(face_id)


def frame_of(seen):
    """Name of its face frame: by its id where hri_msgs is installed, else by its slot."""
    return the_id(seen) if HAS_HRI_MSGS else FaceId("face_a")


def transforms(seen, child):
    return [t for message in seen.tf for t in message.transforms if t.child_frame_id == child]


def test_nearly_every_image_is_answered_in_order_with_its_own_stamp_and_frame(replay, bag):
    stamps = [stamp_ns(m) for m in replay.poses]
    assert stamps == sorted(set(stamps))
    assert set(stamps) <= set(truth(bag).stamp_ns.tolist())
    assert len(stamps) > 0.6 * FRAMES  # a busy machine skips some, as it should
    assert {m.header.frame_id for m in replay.poses} == {FRAME_ID}


def test_the_one_head_is_found_in_nearly_every_frame_and_keeps_its_id(replay):
    assert np.mean([len(m.poses) == 1 for m in replay.poses]) > 0.95
    ids = {t.child_frame_id for m in replay.tf for t in m.transforms}
    assert ids == {frame_of(replay).face_frame(), frame_of(replay).gaze_frame()}
    assert len(the_id(replay).letters) == 5


def test_tf_of_the_face_agrees_with_the_truth(replay, bag):
    true, found = truth(bag), {stamp_ns(t): t.transform for t in transforms(replay, frame_of(replay).face_frame())}
    true = true.where(np.isin(true.stamp_ns, list(found)))
    found = [found[stamp] for stamp in true.stamp_ns.tolist()]
    R = frames.head_from_face(so3.matrix_from_quat(np.array([xyzw(t.rotation) for t in found])))
    t_m = np.array([xyz(t.translation) for t in found])
    angle = np.median(geodesic_deg(R, true.R))
    depth = np.median(np.abs(depth_error_m(t_m, true.t_m)) / np.linalg.norm(true.t_m, axis=-1))
    print(f"rotation median {angle:.2f} deg, depth median {100 * depth:.1f} %")
    assert angle < 8.0
    assert depth < 0.15


def test_tf2_accepts_the_frames_and_finds_them_at_the_images_stamp(replay):
    from rclpy.time import Time
    from tf2_ros import Buffer

    buffer = Buffer()
    face, gaze = (
        transforms(replay, frame_of(replay).face_frame())[0],
        transforms(replay, frame_of(replay).gaze_frame())[0],
    )
    buffer.set_transform(face, "test")
    buffer.set_transform(gaze, "test")
    found = buffer.lookup_transform(face.child_frame_id, gaze.child_frame_id, Time.from_msg(face.header.stamp))
    assert np.allclose(xyz(found.transform.translation), 0.0, atol=1e-9)
    # REP-155: gaze z is the face's x (forward), gaze x the subject's right, gaze y down
    R_face_gaze = so3.matrix_from_quat(np.array(xyzw(found.transform.rotation)))
    assert np.allclose(R_face_gaze, [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], atol=1e-6)


def test_primary_pose_is_the_face_of_tf_with_a_usable_covariance(replay):
    by_stamp = {stamp_ns(t): t.transform for t in transforms(replay, frame_of(replay).face_frame())}
    assert len(replay.primary) > 0.95 * len(replay.poses)
    for message in replay.primary:
        pose, transform = message.pose.pose, by_stamp[stamp_ns(message)]
        assert xyz(pose.position) == xyz(transform.translation)
        assert xyzw(pose.orientation) == xyzw(transform.rotation)
        covariance = np.reshape(message.pose.covariance, (6, 6))
        assert np.allclose(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance).min() > 0.0


def test_detections_carry_id_score_and_pose(replay, model):
    message = replay.heads[-1]
    (detection,) = message.detections
    assert detection.id == the_id(replay)
    result, *more = detection.results
    slot, seen = [] if HAS_HRI_MSGS else ["face_a"], ["visible_face"] if model != "head6dof" else []
    assert [one.hypothesis.class_id for one in more] == slot + seen
    assert all(one.hypothesis.score > 0.5 for one in more)
    assert 0.0 < result.hypothesis.score <= 1.0
    assert result.hypothesis.class_id == "head"
    assert result.pose.pose == replay.primary[-1].pose.pose
    assert message.header == detection.header == replay.primary[-1].header


def test_overlay_is_the_image_with_something_drawn_on_it(replay, bag):
    message = replay.overlay[-1]
    assert (message.width, message.height, message.encoding, message.step) == (640, 480, "bgr8", 1920)
    assert stamp_ns(message) in truth(bag).stamp_ns
    assert message.header.frame_id == FRAME_ID


def test_markers_of_the_head_stand_where_its_pose_is(replay):
    primary = replay.primary[-1]
    message = next(m for m in reversed(replay.markers) if m.markers[0].header.stamp == primary.header.stamp)
    ray = next(m for m in message.markers if m.ns == "gaze")
    assert (ray.id, ray.header.frame_id) == (the_id(replay).number, FRAME_ID)
    assert ray.pose == primary.pose.pose


def test_diagnostics_account_for_every_image(replay):
    status = {s.name.split(": ")[1]: {v.key: v.value for v in s.values} for s in replay.health[-1].status}
    received, processed, dropped = (int(status["input"][k]) for k in ("received", "processed", "dropped"))
    assert received == processed + dropped
    assert processed == len(replay.poses)
    assert 9.0 < float(status["input"]["rate_hz"]) < 20.0
    assert status["camera"]["source"] in ("exact stamp", "newest")
    assert float(status["latency"]["overhead_ms"].split("/")[0]) < float(status["latency"]["latency_ms"].split("/")[0])
