"""The attention node as a process on a real graph: heads go in as messages, and everything it says comes back."""

import sys
import time

import numpy as np
import pytest

from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.types import Face, HeadPose

pytestmark = pytest.mark.ros

NODE = "/watcher/attention_node"
FRAME_ID = "lens"
START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
COVARIANCE = np.diag([1e-4] * 3 + [np.radians(3.0) ** 2] * 3)
PARAMETERS = """/**:
  ros__parameters:
    targets: ["camera", "tablet frame=tablet_link radius=0.1", "shelf point=1.0,0.0,0.0", "ghost frame=nowhere"]
    input_timeout_s: 60.0
"""


def face(yaw, face_id="face_a"):
    """A head 1 m before the camera; yaw -45 looks at the shelf, 45 at the tablet."""
    R = aflw2000.to_matrix(EulerDeg(yaw, 0.0, 0.0))
    return Face(HeadPose(R, [0.0, 0.0, 1.0], COVARIANCE), 0.9, np.zeros(4), face_id)


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def scores(detection):
    """dict target -> score."""
    return {result.hypothesis.class_id: result.hypothesis.score for result in detection.results}


class Seen:
    """What the node published since the last `clear`, by topic."""

    def __init__(self, graph, namespace):
        from tf2_msgs.msg import TFMessage
        from vision_msgs.msg import Detection3D, Detection3DArray

        self.attention = graph.record(Detection3DArray, f"{namespace}/attention")
        self.people = graph.record(Detection3DArray, f"{namespace}/people_looking")
        self.started = graph.record(Detection3D, f"{namespace}/looking_started")
        self.stopped = graph.record(Detection3D, f"{namespace}/looking_stopped")
        self.tf = graph.record(TFMessage, "/tf")

    def clear(self):
        for messages in vars(self).values():
            messages.clear()

    def events(self):
        """Sorted (stamp in steps since the start, kind, face, target)."""
        return sorted(
            (round((stamp_ns(m) - START_NS) / STEP_NS), kind, m.id, m.results[0].hypothesis.class_id)
            for kind, messages in (("started", self.started), ("stopped", self.stopped))
            for m in messages
        )

    def focus(self):
        """dict frame -> newest (x, y, z) of the focus frames."""
        places = {}
        for message in self.tf:
            for transform in message.transforms:
                if transform.child_frame_id.startswith("focus_"):
                    p = transform.transform.translation
                    places[transform.child_frame_id] = (p.x, p.y, p.z)
        return places


class Heads:
    """Publishes heads and waits until the node has judged them."""

    def __init__(self, graph, namespace, seen):
        from vision_msgs.msg import Detection3DArray

        self.until, self._seen = graph.until, seen
        self._publisher = graph.node.create_publisher(Detection3DArray, f"{namespace}/heads", 10)
        graph.until(lambda: self._publisher.get_subscription_count() > 0, 120.0, "subscriber of heads")
        # discovery is not symmetrical: the node's own publishers are known once every one of them has been found
        for topic in ("attention", "people_looking", "looking_started", "looking_stopped"):
            graph.until(lambda topic=topic: graph.node.count_publishers(f"{namespace}/{topic}"), 60.0, topic)

    def show(self, frame, *faces):
        """The judged Detection3DArray of frame number `frame`; a message lost while endpoints meet is sent again.

        The node takes a frame that it has already judged as the same frame.
        """
        from std_msgs.msg import Header

        from hpe_ros.messages import time_from_ns
        from hpe_ros.pose import messages

        ns = START_NS + frame * STEP_NS
        header = Header(stamp=time_from_ns(ns), frame_id=FRAME_ID)
        end = time.monotonic() + 60.0
        while time.monotonic() < end:
            self._publisher.publish(messages.detections(faces, messages.face_poses(faces), header))
            quiet = time.monotonic() + 3.0
            while time.monotonic() < quiet:
                for people in self._seen.people:  # published after `attention` of the same frame
                    answer = [m for m in self._seen.attention if stamp_ns(m) == ns]
                    if stamp_ns(people) == ns and answer:
                        return answer[-1]
                time.sleep(0.01)
        return pytest.fail(f"frame {frame} is never judged")


@pytest.fixture(scope="module")
def process(start, tmp_path_factory):
    """attention_node below /watcher, started by the launch file with a YAML of four targets."""
    pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: the attention node was NOT tested")
    path = tmp_path_factory.mktemp("parameters") / "attention.yaml"
    path.write_text(PARAMETERS)
    return start(
        ["ros2", "launch", "hpe_ros", "attention.launch.py", "namespace:=watcher", f"params_file:={path}"]
        + [f"python:={sys.executable}"]
    )


