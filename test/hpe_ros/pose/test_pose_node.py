"""The node alone as a process: lifecycle, parameters, faults in the input, faults in the process."""

import os
import re
import signal
import sys
import time

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.ros

BLANK = np.full((480, 640, 3), 90, np.uint8)
START_NS, STEP_NS = 1_700_000_000_000_000_000, 66_666_667


@pytest.fixture
def poses_of(graph):
    from geometry_msgs.msg import PoseArray

    return lambda namespace: graph.record(PoseArray, f"{namespace}/head_poses")


@pytest.fixture(scope="module")
def plain(start_node):
    """An active node on raw images, below /plain."""
    return start_node("/plain", autostart=True, hfov_deg=70.0)


@pytest.fixture(scope="module")
def managed(start_node):
    """A node that waits for its manager, below /managed."""
    return start_node("/managed")


@pytest.fixture
def set_parameter(graph):
    """set_parameter(name, value) on a node, else the managed one -> reason of the refusal, None when accepted."""
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    def call(name, value, namespace="/managed"):
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        (result,) = graph.call(SetParameters, f"{namespace}/pose_node/set_parameters", request).results
        return None if result.successful else result.reason

    return call


def test_an_image_without_a_face_gives_an_empty_array_with_its_stamp_and_frame(plain, graph, poses_of):
    poses = poses_of("/plain")
    message = graph.show(graph.camera("/plain"), poses, BLANK, frame_id="some_lens")
    assert len(message.poses) == 0
    assert message.header.frame_id == "some_lens"


def test_zero_k_falls_back_to_the_assumed_field_of_view_and_says_so_once(plain, graph, health, poses_of):
    poses, camera = poses_of("/plain"), graph.camera("/plain")
    for _ in range(5):
        graph.show(camera, poses, BLANK, focal_px=0.0, frame_id="zero_lens")
    _, _, values = health.until(
        "/plain", "camera", lambda level, text, _: level == 1 and "uncalibrated" in text, "camera warning"
    )
    assert values["source"] == "assumed"
    assert float(values["fx"]) == pytest.approx(320.0 / np.tan(np.radians(35.0)), abs=0.01)
    assert plain.text.count("uncalibrated") == 1

    graph.show(camera, poses, BLANK, focal_px=500.0, frame_id="zero_lens")
    graph.until(lambda: health.of("/plain", "camera")[0] == 0, what="camera valid again")
    assert health.of("/plain", "camera")[2]["fx"] == "500.00"


def test_another_image_size_in_mid_stream_is_taken_as_it_comes(plain, graph, poses_of):
    poses, camera = poses_of("/plain"), graph.camera("/plain")
    for width, height in ((640, 480), (320, 240), (848, 480)):
        image = np.full((height, width, 3), 90, np.uint8)
        assert len(graph.show(camera, poses, image, width=width, height=height).poses) == 0
    assert "Traceback" not in plain.text


def test_images_without_a_frame_id_still_get_an_answer(plain, graph, poses_of):
    assert graph.show(graph.camera("/plain"), poses_of("/plain"), BLANK, frame_id="").header.frame_id == ""
    assert "Traceback" not in plain.text


