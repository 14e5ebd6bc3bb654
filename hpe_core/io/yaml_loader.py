"""PyYAML, which every ROS 2 has, with the numbers and booleans of YAML 1.2 (core schema) and without repeated names.

By itself PyYAML reads YAML 1.1: `on` is True, 1e-3 a text, 010 eight, and the second of two equal names wins.
"""

import re
from typing import Any

import yaml

YamlError = yaml.YAMLError
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[Any, Any] = {}

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != f"{_TAG}merge":  # what is merged in may be overridden
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value[:60]!r} stands twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_int(self, node):
        text = node.value
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


for _name, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor(f"{_TAG}int", _Loader.construct_int)


def loaded(text: str) -> Any:
    """The value of a YAML text with one document. Raises YamlError when it is no YAML; on odd input the parser leaks
    ValueError, TypeError, RecursionError and others."""
    return yaml.load(text, _Loader)  # a SafeLoader


def composed(text: str) -> yaml.Node | None:
    """The graph of nodes of a YAML text, None for an empty one. Raises as `loaded`."""
    return yaml.compose(text, _Loader)
