"""What rclpy leaves to every lifecycle node: transitions that do not fail in silence, and a main that ends cleanly."""

import functools
import sys
import traceback

import rclpy
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from hpe_core.errors import HpeError

USER_ERROR = 2


def reported(transition):
    """Decorator: rclpy throws away what a transition raises, this logs it first.

    What the user can fix (HpeError) is told to `node.explain(text)` and is FAILURE; anything else is ERROR, which
    leads to on_error.
    """

    @functools.wraps(transition)
    def wrapper(node, state):
        try:
            return transition(node, state)
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
    """A lifecycle node with `release()`, which lets go of everything and is harmless when there is nothing."""

    @reported
    def on_cleanup(self, state):
        self.release()
        return super().on_cleanup(state)

    @reported
    def on_shutdown(self, state):
        self.release()
        return super().on_shutdown(state)

    @reported
    def on_error(self, state):
        self.release()
        return TransitionCallbackReturn.SUCCESS


def run(node_class, args=None):
    """Spin a node until it is told to stop; exit status 2 when its parameters are wrong."""
    rclpy.init(args=args)
    try:
        node = node_class()
    except (HpeError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        rclpy.logging.get_logger(node_class.__name__).fatal(str(error))
        rclpy.try_shutdown()
        return USER_ERROR
    try:
        _autostart(node)
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.release()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _autostart(node):
    """Take the node to active by itself when its parameter `autostart` is set.

    Done here and not by requests from the launch file, because a request that follows a killed and respawned node
    reaches the dead one's service, which DDS still announces for seconds, and is lost.
    """
    if not node.has_parameter("autostart"):  # a node without a lifecycle
        return
    if node.get_parameter("autostart").value and node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
        node.trigger_activate()
