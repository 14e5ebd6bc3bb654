"""The publishers of the attention node and what goes out on them for one frame."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from hpe_core.attention.decision import Event, Head, Judgement, State, focus_of
from hpe_core.attention.targets import PlacedTarget, Target
from hpe_ros import qos
from hpe_ros.attention import messages
from hpe_ros.messages import time_from_ns
from hpe_ros.node_config import AttentionNodeConfig
from hpe_ros.optional import HAS_HRI_MSGS, HAS_VISION_MSGS

if TYPE_CHECKING or HAS_VISION_MSGS:  # without it the node refuses to be configured
    from vision_msgs.msg import Detection3D, Detection3DArray

if TYPE_CHECKING or HAS_HRI_MSGS:
    from hri_msgs.msg import Gaze

DEPTH = 10
GAZING = "/humans/interactions/gazing"  # REP-155


class AttentionOutputs:
    """Lifecycle publishers of a node; silent while the node is not active.

    targets: one without a frame is the camera's own, for hri_msgs the robot itself.
    """

    def __init__(self, node: LifecycleNode, config: AttentionNodeConfig, targets: Sequence[Target]):
        self._node, self._tf_prefix = node, config.tf_prefix
        self._receivers = {target.name: target.name if target.frame_id else "" for target in targets}
        self._detections: dict[str, Detection3D] = {}
        topics: dict[str, type] = {
            "attention": Detection3DArray,
            "people_looking": Detection3DArray,
            "looking_started": Detection3D,
            "looking_stopped": Detection3D,
            "gaze_markers": MarkerArray,
        }
        if config.publish_tf:
            topics["/tf"] = TFMessage
        if HAS_HRI_MSGS:
            topics[GAZING] = Gaze
        with qos.overrides():
            self._publishers = {
                topic: node.create_lifecycle_publisher(kind, topic, DEPTH, qos_overriding_options=qos.OVERRIDABLE)
                for topic, kind in topics.items()
            }

    def publish(
        self,
        message: "Detection3DArray",
        heads: Sequence[Head],
        placed: Sequence[PlacedTarget],
        judgements: Sequence[Judgement],
        events: Sequence[Event],
    ) -> None:
        """Everything about one message of heads."""
        header = message.header
        known = {head.face_id for head in heads}
        self._detections |= {d.id: d for d in reversed(list(message.detections)) if d.id in known}
        self.publish_events(events, header.frame_id)
        self._detections = {j.face_id: self._detections[j.face_id] for j in judgements}
        looking = [j for j in judgements if j.state is State.LOOKING]
        self._publishers["attention"].publish(self._array(judgements, header))
        self._publishers["people_looking"].publish(self._array(looking, header))
        self._publish_focus(focus_of(judgements), placed, header)
        if self._publishers["gaze_markers"].get_subscription_count() > 0:
            states = {j.face_id: State.UNKNOWN for j in judgements}
            states |= {j.face_id: j.state for j in judgements if j.state is State.AWAY}
            states |= {j.face_id: j.state for j in looking}
            self._publishers["gaze_markers"].publish(messages.gaze_markers(heads, states, header))

    def publish_events(self, events: Sequence[Event], frame_id: str) -> None:
        """Started and stopped looks, each on its topic."""
        for event in events:
            header = Header(stamp=time_from_ns(event.stamp_ns), frame_id=frame_id)
            made = messages.event_detection(event, self._detections[event.face_id], header)
            self._publishers[f"looking_{event.kind}"].publish(made)

    def publish_nobody(self, header: Header) -> None:
        """Nobody looks, for when the input is gone."""
        self._detections = {}
        for topic in ("attention", "people_looking"):
            self._publishers[topic].publish(self._array((), header))

    def _array(self, judgements: Sequence[Judgement], header: Header) -> "Detection3DArray":
        """One detection per face, its targets by falling probability; unknown ones last."""
        scores: dict[str, dict[str, float]] = {}
        for j in sorted(judgements, key=lambda j: (j.face_id, bool(j.view.problem), -j.view.probability)):
            scores.setdefault(j.face_id, {})[j.target] = j.view.probability
        made = [messages.on_targets(self._detections[face_id], of) for face_id, of in scores.items()]
        return Detection3DArray(header=header, detections=made)

    def _publish_focus(self, focus: Mapping[str, str], placed: Sequence[PlacedTarget], header: Header):
        points = {target.name: target.point_camera_m for target in placed if target.point_camera_m is not None}
        detections = {face_id: self._detections[face_id] for face_id, name in focus.items() if name in points}
        places = {messages.tf_name(detection): points[focus[face_id]] for face_id, detection in detections.items()}
        if places and "/tf" in self._publishers and header.frame_id:  # tf2 refuses a transform without a parent
            self._publishers["/tf"].publish(messages.focus_transforms(places, header, self._tf_prefix))
        if GAZING in self._publishers:
            receivers = {face_id: self._receivers[name] for face_id, name in focus.items()}
            for gaze in messages.gazes(receivers, header):
                self._publishers[GAZING].publish(gaze)

    def destroy(self) -> None:
        """Take the topics off the graph."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)  # pyright: ignore[reportArgumentType]
        self._publishers = {}
