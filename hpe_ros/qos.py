"""Whether others' quality of service fits ours: asked of the graph, because events cost time on every wake-up."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rcl_interfaces.msg import SetParametersResult
from rclpy.duration import Duration, Infinite
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSCompatibility, QoSPolicyKind, QoSProfile, qos_check_compatible
from rclpy.qos_overriding_options import InvalidQosOverridesError, QoSOverridingOptions
from rclpy.subscription import Subscription

from hpe_core.errors import HpeError

if TYPE_CHECKING:  # rclpy moved it after Jazzy, and the nodes only name its type
    from rclpy.topic_endpoint_info import TopicEndpointInfo

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

# rclpy's executor asks every event handler at every wake-up; those of six publishers took 0.3 ms of each image
NO_PUBLISHER_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)

MOST_MESSAGES = 1000  # that a publisher or subscription keeps


def _depth(profile: QoSProfile) -> SetParametersResult:
    fits = 1 <= profile.depth <= MOST_MESSAGES
    return SetParametersResult(successful=fits, reason=f"depth must lie in [1, {MOST_MESSAGES}], got {profile.depth}")


# parameters `qos_overrides.<topic>.publisher.depth` and so on, which rclpy declares with the publisher or subscription
OVERRIDABLE = QoSOverridingOptions.with_default_policies(callback=_depth)
# their reliability is a parameter of ours, which can change between two configurations; an override cannot
OVERRIDABLE_BUT_RELIABILITY = QoSOverridingOptions((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH), callback=_depth)

__all__ = [
    "NO_PUBLISHER_EVENTS",
    "OVERRIDABLE",
    "OVERRIDABLE_BUT_RELIABILITY",
    "SubscriptionEventCallbacks",
    "overrides",
    "publishers_that_do_not_fit",
    "subscriptions_that_do_not_fit",
]


@contextlib.contextmanager
def overrides() -> Iterator[None]:
    """Where publishers and subscriptions are made: a wrong `qos_overrides` parameter becomes an HpeError."""
    try:
        yield
    except (InvalidParameterTypeException, InvalidQosOverridesError) as error:
        raise HpeError(f"qos_overrides: {error}") from error
    except RuntimeError as error:  # rclpy has no class of its own for it
        if "QoS override" not in str(error):
            raise
        raise HpeError(f"qos_overrides: {error}; `ros2 param describe` of a running node lists them") from error


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
    topic: str, pairs: "Iterable[tuple[TopicEndpointInfo, QoSProfile, QoSProfile]]", role: str
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
