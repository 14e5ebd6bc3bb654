"""ROS parameters made from the fields of the configuration dataclasses: one source for types, ranges and texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from typing import TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from hpe_core.config import Checked
from hpe_core.errors import HpeError

Group = type[Checked]
Config = TypeVar("Config", bound=Checked)


def fields_of(groups: Sequence[Group]) -> dict[str, Field]:
    """The fields of configuration dataclasses that share no name, by their names."""
    return {f.name: f for group in groups for f in fields(group)}


def descriptor(field: Field) -> ParameterDescriptor:
    """Of one parameter. Its type is checked by the configuration, whose reasons name the parameter."""
    meta = field.metadata
    made = ParameterDescriptor(description=meta["description"], dynamic_typing=True, read_only=meta["read_only"])
    if meta["choices"] is not None:
        made.additional_constraints = "one of: " + ", ".join(map(str, meta["choices"]))
    if meta["low"] is not None and isinstance(field.default, int):
        made.integer_range = [IntegerRange(from_value=meta["low"], to_value=meta["high"])]
    elif meta["low"] is not None:
        made.floating_point_range = [FloatingPointRange(from_value=meta["low"], to_value=meta["high"])]
    return made


def declare(
    node: Node,
    groups: Sequence[Group],
    locked: Callable[[], bool],
    on_change: Callable[[Mapping[str, object]], None] | None = None,
) -> None:
    """Declare every parameter on a node and guard them; `locked()` is true while the node is configured.

    While it is, only options with `at_run_time` can change, and on_change(changes) hears of them before they are set.
    Raises HpeError, or rclpy's own parameter error, when a value given at start is wrong; both name the parameter.
    """
    known = fields_of(groups)
    for name, field in known.items():
        node.declare_parameter(name, field.default, descriptor(field))
    for group in groups:
        read(node, group)

    def verdict(parameters: list[Parameter]) -> SetParametersResult:
        changes = {p.name: p.value for p in parameters if p.name in known}
        try:
            for group in groups:
                read(node, group, changes)
        except HpeError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if not changes or not locked():
            return SetParametersResult(successful=True)
        fixed = sorted(name for name in changes if not known[name].metadata["at_run_time"])
        if fixed:
            reason = f"{', '.join(fixed)} can only change while the node is unconfigured: clean it up first"
            return SetParametersResult(successful=False, reason=reason)
        if on_change is not None:  # here and not in a callback after the setting, which Humble lacks
            on_change(changes)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(verdict)


def read(node: Node, group: type[Config], changes: Mapping[str, object] | None = None) -> Config:
    """Configuration from a node's parameters, with `changes` over them. Raises HpeError naming the wrong one."""
    names = fields_of([group])
    values = {name: node.get_parameter(name).value for name in names}
    values |= {name: value for name, value in (changes or {}).items() if name in names}
    return group(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
