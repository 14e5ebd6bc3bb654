"""Whether others' quality of service fits ours: asked of the graph, because events cost time on every wake-up."""

from collections.abc import Iterable

from rclpy.duration import Duration, Infinite
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

# rclpy's executor asks every event handler at every wake-up; those of six publishers took 0.3 ms of each image
NO_PUBLISHER_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)

__all__ = [
    "NO_PUBLISHER_EVENTS",
    "SubscriptionEventCallbacks",
    "publishers_that_do_not_fit",
    "subscriptions_that_do_not_fit",
]


def publishers_that_do_not_fit(node: Node, subscription: Subscription) -> dict[str, str]:
    """Dict from topic to why messages of a publisher that is there now do not arrive; empty when all fit."""
    topic, ours = subscription.topic_name, subscription.qos_profile
    others = node.get_publishers_info_by_topic(topic)
    return _problems(topic, ((other, other.qos_profile, ours) for other in others), "publisher")


def subscriptions_that_do_not_fit(node: Node, publisher: Publisher) -> dict[str, str]:
    """Dict from topic to why our messages do not arrive at a subscription that is there now; empty when all fit."""
    topic, ours = publisher.topic_name, publisher.qos_profile
    others = node.get_subscriptions_info_by_topic(topic)
    return _problems(topic, ((other, ours, other.qos_profile) for other in others), "subscription")


def _problems(
    topic: str, pairs: Iterable[tuple[TopicEndpointInfo, QoSProfile, QoSProfile]], role: str
) -> dict[str, str]:
    """pairs: (endpoint, QoS of the publisher, QoS of the subscription)."""
    problems = {}
    for other, offered, asked in pairs:
        fit, reason = qos_check_compatible(offered, _without_endless(asked))
        if fit == QoSCompatibility.ERROR:
            who = f"{other.node_namespace.rstrip('/')}/{other.node_name}"
            reasons = [part.removeprefix("ERROR: ") for part in reason.split(";") if part.startswith("ERROR: ")]
            problems[topic] = f"{'; '.join(reasons)}; the {role} is {who}"
    return problems


def _without_endless(profile: QoSProfile) -> QoSProfile:
    """The profile, in which an endless deadline is none: the graph tells it so, and the check would object."""
    for name in ("deadline", "liveliness_lease_duration"):
        if getattr(profile, name) == Infinite:
            setattr(profile, name, Duration())
    return profile
