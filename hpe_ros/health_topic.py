"""How every node says how it is: on /diagnostics, once a second."""

from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType  # pyright: ignore[reportPrivateImportUsage] Humble has it only here
from rclpy.node import Node

from hpe_ros import messages, qos
from hpe_ros.status import Status

PERIOD_S = 1.0


def steady_clock() -> Clock:
    """Not the simulation's time, whose pause must silence neither diagnostics nor watchdogs."""
    return Clock(clock_type=ClockType.STEADY_TIME)


class HealthTopic:
    """Publishes what statuses() returns from its making on."""

    def __init__(self, node: Node, statuses: Callable[[], Sequence[Status]]):
        self._node, self._statuses = node, statuses
        with qos.overrides():
            self._publisher = node.create_publisher(
                DiagnosticArray,
                "/diagnostics",
                10,
                event_callbacks=qos.NO_PUBLISHER_EVENTS,
                qos_overriding_options=qos.OVERRIDABLE,
            )
        node.create_timer(PERIOD_S, self.publish, clock=steady_clock())

    def publish(self) -> None:
        """Say it now, without waiting for the second to end."""
        statuses, stamp = self._statuses(), self._node.get_clock().now().to_msg()
        name = self._node.get_fully_qualified_name()
        self._publisher.publish(messages.diagnostic_array(statuses, stamp, name))