@pytest.fixture(scope="module")
def seen(graph, process):
    return Seen(graph, "/watcher")


@pytest.fixture(scope="module")
def tablet(graph):
    """TF of a tablet 1 m to the left of the camera, by way of a mount that is turned by 90 degrees."""
    from geometry_msgs.msg import TransformStamped
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from tf2_msgs.msg import TFMessage

    mount, plate = TransformStamped(), TransformStamped()
    mount.header.frame_id, mount.child_frame_id = FRAME_ID, "mount"
    mount.transform.translation.x = -0.5
    mount.transform.rotation.z = mount.transform.rotation.w = np.sqrt(0.5)  # mount y is lens -x
    plate.header.frame_id, plate.child_frame_id = "mount", "tablet_link"
    plate.transform.translation.y = 0.5
    plate.transform.rotation.w = 1.0
    publisher = graph.node.create_publisher(
        TFMessage, "/tf_static", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    )
    publisher.publish(TFMessage(transforms=[mount, plate]))
    return publisher


@pytest.fixture(scope="module")
def heads(graph, process, seen, tablet):
    made = Heads(graph, "/watcher", seen)
    frames = iter(range(-1000, -1))
    # nothing is decided here: one face alone in its frame, until the tablet's TF has arrived
    graph.until(
        lambda: not np.isnan(scores(made.show(next(frames), face(0.0, "face_h")).detections[0])["tablet"]),
        60.0,
        "transform to the tablet",
    )
    return made


@pytest.fixture
def fresh(seen, heads):
    """Heads on an empty record, the former frames forgotten by a jump back and forth of the stamps."""
    heads.show(-2000)
    heads.until(lambda: len(seen.stopped) >= len(seen.started), 20.0, "end of the former looks")
    seen.clear()
    return heads


def test_scores_per_target_know_the_camera_a_tf_frame_a_point_and_what_has_no_place(fresh):
    (ahead,) = fresh.show(0, face(0.0)).detections
    assert ahead.id == "face_a"
    assert scores(ahead)["camera"] > 0.95
    assert scores(ahead)["tablet"] < 0.05
    assert scores(ahead)["shelf"] < 0.05
    assert np.isnan(scores(ahead)["ghost"])
    (right,) = fresh.show(1, face(-45.0)).detections
    (left,) = fresh.show(2, face(45.0)).detections
    assert scores(right)["shelf"] > 0.9
    assert scores(left)["tablet"] > 0.9
    assert next(iter(scores(left))) == "tablet"  # the most probable first


def test_events_people_and_focus_follow_a_look_from_the_tablet_to_the_camera(fresh, seen, graph):
    for frame in range(5):
        fresh.show(frame, face(45.0))
    graph.until(lambda: seen.focus(), 20.0, "focus on /tf")
    np.testing.assert_allclose(seen.focus()["focus_a"], (-1.0, 0.0, 0.0), atol=1e-6)
    assert [list(scores(d)) for d in seen.people[-1].detections] == [["tablet"]]
    for frame in range(5, 10):
        fresh.show(frame, face(0.0))
    for frame in range(10, 18):
        fresh.show(frame)
    expected = [
        (3, "started", "face_a", "tablet"),
        (8, "started", "face_a", "camera"),
        (8, "stopped", "face_a", "tablet"),
        (15, "stopped", "face_a", "camera"),
    ]
    graph.until(lambda: seen.events() == expected or len(seen.events()) > 4, 20.0, "four events")
    assert seen.events() == expected
    assert seen.people[-1].detections == seen.attention[-1].detections == []


def test_two_people_are_listed_with_what_each_looks_at(fresh, seen):
    for frame in range(5):
        fresh.show(frame, face(0.0, "face_a"), face(-45.0, "face_b"))
    assert {d.id: list(scores(d)) for d in seen.people[-1].detections} == {
        "face_a": ["camera"],
        "face_b": ["shelf"],
    }


def test_stamp_and_frame_are_those_of_the_heads(fresh):
    message = fresh.show(0, face(0.0))
    assert (stamp_ns(message), message.header.frame_id) == (START_NS, FRAME_ID)


