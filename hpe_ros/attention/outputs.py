"""The publishers of the attention node and what goes out on them for one frame."""

from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from hpe_core.attention.decision import State, focus_of
from hpe_ros import messages
from hpe_ros.attention import messages as attention_messages

DEPTH = 10
GAZING = "/humans/interactions/gazing"  # REP-155


class AttentionOutputs:
    """Lifecycle publishers of a node; silent while the node is not active.

    targets: Targets; one without a frame is the camera's own, for hri_msgs the robot itself.
    """

    def __init__(self, node, config, targets):
        self._node, self._tf_prefix = node, config.tf_prefix
        self._receivers = {target.name: target.name if target.frame_id else "" for target in targets}
        self._detections = {}
        topics = {
            "attention": attention_messages.Detection3DArray,
            "people_looking": attention_messages.Detection3DArray,
            "looking_started": attention_messages.Detection3D,
            "looking_stopped": attention_messages.Detection3D,
            "gaze_markers": MarkerArray,
        }
        if config.publish_tf:
            topics["/tf"] = TFMessage
        if attention_messages.Gaze is not None:
            topics[GAZING] = attention_messages.Gaze
        self._publishers = {
            topic: node.create_lifecycle_publisher(kind, topic, DEPTH) for topic, kind in topics.items()
        }

    def publish(self, message, heads, placed, judgements, events):
        """Everything about one Detection3DArray with its Heads, PlacedTargets, Judgements and Events."""
        header = message.header
        known = {head.face_id for head in heads}
        self._detections |= {d.id: d for d in reversed(message.detections) if d.id in known}
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
            self._publishers["gaze_markers"].publish(attention_messages.gaze_markers(heads, states, header))

    def publish_events(self, events, frame_id):
        """Started and stopped looks, each on its topic."""
        for event in events:
            header = Header(stamp=messages.time_from_ns(event.stamp_ns), frame_id=frame_id)
            made = attention_messages.event_detection(event, self._detections[event.face_id], header)
            self._publishers[f"looking_{event.kind}"].publish(made)

    def publish_nobody(self, header):
        """Nobody looks, for when the input is gone."""
        self._detections = {}
        for topic in ("attention", "people_looking"):
            self._publishers[topic].publish(self._array((), header))

    def _array(self, judgements, header):
        """Detection3DArray with one detection per face, its targets by falling probability; unknown ones last."""
        scores = {}
        for j in sorted(judgements, key=lambda j: (j.face_id, bool(j.view.problem), -j.view.probability)):
            scores.setdefault(j.face_id, {})[j.target] = j.view.probability
        made = [attention_messages.on_targets(self._detections[face_id], of) for face_id, of in scores.items()]
        return attention_messages.Detection3DArray(header=header, detections=made)

    def _publish_focus(self, focus, placed, header):
        points = {target.name: target.point_camera_m for target in placed}
        places = {face_id: points[name] for face_id, name in focus.items() if points[name] is not None}
        if places and "/tf" in self._publishers and header.frame_id:  # tf2 refuses a transform without a parent
            self._publishers["/tf"].publish(attention_messages.focus_transforms(places, header, self._tf_prefix))
        if GAZING in self._publishers:
            receivers = {face_id: self._receivers[name] for face_id, name in focus.items()}
            for gaze in attention_messages.gazes(receivers, header):
                self._publishers[GAZING].publish(gaze)

    def destroy(self):
        """Take the topics off the graph."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = {}
