"""Writes docs/parameters.md from the configuration dataclasses: python -m hpe_ros.parameters_table. No ROS needed."""

import json
from collections.abc import Sequence
from dataclasses import Field, fields
from pathlib import Path

from hpe_core.config import Checked
from hpe_ros.node_config import (
    ATTENTION_NODE_GROUPS,
    CAMERA_NODE_GROUPS,
    CAMERAS_NODE_GROUPS,
    PEOPLE_NODE_GROUPS,
    POSE_NODE_GROUPS,
)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "parameters.md"
NODES = {
    "pose_node": POSE_NODE_GROUPS,
    "attention_node": ATTENTION_NODE_GROUPS,
    "people_node": PEOPLE_NODE_GROUPS,
    "cameras_node": CAMERAS_NODE_GROUPS,
    "camera_node": CAMERA_NODE_GROUPS,
}

_INTRODUCTION = """# Parameters

Written by `python -m hpe_ros.parameters_table` from the configuration dataclasses; a test compares, so change those.
A wrong type, a value out of range or an unknown name is refused with a reason that names the parameter.
Those with a yes under "at run time" can change while the node runs, from the next image on; those with a never are
read-only, they have to be given when the node starts; the others change only while the node is unconfigured.

Beside these, publishers and subscriptions have read-only parameters `qos_overrides.TOPIC.publisher.depth` and so on:
[ros.md](ros.md#quality-of-service).
"""
_HEAD = "| parameter | type | default | allowed | at run time | meaning |\n|---|---|---|---|---|---|\n"


def page() -> str:
    """The whole of docs/parameters.md as text."""
    return _INTRODUCTION + "".join(f"\n## {node}\n\n{_table(groups)}" for node, groups in NODES.items())


def _table(groups: Sequence[type[Checked]]) -> str:
    return _HEAD + "".join(f"| {' | '.join(_row(f))} |\n" for group in groups for f in fields(group))


def _row(f: Field) -> tuple[str, ...]:
    """Cells of one field made by hpe_core.config.option."""
    kind, default = type(f.default).__name__, str(f.default) or '""'
    if isinstance(f.default, bool):
        default = default.lower()
    elif isinstance(f.default, tuple):
        kind, default = "list of str", json.dumps(f.default)
    at_run_time = "yes" if f.metadata["at_run_time"] else "never" if f.metadata["read_only"] else ""
    return f"`{f.name}`", kind, f"`{default}`", _allowed(f), at_run_time, _escaped(f.metadata["description"])


def _escaped(text: str) -> str:
    """Text in which Markdown sees neither a tag nor the end of a cell."""
    return text.replace("<", r"\<").replace("|", r"\|")


def _allowed(f: Field) -> str:
    if f.metadata["choices"] is not None:
        return ", ".join(f"`{choice}`" for choice in f.metadata["choices"])
    if f.metadata["low"] is not None:
        return f"{f.metadata['low']:g} to {f.metadata['high']:g}"
    return ""


def main() -> None:
    PAGE.write_text(page(), "utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
