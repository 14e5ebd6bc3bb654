"""YAML files with one-line errors."""

from pathlib import Path
from typing import Any

from hpe_core.errors import HpeError
from hpe_core.io.files import read_regular

MAX_FILE_BYTES = 1 << 24
MAX_VALUES = 1_000_000  # with every alias written out


def load_mapping(path: str | Path, what: str) -> dict[str, Any]:
    """The mapping (dict) in a YAML file. `what` names the file in messages, e.g. "camera_info file".

    Raises HpeError when the file is missing, too large, not YAML, or not a mapping.
    """
    try:
        text = read_regular(path, MAX_FILE_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise HpeError(f"{what} {path} cannot be read: not a text file") from error
    except HpeError as error:
        raise HpeError(f"{what} {error}") from error
    return parse_mapping(text, f"{what} {path}")


def parse_mapping(text: str, where: str) -> dict[str, Any]:
    """The mapping (dict) in a YAML text; `where` names it in messages. Raises HpeError as `load_mapping`, and when its
    aliases stand for more than MAX_VALUES values."""
    from hpe_core.io.yaml_loader import YamlError, loaded

    try:
        check_aliases(text, where)
        values = loaded(text)
    except HpeError:
        raise
    except YamlError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise HpeError(f"{where} is not valid YAML{place}: {reason}") from error
    except Exception as error:  # the parser leaks ValueError, TypeError, RecursionError ... on odd input
        raise HpeError(f"{where} is not valid YAML: {type(error).__name__}") from error
    if not isinstance(values, dict):
        raise HpeError(f"{where} must be a mapping of names to values, got {type(values).__name__}")
    return values


def check_aliases(text: str, where: str) -> None:
    """Raises HpeError when the aliases of a YAML text stand for more than MAX_VALUES values, YamlError when it is no
    YAML."""
    from hpe_core.io.yaml_loader import composed

    if "*" in text and _size(composed(text), {}) > MAX_VALUES:
        raise HpeError(f"{where} has aliases that stand for more than {MAX_VALUES} values")


def _size(node: Any, known: dict[int, float]) -> float:
    """Number of values below a node of the YAML graph with every alias written out; one within itself is endless."""
    if node is None or isinstance(node.value, str):
        return 1
    if id(node) not in known:
        known[id(node)] = float("inf")  # until it is known: a node that comes back to itself
        children = (child for pair in node.value for child in (pair if isinstance(pair, tuple) else (pair,)))
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]
