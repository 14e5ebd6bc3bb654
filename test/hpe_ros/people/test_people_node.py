"""The people node as a process on a real graph: heads of two cameras go in as messages, people come back."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from hpe_core.geometry.euler import EulerDeg, aflw2000
from hpe_core.types import Face, HeadPose

pytestmark = pytest.mark.ros

COVARIANCE = np.diag([0.01**2] * 3 + [np.radians(3.0) ** 2] * 3)
# both cameras look along x of the room, one metre apart; the third one's place is nowhere
CAMERAS = """
fixed_frame: room
cameras:
  - {name: left, frame_id: left_lens, extrinsics: {translation_m: [0, 0.5, 1.5], rpy_deg: [-90, 0, -90]}}
  - {name: right, frame_id: right_lens, extrinsics: {translation_m: [0, -0.5, 1.5], rpy_deg: [-90, 0, -90]}}
  - {name: lost}
"""
TWICE = "cameras: [{name: left}, {name: right}, {name: left}]"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Path of a list of cameras, and of one with a camera in it twice."""
    folder = tmp_path_factory.mktemp("cameras")
    for name, text in (("cameras", CAMERAS), ("twice", TWICE)):
        (folder / f"{name}.yaml").write_text(text)
    return folder / "cameras.yaml", folder / "twice.yaml"


@pytest.fixture(scope="module")
def executable(start, ros_environment):
    """executable(name, namespace, *remappings, **parameters) -> Process of an installed node."""

    def begin(name, namespace, *remappings, **parameters):
        prefix = Path(ros_environment["AMENT_PREFIX_PATH"].split(os.pathsep)[0])
        command = [prefix / "lib" / "hpe_ros" / name, "--ros-args", "-r", f"__ns:={namespace}"]
        command += [part for remapping in remappings for part in ("-r", remapping)]
        for parameter, value in ({"autostart": True} | parameters).items():
            command += ["-p", f"{parameter}:={json.dumps(value)}"]
        return start(command)

    return begin


def head(place_room, camera_y, yaw=0.0, face_id="face_a"):
    """A head at (x, y, z) of the room as the camera at (0, camera_y, 1.5) sees it; yaw 0 looks back along -x."""
    x, y, z = place_room
    R = aflw2000.to_matrix(EulerDeg(yaw, 0.0, 0.0))
    return Face(HeadPose(R, [camera_y - y, 1.5 - z, x], COVARIANCE), 0.9, np.zeros(4), face_id)


class Room:
    """Publishes heads of cameras and records what the people node says of them."""

    LENS = {"left": 0.5, "right": -0.5, "lost": 0.0}

    def __init__(self, graph, namespace):
        from geometry_msgs.msg import PoseArray, PoseWithCovarianceStamped
        from tf2_msgs.msg import TFMessage
        from vision_msgs.msg import Detection3DArray

        self._until, self.ahead_ns = graph.until, {}
        self.people = graph.record(Detection3DArray, f"{namespace}/people")
        self.poses = graph.record(PoseArray, f"{namespace}/people_poses")
        self.nearest = graph.record(PoseWithCovarianceStamped, f"{namespace}/person_pose")
        self.tf = graph.record(TFMessage, "/tf")
        self._publishers = {
            name: graph.node.create_publisher(Detection3DArray, f"{namespace}/{name}/heads", 10) for name in self.LENS
        }
        for name, publisher in self._publishers.items():
            graph.until(lambda p=publisher: p.get_subscription_count() > 0, 120.0, f"subscriber of {name}/heads")
        graph.until(lambda: graph.node.count_publishers(f"{namespace}/people"), 60.0, "people")

    def show(self, **places):
        """Heads of cameras, each stamped now: camera -> list of (face id, place in the room)."""
        from std_msgs.msg import Header

        from hpe_ros.messages import time_from_ns
        from hpe_ros.pose import messages

        for camera, seen in places.items():
            faces = [head(place, self.LENS[camera], face_id=face_id) for face_id, place in seen]
            stamp_ns = time.time_ns() + self.ahead_ns.get(camera, 0)
            header = Header(stamp=time_from_ns(stamp_ns), frame_id=f"{camera}_lens")
            self._publishers[camera].publish(messages.detections(faces, messages.face_poses(faces), header))

    def until(self, condition, what, **places):
        """Show heads again and again until condition(newest people message) holds; that message."""

        def holds():
            self.show(**places)
            time.sleep(0.05)
            newest = self.people[-1] if self.people else None
            return newest if newest is not None and condition(newest) else None

        return self._until(holds, 60.0, what)


def ids(message):
    return [detection.id for detection in message.detections]


@pytest.fixture(scope="module")
def node(executable, files):
    pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: the people node was NOT tested")
    executable("cameras_node", "/hall/extrinsics", cameras_file=str(files[0]), autostart=False)  # its /tf_static
    return executable("people_node", "/hall", cameras_file=str(files[0]), gap_s=60.0)


@pytest.fixture(scope="module")
def room(graph, node):
    return Room(graph, "/hall")


