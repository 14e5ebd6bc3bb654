"""YAML files with one-line errors."""

from pathlib import Path

from hpe_core.errors import HpeError


def load_mapping(path, what):
    """The mapping (dict) in a YAML file. `what` names the file in messages, e.g. "camera_info file".

    Raises HpeError when the file is missing, not YAML, or not a mapping.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        reason = getattr(error, "strerror", None) or "not a text file"
        raise HpeError(f"{what} {path} cannot be read: {reason}") from error
    return parse_mapping(text, f"{what} {path}")


def parse_mapping(text, where):
    """The mapping (dict) in a YAML text; `where` names it in messages. Raises HpeError as `load_mapping`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        values = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise HpeError(f"{where} is not valid YAML{place}: {reason}") from error
    except Exception as error:  # the parser leaks ValueError, TypeError, RecursionError ... on odd input
        raise HpeError(f"{where} is not valid YAML: {type(error).__name__}") from error
    if not isinstance(values, dict):
        raise HpeError(f"{where} must be a mapping of names to values, got {type(values).__name__}")
    return values
