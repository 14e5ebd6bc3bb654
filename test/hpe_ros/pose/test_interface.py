"""The pose node's interface on a real graph, row by row: encodings, camera_info, several cameras and heads, time.

Axes: test_conformance. Replay, TF, covariance, markers, overlay: test_stream. Faults: test_survival. REP-155, face
pictures: test_humans.
"""

import time

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core.face_id import FaceId, FaceIds

pytestmark = pytest.mark.ros

FOCAL_PX = 500.0
START_NS = 1_700_000_000_000_000_000
STEP_NS = 66_666_667


def padded(pixels):
    """Rows with 64 bytes of noise behind each."""
    rows = pixels.reshape(len(pixels), -1)
    return np.hstack([rows, np.full((len(rows), 64), 201, np.uint8)])


def nv12(bgr):
    height, width = bgr.shape[:2]
    planar = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    u, v = planar[height:].reshape(2, height // 2, width // 2)
    return np.vstack([planar[:height], np.dstack([u, v]).reshape(height // 2, width)])


def uyvy(bgr):
    luma, made = nv12(bgr)[: len(bgr)], np.empty((*bgr.shape[:2], 2), np.uint8)
    planar = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)[len(bgr) :].reshape(2, len(bgr) // 2, -1)
    made[..., 1] = luma
    made[:, 0::2, 0], made[:, 1::2, 0] = planar[0].repeat(2, 0), planar[1].repeat(2, 0)
    return made


def grey(bgr):
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


# encoding and what is special: rows of the message from a BGR image
ENCODED = {
    "bgr8": lambda bgr: bgr,
    "rgb8": lambda bgr: bgr[..., ::-1],
    "bgra8": lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA),
    "rgba8": lambda bgr: cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA),
    "mono8": grey,
    "yuv422": uyvy,
    "nv12": nv12,
    "bgr8, padded rows": padded,
    "mono8, padded rows": lambda bgr: padded(grey(bgr)),
    "mono16, little-endian": lambda bgr: grey(bgr).astype("<u2") * 257,
    "mono16, big-endian": lambda bgr: (grey(bgr).astype(np.uint16) * 257).astype(">u2"),
}


@pytest.fixture(scope="module")
def poses_of(graph):
    from geometry_msgs.msg import PoseArray

    return lambda namespace: graph.record(PoseArray, f"{namespace}/head_poses")


@pytest.fixture(scope="module")
def eye(start_node, graph, poses_of, sample_image):
    """look(image, **options): the one pose (R, t) that an unfiltered node answers an image with; frames `lens`."""
    start_node("/eye", autostart=True, filter=False)
    poses, camera = poses_of("/eye"), graph.camera("/eye")

    def look(image, **options):
        message = graph.show(camera, poses, image, **options)
        (pose,) = message.poses
        q, p = pose.orientation, pose.position
        return Rotation.from_quat([q.x, q.y, q.z, q.w]), np.array([p.x, p.y, p.z])

    look.camera = camera
    return look


def assert_same_pose(found, expected, angle_deg, ratio):
    (R, t), (R_expected, t_expected) = found, expected
    assert np.degrees((R * R_expected.inv()).magnitude()) < angle_deg
    assert np.linalg.norm(t - t_expected) < ratio * np.linalg.norm(t_expected), (t, t_expected)


@pytest.mark.parametrize("name", ENCODED)
def test_every_encoding_gives_the_pose_of_the_bgr_image(eye, sample_image, messages_of, name):
    rows, encoding = ENCODED[name](sample_image), name.partition(",")[0]
    message = messages_of.image(rows, encoding, width=640, height=480)
    message.is_bigendian = int(name.endswith("big-endian"))
    coloured = not encoding.startswith("mono")
    allowed = (0.1, 0.01) if encoding.startswith(("bgr", "rgb")) else (4.0, 0.05) if coloured else (8.0, 0.10)
    assert_same_pose(eye(message), eye(sample_image), *allowed)


def test_a_new_calibration_counts_at_once_twice_the_focal_length_is_twice_the_distance(eye, sample_image, health):
    _, near = eye(sample_image, focal_px=FOCAL_PX)
    _, far = eye(sample_image, focal_px=2 * FOCAL_PX)
    assert np.linalg.norm(far) / np.linalg.norm(near) == pytest.approx(2.0, rel=0.05)
    health.until("/eye", "camera", lambda *s: s[2].get("fx") == "1000.00", "the new focal length")


def test_a_binned_a_cut_out_and_a_resized_image_give_the_pose_of_the_whole_one(eye, sample_image, health, messages_of):
    whole = eye(sample_image, focal_px=FOCAL_PX)
    half = cv2.resize(sample_image, (320, 240), interpolation=cv2.INTER_AREA)

    binned = messages_of.camera_info(FOCAL_PX)
    binned.binning_x = binned.binning_y = 2
    assert_same_pose(eye(half, info=binned), whole, 6.0, 0.08)
    health.until("/eye", "camera", lambda level, _, v: level == 0 and v["fx"] == "250.00", "half the focal length")

    part = messages_of.camera_info(FOCAL_PX)
    part.roi.x_offset, part.roi.y_offset, part.roi.width, part.roi.height = 80, 40, 480, 400
    cut = np.ascontiguousarray(sample_image[40:440, 80:560])
    assert_same_pose(eye(cut, info=part), whole, 6.0, 0.08)
    health.until("/eye", "camera", lambda level, _, v: level == 0 and v["cx"] == "239.50", "the moved centre")

    assert_same_pose(eye(half, info=messages_of.camera_info(FOCAL_PX)), whole, 6.0, 0.08)
    health.until("/eye", "camera", lambda level, _, v: level == 0 and v["source"] == "resized", "resized")


def test_the_camera_info_of_the_images_own_stamp_counts_more_than_a_newer_one(eye, sample_image, health, messages_of):
    stamp_ns, image = START_NS + 10**17, messages_of.image(sample_image, "bgr8")
    own, newer = messages_of.camera_info(FOCAL_PX), messages_of.camera_info(2 * FOCAL_PX)
    for message, ns in ((own, stamp_ns), (newer, stamp_ns + 10**6), (image, stamp_ns)):
        message.header.frame_id = "paired_lens"
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(ns, 10**9)

    def shown():
        for message in (own, newer):
            eye.camera.infos.publish(message)
            time.sleep(0.1)
        eye.camera.images.publish(image)
        time.sleep(1.1)
        return (
            (seen := health.of("/eye", "camera")) and seen[2]["source"] == "exact stamp" and seen[2]["fx"] == "500.00"
        )

    assert eye.camera.images.topic_name == "/eye/image"
    until(shown)


def until(condition, timeout_s=20.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "not in time"


def test_a_reliable_node_is_answered_by_a_reliable_camera(start_node, graph, poses_of, sample_image):
    start_node("/sure", autostart=True, reliability="reliable")
    assert len(graph.show(graph.camera("/sure"), poses_of("/sure"), sample_image).poses) == 1


def test_of_two_heads_the_nearer_is_head_pose_and_each_keeps_its_id(start_node, graph, poses_of, sample_image):
    from geometry_msgs.msg import PoseWithCovarianceStamped
    from vision_msgs.msg import Detection3DArray

    start_node("/pair", autostart=True)
    poses, camera = poses_of("/pair"), graph.camera("/pair")
    primary = graph.record(PoseWithCovarianceStamped, "/pair/head_pose")
    heads = graph.record(Detection3DArray, "/pair/heads")
    small = cv2.resize(sample_image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    image = np.full_like(sample_image, 90)
    image[:, :320] = sample_image[:, 160:480]
    image[96:384, 330:630] = small[:, 42:342]
    answers = [graph.show(camera, poses, image) for _ in range(5)]
    answer = answers[-1]
    assert [len(message.poses) for message in answers] == [2] * 5
    nearest = min(answer.poses, key=lambda pose: pose.position.z)
    assert nearest.position.x < 0 < max(pose.position.x for pose in answer.poses)
    graph.until(lambda: primary[-1].header.stamp == answer.header.stamp == heads[-1].header.stamp, what="all topics")
    assert primary[-1].pose.pose == nearest
    ids = [[detection.id for detection in message.detections] for message in heads[-4:]]
    assert ids == [ids[0]] * 4 and len(set(ids[0])) == 2
    places = {d.id: d.results[0].pose.pose.position.x for d in heads[-1].detections}
    assert {d.id: d.results[0].pose.pose.position.x for d in heads[-3].detections} == pytest.approx(places, abs=0.02)


def test_two_cameras_two_nodes_each_answers_its_own_at_the_same_time(start_node, graph, poses_of, sample_images):
    from tf2_msgs.msg import TFMessage

    transforms = graph.record(TFMessage, "/tf")
    sides = ("left", "right")
    for side in sides:
        start_node(f"/{side}", autostart=True, tf_prefix=f"{side}_", tf_names="slot")
    poses = {side: poses_of(f"/{side}") for side in sides}
    cameras = {side: graph.camera(f"/{side}") for side in sides}
    for number in range(12):
        for side in sides:
            images = sample_images if side == "left" else [np.fliplr(image) for image in sample_images]
            cameras[side].show(images[number % 4], START_NS + number * STEP_NS, frame_id=f"{side}_lens")
        time.sleep(0.15)
    for side in sides:
        graph.until(lambda side=side: len(poses[side]) >= 6, what=f"answers of {side}")
        assert {message.header.frame_id for message in poses[side]} == {f"{side}_lens"}
    own = [t for message in transforms for t in message.transforms if t.header.frame_id.endswith("_lens")]
    named = {(t.header.frame_id, t.child_frame_id) for t in own if "_a" in t.child_frame_id}
    assert named == {(f"{s}_lens", f"{kind}_{s}_a") for s in sides for kind in ("face", "gaze")}
    # the flipped image has the flipped head: seen from the other side of the middle
    (left,), (right,) = poses["left"][-1].poses, poses["right"][-1].poses
    assert left.position.x == pytest.approx(-right.position.x, abs=0.08)


@pytest.mark.parametrize("names", ["id", "slot"])
def test_frames_of_tf_are_named_by_id_or_by_slot_and_heads_say_which_is_whose(
    names, start_node, graph, poses_of, sample_image
):
    from tf2_msgs.msg import TFMessage
    from vision_msgs.msg import Detection3DArray

    start_node(f"/by_{names}", autostart=True, tf_names=names, tf_prefix=f"{names}_", id_seed=3)
    poses, camera = poses_of(f"/by_{names}"), graph.camera(f"/by_{names}")
    sent, heads = graph.record(TFMessage, "/tf"), graph.record(Detection3DArray, f"/by_{names}/heads")
    face_id = FaceIds(3).take()
    named = face_id if names == "id" else FaceId("face_a")

    def seen():
        graph.show(camera, poses, sample_image)
        children = {t.child_frame_id for message in sent for t in message.transforms}
        children = {child for child in children if f"_{names}_" in child}
        return children and heads and heads[-1].detections and children

    assert graph.until(seen, what="a face on /tf") == {named.face_frame(f"{names}_"), named.gaze_frame(f"{names}_")}
    (detection,) = heads[-1].detections
    assert detection.id == face_id
    classes = [result.hypothesis.class_id for result in detection.results]
    assert classes == (["head"] if names == "id" else ["head", "face_a"])


def test_simulated_time_ages_are_by_the_simulations_clock_which_may_stand_or_jump_back(
    start_node, graph, health, poses_of, sample_image
):
    from rosgraph_msgs.msg import Clock

    start_node("/sim", autostart=True, use_sim_time=True, filter=False)
    poses, camera = poses_of("/sim"), graph.camera("/sim")
    clock = graph.node.create_publisher(Clock, "/clock", 1)
    for now_s in (1000, 500):
        message = Clock()
        message.clock.sec = now_s
        stamp_ns, count = now_s * 10**9 - 50 * 10**6, len(poses)

        def aged(message=message, stamp_ns=stamp_ns):
            clock.publish(message)
            camera.show(sample_image, stamp_ns)
            time.sleep(0.3)
            values = (health.of("/sim", "latency") or (0, "", {}))[2]
            return values.get("stamp_to_publish_ms", "").startswith("50.00/")

        if now_s == 500:  # the window of 300 images forgets slowly: start it anew
            assert graph.transition("/sim/pose_node", "deactivate") and graph.transition("/sim/pose_node", "activate")
            graph.camera("/sim").close()
        until(aged, 60.0)
        answered = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in poses[count:]}
        assert divmod(stamp_ns, 10**9) in answered


def test_the_same_images_at_another_pace_give_the_same_numbers(start_node, graph, poses_of, sample_images):
    name = "/pace/pose_node"
    start_node("/pace", autostart=True, reliability="reliable")
    poses = poses_of("/pace")
    rounds = []
    for pause_s in (0.0, 0.25):
        camera, answers = graph.camera("/pace"), []
        graph.show(camera, poses, np.full_like(sample_images[0], 90))  # before that, even reliable images may be lost
        for number, image in enumerate(sample_images):
            stamp_ns = START_NS + 10**17 + number * STEP_NS
            camera.show(image, stamp_ns)
            answers.append(graph.answer(poses, stamp_ns, 10.0))
            assert answers[-1] is not None, "reliable images all arrive"
            time.sleep(pause_s)
        rounds.append([message.poses for message in answers])
        camera.close()
        assert graph.transition(name, "deactivate")
        assert graph.transition(name, "activate")
        poses.clear()
    assert rounds[0] == rounds[1]
    assert sum(len(found) for found in rounds[0]) >= len(sample_images) - 1


def test_diagnostics_tell_rate_age_latency_drops_camera_model_and_qos(eye, sample_image, health):
    eye(sample_image)
    parts = {part: health.until("/eye", part, lambda *_: True, part) for part in ("model", "camera", "qos", "input")}
    parts["latency"] = health.until("/eye", "latency", lambda *s: "latency_ms" in s[2], "latency")
    assert "head6dof" in parts["model"][1] and "onnxruntime" in parts["model"][1]
    assert {"source", "image", "fx", "fy", "cx", "cy", "distortion"} <= set(parts["camera"][2])
    assert {"rate_hz", "received", "processed", "dropped", "faces", "camera_info received"} <= set(parts["input"][2])
    assert {"stamp_age_ms", "latency_ms", "stamp_to_publish_ms", "inference_ms", "node_ms"} <= set(parts["latency"][2])
    assert parts["qos"][1] == "all publishers fit"
