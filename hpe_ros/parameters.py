"""ROS parameters made from the fields of the configuration dataclasses: one source for types, ranges and texts."""

from dataclasses import dataclass, fields

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult

from hpe_core.config import Checked, EstimatorConfig, PipelineConfig, TrackerConfig, option
from hpe_core.errors import HpeError


@dataclass(frozen=True)
class NodeConfig(Checked):
    """What only the node needs."""

    autostart: bool = option(False, "configure and activate at start, without waiting for a lifecycle manager")
    image_transport: str = option(
        "raw", "raw subscribes to `image`, compressed to `image/compressed`", choices=("raw", "compressed")
    )
    reliability: str = option("best_effort", "QoS of `image` and `camera_info`", choices=("best_effort", "reliable"))
    image_is_rectified: bool = option(False, "images are undistorted: P of camera_info counts, not K and D")
    hfov_deg: float = option(60.0, "horizontal field of view assumed without a valid camera_info", 1.0, 179.0)
    camera_info_wait_s: float = option(
        2.0, "how long (by image stamps) frames are dropped before the assumed field of view is used", 0.0, 60.0
    )
    publish_tf: bool = option(True, "publish face_<id> and gaze_<id> on /tf")
    tf_prefix: str = option("", "put before the TF names, so that several cameras can share one tree")


GROUPS = (NodeConfig, EstimatorConfig, TrackerConfig)
FIELDS = {f.name: f for group in GROUPS for f in fields(group)}


def descriptor(name):
    """ParameterDescriptor of one parameter. Types are checked by `checker`, whose reasons name the parameter."""
    meta = FIELDS[name].metadata
    made = ParameterDescriptor(description=meta["description"], dynamic_typing=True)
    if meta["choices"] is not None:
        made.additional_constraints = "one of: " + ", ".join(meta["choices"])
    if meta["low"] is not None:
        whole = isinstance(FIELDS[name].default, int)
        limits = IntegerRange if whole else FloatingPointRange
        span = limits(from_value=meta["low"], to_value=meta["high"])
        (made.integer_range if whole else made.floating_point_range).append(span)
    return made


def declare(node, locked):
    """Declare every parameter on a node and guard them; `locked()` is true while the node is configured.

    Raises HpeError, or rclpy's own parameter error, when a value given at start is wrong; both name the parameter.
    """
    for name, f in FIELDS.items():
        node.declare_parameter(name, f.default, descriptor(name))
    read(node)
    node.add_on_set_parameters_callback(lambda parameters: _verdict(node, parameters, locked))


def read(node):
    """(PipelineConfig, NodeConfig) from a node's parameters. Raises HpeError naming the wrong one."""
    return _configs({name: node.get_parameter(name).value for name in FIELDS})


def _configs(values):
    node_config, estimator, tracker = (group(**{f.name: values[f.name] for f in fields(group)}) for group in GROUPS)
    return PipelineConfig(estimator, tracker), node_config


def _verdict(node, parameters, locked):
    changes = {p.name: p.value for p in parameters if p.name in FIELDS}
    try:
        _configs({name: node.get_parameter(name).value for name in FIELDS} | changes)
    except HpeError as error:
        return SetParametersResult(successful=False, reason=str(error))
    if changes and locked():
        names = ", ".join(sorted(changes))
        return SetParametersResult(
            successful=False, reason=f"{names} can only change while the node is unconfigured: clean it up first"
        )
    return SetParametersResult(successful=True)