@pytest.fixture(scope="module")
def status(graph):
    """status(part) -> newest (level, message, values) of the people node below /hall, or None."""
    from diagnostic_msgs.msg import DiagnosticArray

    messages = graph.record(DiagnosticArray, "/diagnostics")

    def newest(part):
        for message in reversed(messages):
            for one in message.status:
                if one.hardware_id == "/hall/people_node" and one.name.endswith(f": {part}"):
                    return ord(one.level), one.message, {v.key: v.value for v in one.values}
        return None

    return newest


HERE, THERE = (2.0, 0.1, 1.6), (1.5, -1.0, 1.4)


def test_a_head_before_two_cameras_is_one_person_in_the_fixed_frame(room):
    def once(message):
        return len(message.detections) == 1 and message.header.frame_id == "room"

    message = room.until(once, "one person", left=[("face_a", HERE)], right=[("face_q", HERE)])
    pose = message.detections[0].results[0].pose
    np.testing.assert_allclose([pose.pose.position.x, pose.pose.position.y, pose.pose.position.z], HERE, atol=1e-3)
    # the face points to -x and its scalp up: half a turn about z
    np.testing.assert_allclose(np.abs([pose.pose.orientation.z, pose.pose.orientation.w]), [1.0, 0.0], atol=1e-3)
    assert pose.covariance[0] > 0
    assert len(room.poses[-1].poses) == 1 and room.nearest[-1].header.frame_id == "room"
    name = f"person_{message.detections[0].id}"
    frames = {t.child_frame_id: t for message in list(room.tf) for t in message.transforms}
    assert frames[name].header.frame_id == "room"
    np.testing.assert_allclose(frames[name].transform.translation.x, HERE[0], atol=1e-3)


def test_who_leaves_one_camera_keeps_the_id_in_the_next_and_tf_stays_meanwhile(room, graph):
    (person,) = ids(room.until(lambda m: len(m.detections) == 1, "one", left=[("face_a", HERE)], right=[]))
    room.until(lambda m: not m.detections, "nobody", left=[], right=[])
    before = len(room.tf)
    room.show(left=[], right=[])
    graph.until(
        lambda: any(t.child_frame_id == f"person_{person}" for m in room.tf[before:] for t in m.transforms),
        20.0,
        "TF of who is not seen",
    )
    message = room.until(lambda m: len(m.detections) == 1, "again", left=[], right=[("face_z", HERE)])
    assert ids(message) == [person]


def test_humans_topics_say_who_is_there_and_by_which_face(room, graph):
    pytest.importorskip("hri_msgs", reason="hri_msgs is not installed: /humans was NOT tested")
    from hri_msgs.msg import IdsList
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from std_msgs.msg import Bool, Float32, String

    lists = {name: graph.record(IdsList, f"/humans/{name}") for name in ("faces/tracked", "persons/tracked")}
    people = {"left": [("face_a", HERE), ("face_b", THERE)], "right": [("face_c", THERE)]}
    message = room.until(lambda m: len(m.detections) == 2, "two people", **people)
    expected = {"faces/tracked": {"left_a", "left_b", "right_c"}, "persons/tracked": set(ids(message))}

    def listed():
        room.show(**people)
        time.sleep(0.05)
        return {name: set(seen[-1].ids) for name, seen in lists.items() if seen} == expected

    graph.until(listed, 30.0, f"{expected}")
    latched, heard = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL), {}
    first = ids(message)[0]
    for topic, kind in (("face_id", String), ("anonymous", Bool), ("location_confidence", Float32)):
        callback = lambda m, topic=topic: heard.__setitem__(topic, m.data)  # noqa: E731
        graph.node.create_subscription(
            kind, f"/humans/persons/{first}/{topic}", callback, latched if kind is not Float32 else 1
        )
    graph.until(lambda: room.show(**people) or len(heard) == 3, 30.0, "what is said of a person")
    assert heard["face_id"] in {"left_a", "left_b", "right_c"}
    assert heard["anonymous"] is True and heard["location_confidence"] == 1.0


def test_a_camera_whose_place_nobody_knows_is_named_and_sees_nobody(room, status, graph):
    def named():
        room.show(lost=[("face_x", HERE)], left=[("face_a", THERE)])
        seen = status("camera lost")
        return seen and "no TF from 'room' to 'lost_lens'" in seen[1] and seen

    level, _, values = graph.until(named, 60.0, "a named camera")
    assert level == 2 and int(values["left out, without TF"]) > 0
    message = room.until(
        lambda m: len(m.detections) == 1, "the other camera's", lost=[("f", HERE)], left=[("a", THERE)]
    )
    np.testing.assert_allclose(message.detections[0].results[0].pose.pose.position.y, THERE[1], atol=1e-3)


