"""What rclpy leaves to every lifecycle node: transitions that do not fail in silence, and a main that ends cleanly."""

import functools
import sys
import traceback
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import rclpy
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.utilities import try_shutdown

from hpe_core.errors import HpeError

USER_ERROR = 2


class PlainNode(Node):
    """A node without a lifecycle, which works from its making to `release`."""

    def release(self) -> None:
        """Stop working; harmless the second time."""
        raise NotImplementedError


AnyLifecycleNode = TypeVar("AnyLifecycleNode", bound="ReleasingNode")
Arguments = ParamSpec("Arguments")
Transition = Callable[Concatenate[AnyLifecycleNode, Arguments], TransitionCallbackReturn]


def reported(transition: Transition[AnyLifecycleNode, Arguments]) -> Transition[AnyLifecycleNode, Arguments]:
    """Decorator: rclpy throws away what a transition raises, this logs it first.

    What the user can fix (HpeError) goes to `node.explain(text)` and is FAILURE; anything else is ERROR, which
    leads to on_error.
    """

    @functools.wraps(transition)
    def wrapper(node: AnyLifecycleNode, *args: Arguments.args, **kwargs: Arguments.kwargs) -> TransitionCallbackReturn:
        try:
            return transition(node, *args, **kwargs)
        except HpeError as error:
            node.get_logger().error(f"{transition.__name__}: {error} (interpreter {sys.executable})")
            node.explain(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception:
            node.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            node.explain(f"{transition.__name__} failed, see the log")
            return TransitionCallbackReturn.ERROR

    return wrapper


class ReleasingNode(LifecycleNode):
    """A lifecycle node that lets go of everything when it is cleaned up, shut down, or has failed."""

    def release(self) -> None:
        """Let go of everything; harmless when there is nothing."""
        raise NotImplementedError

    def explain(self, problem: str) -> None:
        """Show in the diagnostics why a transition failed."""
        raise NotImplementedError

    @reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.release()
        return super().on_cleanup(state)

    @reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.release()
        return super().on_shutdown(state)

    @reported
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.release()
        return TransitionCallbackReturn.SUCCESS


class NodeClass(Protocol):
    """A node's class, which is made without arguments."""

    __name__: str

    def __call__(self) -> PlainNode | ReleasingNode: ...


def run(node_class: NodeClass, args: list[str] | None = None) -> int:
    """Spin a node until it is told to stop; exit status 2 when its parameters are wrong."""
    rclpy.init(args=args)
    try:
        node = node_class()
    except (HpeError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        get_logger(node_class.__name__).fatal(str(error))
        try_shutdown()
        return USER_ERROR
    try:
        if isinstance(node, ReleasingNode):
            autostart(node)
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.release()
        node.destroy_node()
        try_shutdown()
    return 0


def autostart(node: ReleasingNode) -> None:
    """Take the node to active by itself when its parameter `autostart` is set.

    Done here and not by requests from the launch file, because a request that follows a killed and respawned node
    reaches the dead one's service, which DDS still announces for seconds, and is lost.
    """
    if node.get_parameter("autostart").value and node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
        node.trigger_activate()