def test_a_face_far_away_in_the_image_is_unknown_when_the_camera_is_known(fresh, graph):
    from sensor_msgs.msg import CameraInfo

    infos = graph.node.create_publisher(CameraInfo, "/watcher/camera_info", 1)
    graph.until(lambda: infos.get_subscription_count() > 0, 60.0, "subscriber of camera_info")
    info = CameraInfo(width=640, height=480, distortion_model="plumb_bob")
    info.header.frame_id = FRAME_ID

    def answers(focal_px, unknown):
        """Whether a head at 1 m is judged as expected, once camera_info has come through."""
        info.k = np.array([focal_px, 0.0, 319.5, 0.0, focal_px, 239.5, 0.0, 0.0, 1.0])
        infos.publish(info)
        (detection,) = fresh.show(next(frames), face(0.0)).detections
        return np.isnan(scores(detection)["camera"]) == unknown

    frames = iter(range(10_000))
    graph.until(lambda: answers(100.0, True), 60.0, "a face of 15 px to be unknown")
    graph.until(lambda: answers(500.0, False), 60.0, "a face of 75 px to be judged")
    graph.node.destroy_publisher(infos)


def test_rays_are_computed_only_while_somebody_watches(fresh, graph):
    from visualization_msgs.msg import MarkerArray

    markers = []
    subscription = graph.node.create_subscription(MarkerArray, "/watcher/gaze_markers", markers.append, 10)
    frames = iter(range(10_000))
    graph.until(lambda: fresh.show(next(frames), face(0.0)) and markers, 60.0, "gaze rays")
    assert [marker.ns for marker in markers[-1].markers] == ["", "gaze"]
    graph.node.destroy_subscription(subscription)


def test_diagnostics_name_the_target_without_tf(fresh, graph):
    from diagnostic_msgs.msg import DiagnosticArray

    health = graph.record(DiagnosticArray, "/diagnostics")
    frames = iter(range(10_000))

    def told():
        fresh.show(next(frames), face(0.0))
        return any(
            status.hardware_id == NODE and status.name.endswith(": targets") and status.message == "no TF for ghost"
            for message in health
            for status in message.status
        )

    graph.until(told, 60.0, "the missing TF in the diagnostics")


def test_deactivation_ends_the_looks_and_another_turn_of_the_lifecycle_works(fresh, seen, graph):
    for frame in range(5):
        fresh.show(frame, face(0.0))
    assert graph.transition(NODE, "deactivate")
    graph.until(lambda: len(seen.stopped) == 1, 20.0, "end of the look")
    assert seen.events()[-1] == (4, "stopped", "face_a", "camera")
    assert graph.transition(NODE, "cleanup")
    assert graph.state(NODE) == "unconfigured"
    assert graph.transition(NODE, "configure")
    assert graph.transition(NODE, "activate")
    seen.clear()
    for frame in range(5):
        fresh.show(frame, face(0.0))
    graph.until(lambda: seen.events(), 20.0, "a look after the restart")
    assert [d.id for d in seen.people[-1].detections] == ["face_a"]


def test_a_wrong_target_is_refused_with_the_reason(process, heads, graph):
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    def reason(name, value):
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        (result,) = graph.call(SetParameters, f"{NODE}/set_parameters", request).results
        return None if result.successful else result.reason

    assert "target 'door size=3': got 'size=3'" in reason("targets", ["door size=3"])
    assert "exit_deg must not be below enter_deg" in reason("exit_deg", 5.0)
    assert "unconfigured" in reason("targets", ["door"])


def test_the_enter_angle_changes_while_the_node_runs(fresh, graph):
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    def change(degrees):
        request = SetParameters.Request(parameters=[Parameter("enter_deg", value=degrees).to_parameter_msg()])
        (result,) = graph.call(SetParameters, f"{NODE}/set_parameters", request).results
        assert result.successful, result.reason

    found = []
    for frame, degrees in enumerate((2.0, 15.0)):
        change(degrees)
        (detection,) = fresh.show(frame, face(8.0)).detections
        found.append(scores(detection)["camera"])
    assert found[0] < 0.2 < 0.9 < found[1]


def test_when_heads_stop_every_look_ends(start, ros_environment, graph):
    start(["ros2", "run", "hpe_ros", "attention_node", "--ros-args", "-r", "__ns:=/silent"]
          + ["-p", "autostart:=true", "-p", "input_timeout_s:=1.0"])  # fmt: skip
    seen = Seen(graph, "/silent")
    heads = Heads(graph, "/silent", seen)

    def look():
        """Whether a look has started after one more frame; on a slow machine the watchdog may come between two."""
        heads.show(next(frames), face(0.0))
        return seen.started

    frames = iter(range(10_000))
    graph.until(look, 60.0, "a look")
    graph.until(lambda: len(seen.stopped) >= len(seen.started), 20.0, "its end")
    graph.until(lambda: not seen.people[-1].detections, 20.0, "nobody who looks")


def test_nothing_went_wrong_in_the_process(process, heads):
    assert "Traceback" not in process.text
