"""Settings from the file of --config: groups of settings as PipelineConfig has them, or a parameter file of ROS 2."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hpe_core.errors import HpeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hpe_core.config import PipelineConfig

NODE = "/pose_node"  # whose parameters count
PARAMETERS = "ros__parameters"


def config_from_file(path: str) -> PipelineConfig:
    """PipelineConfig of a file over the defaults. Parameters in a file of ROS 2 that belong to the node alone are named
    in a note. Raises HpeError that names the file."""
    from hpe_core.cli.terminal import print_note
    from hpe_core.config import PipelineConfig, overridden
    from hpe_core.io.yaml_file import load_mapping

    config, values = PipelineConfig(), load_mapping(path, "config file")
    left_out: list[str] = []
    try:
        if is_ros_file(values):
            values, left_out = grouped(config, parameters_of(values))
        config = overridden(config, values)
    except HpeError as error:
        raise HpeError(f"config file {path}: {error}") from error
    if left_out:
        print_note(f"config file {path}: parameters of the node alone are left out: {', '.join(left_out)}")
    return config


def is_ros_file(values: Any) -> bool:
    """Whether a mapping holds `ros__parameters`, at any depth."""
    return isinstance(values, dict) and (PARAMETERS in values or any(map(is_ros_file, values.values())))


def parameters_of(values: dict[Any, Any], node: str = NODE) -> dict[str, Any]:
    """Parameters of a node by its full name. As in ROS 2 `/*` stands for one name, `/**` for any number of them, and of
    entries that fit the later one overrides. Raises HpeError when none fits."""
    found: dict[str, Any] = {}
    names = []
    for name, parameters in _entries(values, ""):
        names.append(name)
        if _fits(name.strip("/").split("/"), node.strip("/").split("/")):
            found |= parameters
    if not any(_fits(name.strip("/").split("/"), node.strip("/").split("/")) for name in names):
        raise HpeError(f"no parameters of {node}, only of {', '.join(names)}")
    return found


def grouped(config: PipelineConfig, parameters: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Parameters of the node as groups of settings for `overridden`, and the names of those that are no settings."""
    group_of = {option.name: group.name for group in fields(config) for option in fields(getattr(config, group.name))}
    groups: dict[str, dict[str, Any]] = {}
    for name, value in parameters.items():
        if name in group_of:
            groups.setdefault(group_of[name], {})[name] = value
    return groups, sorted(set(parameters) - set(group_of))


def _entries(values: dict[Any, Any], above: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pairs (name of a node or pattern, its parameters): namespaces may be levels of their own."""
    for key, value in values.items():
        name = f"{above}/{str(key).strip('/')}"
        if not isinstance(value, dict):
            raise HpeError(f"{name.lstrip('/')} must hold {PARAMETERS}, got {value!r}")
        if PARAMETERS not in value:
            yield from _entries(value, name)
            continue
        parameters = value[PARAMETERS] if value[PARAMETERS] is not None else {}
        if not isinstance(parameters, dict):
            raise HpeError(f"{PARAMETERS} of {name} must be a mapping of names to values, got {parameters!r}")
        yield name, {str(name): one for name, one in parameters.items()}


def _fits(pattern: list[str], name: list[str]) -> bool:
    if not pattern or not name:
        return not name and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _fits(pattern[1:], name) or _fits(pattern, name[1:])
    return pattern[0] in ("*", name[0]) and _fits(pattern[1:], name[1:])
