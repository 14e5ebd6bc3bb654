"""REP-155 topics of people: `/humans/persons/tracked`, `known`, and per person `face_id`, `anonymous` and so on.

Only where hri_msgs is installed. `/humans/faces/tracked` of all cameras together is published here, too: cameras_node
keeps its pose nodes from sending one list each, between which the faces of the others would seem to go.
"""

from typing import TYPE_CHECKING

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool, Float32, Header, String

from hpe_core.people.camera_list import CameraList
from hpe_core.people.people import PeopleNow, Person, ids_of
from hpe_ros import qos
from hpe_ros.messages import ns_from_time
from hpe_ros.optional import HAS_HRI_MSGS

if TYPE_CHECKING or HAS_HRI_MSGS:
    from hri_msgs.msg import IdsList

FACES, PERSONS = "/humans/faces", "/humans/persons"
LISTS = (f"{FACES}/tracked", f"{PERSONS}/tracked", f"{PERSONS}/known")
DEPTH = 1
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ALIAS_S = 10.0  # for so long, by stamps, a merged person's topic says into whom


class PersonsOutputs:
    """Publishers of these topics. Those of a person come with the first sight and go when the id is forgotten."""

    def __init__(self, node: Node, cameras: CameraList):
        self._node, self._prefixes = node, {camera.name: camera.tf_prefix for camera in cameras.cameras}
        self._publishers: dict[str, Publisher] = {}  # by topic
        self._latched: dict[str, object] = {}  # by topic, what was last said
        self._face: dict[str, tuple[str, str]] = {}  # by person, camera and id of the face that stands for it
        self._merged_ns: dict[str, int] = {}  # by the id that has gone

    def publish(self, now: PeopleNow, header: Header) -> None:
        """The people after a message of heads."""
        faces = [self._rep_id(*face) for person in now.seen for face in person.faces.items()]
        for topic, ids in zip(LISTS, (faces, ids_of(now.seen), ids_of(now.people)), strict=True):
            self._publish(IdsList, topic, IdsList(header=header, ids=ids))
        for person in now.people:
            self._publish_person(person)
        stamp_ns = ns_from_time(header.stamp)
        for gone, elder in now.merged.items():
            self._latch(String, f"{PERSONS}/{gone}/alias", elder)
            self._merged_ns[gone] = stamp_ns
        self._release_gone(now, stamp_ns)

    def _publish_person(self, person: Person):
        topics = f"{PERSONS}/{person.person_id}"
        known = self._face.get(person.person_id)
        if known is None or (person.faces and person.faces.get(known[0]) != known[1]):
            self._face[person.person_id] = next(iter(person.faces.items()))
        face_id = self._rep_id(*self._face[person.person_id]) if person.faces else ""
        self._latch(String, f"{topics}/face_id", face_id)
        self._latch(Bool, f"{topics}/anonymous", True)  # nobody has been recognised
        self._publish(Float32, f"{topics}/location_confidence", Float32(data=person.confidence))

    def _rep_id(self, camera: str, face_id: str) -> str:
        """REP-155 id of a face as the pose node of that camera has it."""
        return self._prefixes[camera] + face_id.removeprefix("face_")

    def _publish(self, kind: type, topic: str, message: object):
        if topic not in self._publishers:
            profile = LATCHED if kind in (String, Bool) else DEPTH
            self._publishers[topic] = self._node.create_publisher(
                kind, topic, profile, event_callbacks=qos.NO_PUBLISHER_EVENTS
            )
        self._publishers[topic].publish(message)

    def _latch(self, kind: type, topic: str, value: object):
        """Say it when it is news; who comes later hears it, too."""
        if self._latched.get(topic) != value:
            self._publish(kind, topic, kind(data=value))
            self._latched[topic] = value

    def _release_gone(self, now: PeopleNow, stamp_ns: int):
        """Take the topics of people off the graph whose ids are no more."""
        self._merged_ns = {i: ns for i, ns in self._merged_ns.items() if abs(stamp_ns - ns) < ALIAS_S * 1e9}
        kept = ids_of(now.people)
        self._face = {person_id: face for person_id, face in self._face.items() if person_id in kept}
        for topic in list(self._publishers):
            person_id, _, kind = topic.removeprefix(f"{PERSONS}/").partition("/")
            if topic not in LISTS and person_id not in kept and (kind != "alias" or person_id not in self._merged_ns):
                self._destroy(topic)

    def _destroy(self, topic: str):
        self._node.destroy_publisher(self._publishers.pop(topic))
        self._latched.pop(topic, None)

    def destroy(self) -> None:
        """Take the topics off the graph."""
        for topic in list(self._publishers):
            self._destroy(topic)
        self._face, self._merged_ns = {}, {}
