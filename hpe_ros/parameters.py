"""ROS parameters made from the fields of the configuration dataclasses: one source for types, ranges and texts."""

from dataclasses import fields

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult

from hpe_core.config import PipelineConfig
from hpe_core.errors import HpeError
from hpe_ros.node_config import POSE_NODE_GROUPS

GROUPS = POSE_NODE_GROUPS
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
