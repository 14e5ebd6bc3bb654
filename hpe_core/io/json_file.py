"""JSON files: what cannot be read is empty, what is written is there complete or not at all."""

import json
import math
from pathlib import Path
from typing import Any

from hpe_core.errors import printable
from hpe_core.safe_files import write_whole


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file as a dict, empty when there is none or it cannot be read."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a dict as indented JSON. Raises ValueError on NaN and infinity: see `json_values`."""
    write_whole(path, (json.dumps(values, indent=2, allow_nan=False) + "\n").encode())


def json_values(value: Any, digits: int | None = None) -> Any:
    """Plain values for JSON that people and programs read: text as `printable`, lists for arrays and tuples, null for
    numbers that are not finite. digits: significant ones of every float, None for all."""
    import numpy as np  # here, because `hpe --help` comes by and needs none

    if isinstance(value, dict):
        return {printable(key): json_values(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [json_values(item, digits) for item in value]
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return _json_number(float(value), digits)
    return value


def _json_number(value: float, digits: int | None) -> float | None:
    if not math.isfinite(value):
        return None
    return value if digits is None else float(f"{value:.{digits}g}") + 0.0  # + 0.0: no -0.0