def test_a_camera_with_another_clock_is_named_and_the_other_goes_on(room, status, graph):
    room.until(lambda m: len(m.detections) == 1, "left alone", left=[("face_a", HERE)])
    time.sleep(2.5)  # what right has said before is forgotten
    room.ahead_ns["right"] = 3_000_000_000

    def named():
        room.show(left=[("face_a", HERE)], right=[("face_q", THERE)])
        time.sleep(0.05)
        seen = status("camera right")
        return seen and "ahead of those of the other cameras, allowed 0.5" in seen[1]

    graph.until(named, 60.0, "right, which is ahead")
    message = room.until(lambda m: len(m.detections) == 1, "left's", left=[("face_a", HERE)], right=[("face_q", THERE)])
    np.testing.assert_allclose(message.detections[0].results[0].pose.pose.position.y, HERE[1], atol=1e-3)
    del room.ahead_ns["right"]
    time.sleep(2.5)


def test_gazing_is_of_people_when_attention_listens_to_them(room, executable, graph):
    pytest.importorskip("hri_msgs", reason="hri_msgs is not installed: gazing was NOT tested")
    from hri_msgs.msg import Gaze

    gazes = graph.record(Gaze, "/humans/interactions/gazing")
    # it looks along -x, at the lens that is straight before it
    targets = ["left frame=left_lens", "door frame=room point=0.0,9.0,1.5"]
    executable("attention_node", "/hall", "heads:=people", targets=targets)
    before_left = {"left": [("face_a", (2.0, 0.5, 1.5))]}
    graph.until(lambda: room.until(lambda m: m.detections, "a person", **before_left) and gazes, 90.0, "gazing")
    assert gazes[-1].receiver == "left" and gazes[-1].sender in ids(room.people[-1])


def test_the_node_goes_round_its_lifecycle_and_knows_nobody_of_before(room, graph):
    name = "/hall/people_node"
    before = ids(room.until(lambda m: m.detections, "a person", left=[("face_a", HERE)]))
    assert graph.transition(name, "deactivate")
    graph.until(lambda: not room.people[-1].detections, 20.0, "an empty last message")
    count = len(room.people)
    room.show(left=[("face_a", HERE)])
    time.sleep(0.5)
    assert len(room.people) == count
    for transition in ("cleanup", "configure", "activate"):
        assert graph.transition(name, transition)
    assert graph.state(name) == "active"
    after = ids(room.until(lambda m: m.detections, "a person", left=[("face_a", HERE)]))
    assert len(after) == 1 and after != before


def test_a_camera_twice_in_the_list_is_one_line_and_nothing_starts(executable, files, graph):
    cameras = executable("cameras_node", "/twice", cameras_file=str(files[1]))
    assert cameras.wait(60.0) == 2
    words = f"cameras file {files[1]}: cameras 1 and 3 have the same name 'left'"
    assert cameras.text.count(words) == 1 and "Traceback" not in cameras.text
    people = executable("people_node", "/twice", cameras_file=str(files[1]))
    graph.until(lambda: words in people.text, 60.0, "the reason in the log")
    assert graph.state("/twice/people_node") == "unconfigured"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("max_faces: 0", "max_faces"),
        ("max_facess: 4", "unknown parameter 'max_facess'"),
        ("overlay: {a: 1}", "parameter 'overlay' cannot be {'a': 1}"),
    ],
)
def test_a_parameter_that_is_wrong_names_its_camera(parameters, words, executable, tmp_path):
    path = tmp_path / "cameras.yaml"
    path.write_text(f"cameras: [{{name: left}}, {{name: right, parameters: {{{parameters}}}}}]")
    cameras = executable("cameras_node", "/wrong", cameras_file=str(path))
    assert cameras.wait(60.0) == 2
    assert "camera right: " in cameras.text and words in cameras.text and "Traceback" not in cameras.text


def test_a_camera_with_a_topic_of_depth_listens_to_it_below_its_namespace(executable, graph, tmp_path, model):
    path, pose = tmp_path / "cameras.yaml", tmp_path / "pose.yaml"
    path.write_text("cameras: [{name: deep, depth: aligned/image, depth_camera_info: /lens/info}, {name: flat}]\n")
    pose.write_text(f"/**:\n  ros__parameters:\n    model: {model}\n")
    executable("cameras_node", "/depths", cameras_file=str(path), pose_params_file=str(pose))
    for topic in ("/depths/deep/aligned/image", "/lens/info", "/depths/flat/image"):
        graph.until(lambda topic=topic: graph.node.count_subscribers(topic), 60.0, f"subscription of {topic}")
    assert graph.node.count_subscribers("/depths/flat/depth") == 0


def test_the_people_topics_take_overrides_of_qos(executable, graph, files):
    from rclpy.qos import ReliabilityPolicy

    override = {"qos_overrides./tuned_people/people.publisher.reliability": "best_effort"}
    executable("people_node", "/tuned_people", cameras_file=str(files[0]), **override)
    graph.until(lambda: graph.node.count_publishers("/tuned_people/person_pose"), 60.0, "publishers")
    reliability = [
        info.qos_profile.reliability
        for topic in ("people", "people_poses")
        for info in graph.node.get_publishers_info_by_topic(f"/tuned_people/{topic}")
    ]
    assert reliability == [ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE]
