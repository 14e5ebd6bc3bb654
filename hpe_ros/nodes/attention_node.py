"""The lifecycle node `attention_node`: heads and TF in, who looks at what out. The decisions are hpe_core.attention."""

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from hpe_core.attention.decision import Attention
from hpe_core.attention.targets import parse_targets
from hpe_core.errors import HpeError
from hpe_ros import lifecycle, messages, parameters
from hpe_ros.attention import messages as attention_messages
from hpe_ros.attention.camera import NewestCamera
from hpe_ros.attention.health import AttentionHealth
from hpe_ros.attention.outputs import AttentionOutputs
from hpe_ros.attention.places import TargetPlaces
from hpe_ros.node_config import ATTENTION_NODE_GROUPS

DIAGNOSTICS_PERIOD_S = 1.0


class AttentionNode(lifecycle.ReleasingNode):
    """Wiring only; what happens to heads stands in `_process`, from top to bottom."""

    def __init__(self):
        super().__init__("attention_node")
        self._outputs, self._places, self._attention, self._watchdog = None, None, None, None
        self._subscriptions_now = []
        self._health = AttentionHealth()
        # not the simulation's time: its pause must silence neither diagnostics nor watchdog
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        parameters.declare(self, lambda: self._outputs is not None, ATTENTION_NODE_GROUPS, self._on_change)
        self._health_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_health, clock=self._steady)

    @lifecycle.reported
    def on_configure(self, state):
        if attention_messages.Detection3DArray is None:
            raise HpeError("vision_msgs is not installed, `heads` cannot be read: install ros-<distro>-vision-msgs")
        self._config, self._decision = parameters.read_groups(self, ATTENTION_NODE_GROUPS)
        self._targets = parse_targets(self._config.targets)
        self._outputs = AttentionOutputs(self, self._config, self._targets)
        self._health.problem("")
        return super().on_configure(state)

    @lifecycle.reported
    def on_activate(self, state):
        self._attention, self._camera, self._header = Attention(self._decision), NewestCamera(), None
        self._places = TargetPlaces(self, self._targets, self._config.tf_tolerance_s)
        self._health.restart(running=True)
        self._watchdog = self.create_timer(self._config.input_timeout_s, self._on_silence, clock=self._steady)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscriptions_now = [
            self.create_subscription(attention_messages.Detection3DArray, "heads", self._on_heads, 10),
            self.create_subscription(CameraInfo, "camera_info", self._on_camera_info, newest),
        ]
        self.get_logger().info(f"active, targets: {', '.join(target.name for target in self._targets)}")
        return super().on_activate(state)

    @lifecycle.reported
    def on_deactivate(self, state):
        self._end_looks("node deactivated")
        self._stop()
        return super().on_deactivate(state)

    def explain(self, problem):
        """Show in the diagnostics why a transition failed."""
        self._health.problem(problem)

    def release(self):
        """Stop working and let go of the topics; harmless when there is nothing."""
        self._stop()
        if self._outputs is not None:
            self._outputs.destroy()
        self._outputs = None

    def _stop(self):
        for subscription in self._subscriptions_now:
            self.destroy_subscription(subscription)
        if self._watchdog is not None:
            self.destroy_timer(self._watchdog)
        if self._places is not None:
            self._places.destroy()
        self._subscriptions_now, self._watchdog, self._places, self._attention = [], None, None, None
        self._health.restart()

    def _on_change(self, _, decision):
        self._decision = decision
        if self._attention is not None:
            self._attention.config = decision

    def _on_camera_info(self, message):
        if problem := self._camera.add(message):
            self.get_logger().warning(f"camera_info: {problem}; face sizes in the image are not checked")

    def _on_heads(self, message):
        self._watchdog.reset()
        try:
            self._process(message)
        except Exception as error:  # whatever a message holds, the next one is worked on
            self.get_logger().error(f"heads dropped: {self._health.failed(error)}", throttle_duration_sec=5.0)

    def _process(self, message):
        """The heads of one image."""
        self._header = message.header
        heads, problems = attention_messages.heads_from_detections(message, self._camera.of(message.header.frame_id))
        placed = self._places.placed(message.header)
        judgements, events = self._attention.update(messages.ns_from_time(message.header.stamp), heads, placed)
        self._outputs.publish(message, heads, placed, judgements, events)
        self._health.processed(judgements, events, problems)

    def _on_silence(self):
        self._end_looks("no heads")
        self._health.silent()

    def _end_looks(self, reason):
        """Nobody is known to look any more: stop every look and say so once."""
        if self._attention is not None and self._header is not None:
            self._outputs.publish_events(self._attention.forget(reason), self._header.frame_id)
            self._outputs.publish_nobody(self._header)
            self._header = None

    def _publish_health(self):
        stamp, name = self.get_clock().now().to_msg(), self.get_fully_qualified_name()
        self._health_publisher.publish(messages.diagnostic_array(self._health.statuses(), stamp, name))


def main(args=None):
    """Entry point of the executable `attention_node`."""
    return lifecycle.run(AttentionNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
