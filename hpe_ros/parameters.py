"""ROS parameters made from the fields of the configuration dataclasses: one source for types, ranges and texts."""

from dataclasses import fields

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult

from hpe_core.config import PipelineConfig
from hpe_core.errors import HpeError
from hpe_ros.node_config import POSE_NODE_GROUPS

GROUPS = POSE_NODE_GROUPS


def fields_of(groups):
    """dict name -> dataclass field of configuration dataclasses that share no name."""
    return {f.name: f for group in groups for f in fields(group)}


FIELDS = fields_of(GROUPS)


def descriptor(name, known=FIELDS):
    """ParameterDescriptor of one parameter. Types are checked by `checker`, whose reasons name the parameter."""
    meta = known[name].metadata
    made = ParameterDescriptor(description=meta["description"], dynamic_typing=True)
    if meta["choices"] is not None:
        made.additional_constraints = "one of: " + ", ".join(map(str, meta["choices"]))
    if meta["low"] is not None:
        whole = isinstance(known[name].default, int)
        limits = IntegerRange if whole else FloatingPointRange
        span = limits(from_value=meta["low"], to_value=meta["high"])
        (made.integer_range if whole else made.floating_point_range).append(span)
    return made


def declare(node, locked, groups=GROUPS, on_change=None):
    """Declare every parameter on a node and guard them; `locked()` is true while the node is configured.

    While it is, only options that are `live` can change, and on_change(*configurations) hears the new ones.
    Raises HpeError, or rclpy's own parameter error, when a value given at start is wrong; both name the parameter.
    """
    known = fields_of(groups)
    for name, f in known.items():
        node.declare_parameter(name, f.default, descriptor(name, known))
    read_groups(node, groups)
    node.add_on_set_parameters_callback(lambda parameters: _verdict(node, parameters, locked, groups, on_change))


def read(node):
    """(PipelineConfig, NodeConfig) from a node's parameters. Raises HpeError naming the wrong one."""
    return pose_configs(*read_groups(node, GROUPS))


def pose_configs(node_config, estimator, tracker):
    """(PipelineConfig, NodeConfig) from the configurations of GROUPS."""
    return PipelineConfig(estimator, tracker), node_config


def read_groups(node, groups, changes=None):
    """Configuration dataclasses from a node's parameters, with the dict `changes` over them. Raises HpeError."""
    values = {name: node.get_parameter(name).value for name in fields_of(groups)} | (changes or {})
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return tuple(group(**{f.name: values[f.name] for f in fields(group)}) for group in groups)


def _verdict(node, parameters, locked, groups, on_change):
    known = fields_of(groups)
    changes = {p.name: p.value for p in parameters if p.name in known}
    try:
        configurations = read_groups(node, groups, changes)
    except HpeError as error:
        return SetParametersResult(successful=False, reason=str(error))
    if not changes or not locked():
        return SetParametersResult(successful=True)
    fixed = [name for name in changes if not known[name].metadata["live"]]
    if fixed:
        names = ", ".join(sorted(fixed))
        return SetParametersResult(
            successful=False, reason=f"{names} can only change while the node is unconfigured: clean it up first"
        )
    if on_change is not None:  # here and not in a callback after the setting, which Humble lacks
        on_change(*configurations)
    return SetParametersResult(successful=True)