def test_corrupt_jpeg_is_counted_and_the_next_frame_is_answered(start_node, graph, health, poses_of):
    poses = poses_of("/broken")
    start_node("/broken", autostart=True, image_transport="compressed")
    camera = graph.camera("/broken", compressed=True)
    jpeg = cv2.imencode(".jpg", BLANK)[1].tobytes()
    graph.show(camera, poses, jpeg)
    for stamp_ns, data in ((1, jpeg[: len(jpeg) // 2]), (2, b"no image at all"), (3, b"")):
        camera.show(data, START_NS - stamp_ns)
        time.sleep(0.1)
    graph.show(camera, poses, jpeg)
    values = graph.until(
        lambda: (seen := health.of("/broken", "input")) and "dropped, unusable image" in seen[2] and seen[2],
        what="unusable images in diagnostics",
    )
    assert 1 <= int(values["dropped, unusable image"]) <= 3
    assert "image" in values["last_error"]


def test_a_publisher_whose_qos_does_not_fit_is_named_in_diagnostics_until_it_is_gone(start_node, graph, health):
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    node = start_node("/strict", autostart=True, reliability="reliable")
    graph.until(lambda: health.of("/strict", "qos"), 60.0, "diagnostics")
    sloppy = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = graph.node.create_publisher(Image, "/strict/image", sloppy)
    level, message, values = graph.until(
        lambda: (seen := health.of("/strict", "qos")) and seen[0] == 2 and seen, 60.0, "mismatch"
    )
    assert message == "QoS mismatch on /strict/image", level
    assert "reliable subscription" in values["/strict/image"]
    assert "/observer" in values["/strict/image"]
    graph.until(lambda: "qos: /strict/image: a publisher's RELIABILITY does not fit" in node.text, 60.0, "log")
    graph.node.destroy_publisher(publisher)
    graph.until(lambda: health.of("/strict", "qos")[0] == 0, 60.0, "mismatch gone")


def test_a_subscriber_who_asks_for_more_than_the_node_offers_is_named_in_diagnostics(plain, graph, health):
    from geometry_msgs.msg import PoseArray
    from rclpy.qos import DurabilityPolicy, QoSProfile

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    subscription = graph.node.create_subscription(PoseArray, "/plain/head_poses", lambda message: None, latched)
    seen = graph.until(lambda: (seen := health.of("/plain", "qos")) and seen[0] == 2 and seen, what="mismatch")
    assert seen[1] == "QoS mismatch on /plain/head_poses"
    assert "the subscription is /observer" in seen[2]["/plain/head_poses"]
    graph.node.destroy_subscription(subscription)
    graph.until(lambda: health.of("/plain", "qos")[0] == 0, what="mismatch gone")


def test_wrong_parameters_are_refused_by_name_and_with_a_reason(managed, set_parameter):
    assert set_parameter("max_faces", 3) is None
    for name, value, why in (
        ("score_threshold", 1.5, "0.99"),
        ("score_threshold", "high", "float"),
        ("max_faces", 0, "1"),
        ("max_faces", 2.5, "int"),
        ("image_transport", "theora", "raw, compressed"),
        ("filter", 1, "bool"),
    ):
        reason = set_parameter(name, value)
        assert reason is not None, f"{name}={value!r} was accepted"
        assert name in reason, reason
        assert why in reason, reason
    assert set_parameter("no_such_parameter", 1) is not None


def test_live_parameters_change_an_active_node_and_wrong_values_are_still_refused_by_name(
    plain, graph, health, poses_of, set_parameter
):
    from sensor_msgs.msg import Image

    poses, camera = poses_of("/plain"), graph.camera("/plain")
    overlays = graph.record(Image, "/plain/overlay")
    graph.show(camera, poses, BLANK)
    graph.until(lambda: overlays or (graph.show(camera, poses, BLANK) and None), 60.0, "overlay")

    for name, value in (
        ("score_threshold", 0.5),
        ("new_face_score", 0.9),
        ("max_faces", 2),
        ("timeout_s", 0.5),
        ("filter", False),
        ("linear_acceleration_std", 3.0),
        ("angular_acceleration_std", 20.0),
        ("overlay", False),
    ):
        assert set_parameter(name, value, "/plain") is None
    for name, value in (("score_threshold", 1.5), ("max_rate_hz", -1.0), ("overlay", "off"), ("model", "another")):
        assert name in set_parameter(name, value, "/plain")

    stamps = [graph.show(camera, poses, BLANK).header.stamp for _ in range(3)]
    assert not [image for image in overlays if image.header.stamp in stamps]

    # images 67 ms apart by their stamps: the answered ones are no closer than half a second
    assert set_parameter("max_rate_hz", 1.0, "/plain") is None
    stamps, count = iter(range(START_NS + 10**17, START_NS + 2 * 10**17, STEP_NS)), len(poses)

    def beyond():
        camera.show(BLANK, next(stamps))
        return "dropped, beyond max_rate_hz" in health.of("/plain", "input")[2]

    graph.until(beyond, 60.0, "images beyond the rate in diagnostics")
    answered = [m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec for m in poses[count:]]
    assert np.all(np.diff(answered) > 0.5)
    assert set_parameter("max_rate_hz", 0.0, "/plain") is None
    assert "Traceback" not in plain.text


def test_a_wrong_parameter_at_start_ends_the_process_with_one_line(start_node):
    node = start_node("/misled", max_faces=99)
    assert node.wait(60.0) == 2
    assert "max_faces" in node.text
    assert "Traceback" not in node.text


def test_configure_fails_with_a_message_when_the_model_is_missing_or_damaged(
    managed, graph, health, set_parameter, model, tmp_path
):
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"\x08\x07 this is no network")
    for wrong in ("/nowhere/none.onnx", "head7dof", str(damaged)):
        assert set_parameter("model", wrong) is None
        assert not graph.transition("/managed/pose_node", "configure")
        assert graph.state("/managed/pose_node") == "unconfigured"
        assert wrong in managed.text
        graph.until(
            lambda wrong=wrong: (seen := health.of("/managed", "model")) and seen[0] == 2 and wrong in seen[1],
            what="error in diagnostics",
        )
    assert set_parameter("model", model) is None


def test_lifecycle_goes_round_twice_and_publishes_only_while_active(managed, graph, poses_of, set_parameter):
    poses, name = poses_of("/managed"), "/managed/pose_node"
    for _ in range(2):
        assert graph.state(name) == "unconfigured"
        assert graph.transition(name, "configure")
        assert "threads can only change while the node is unconfigured" in set_parameter("threads", 2)
        assert graph.node.count_subscribers("/managed/image") == 0
        assert graph.transition(name, "activate")
        camera = graph.camera("/managed")
        graph.show(camera, poses, BLANK)
        assert graph.transition(name, "deactivate")
        graph.until(lambda: graph.node.count_subscribers("/managed/image") == 0, what="subscription gone")
        count = len(poses)
        camera.show(BLANK, START_NS)
        time.sleep(0.3)
        assert len(poses) == count
        assert graph.transition(name, "cleanup")
        graph.until(lambda: graph.node.count_publishers("/managed/head_poses") == 0, what="publisher gone")
        camera.close()
    assert graph.transition(name, "shutdown")
    assert managed.stop() == 0
    assert "Traceback" not in managed.text


def test_killed_and_respawned_by_launch_it_becomes_active_by_itself(start, graph, poses_of, model):
    poses = poses_of("/killed")
    launch = start(
        ["ros2", "launch", "hpe_ros", "pose.launch.py", "namespace:=killed", "respawn:=true"]
        + [f"model:={model}", f"python:={sys.executable}"]
    )
    camera = graph.camera("/killed")
    graph.show(camera, poses, BLANK)
    (pid,) = re.findall(r"pose_node-1\]: process started with pid \[(\d+)", launch.text)
    os.kill(int(pid), signal.SIGKILL)
    graph.until(lambda: launch.text.count("process started") == 2, what="respawn")
    graph.show(camera, poses, BLANK)
    assert graph.state("/killed/pose_node") == "active"
