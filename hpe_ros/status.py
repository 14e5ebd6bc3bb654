"""What nodes know about themselves, as plain values; /diagnostics shows it. No ROS needed."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hpe_core.errors import HpeError

Level = Literal["ok", "warn", "error", "stale"]


@dataclass(frozen=True)
class Status:
    """One line of /diagnostics; values: what it rests on."""

    name: str
    level: Level
    message: str
    values: Mapping[str, object]


def described(error: BaseException) -> tuple[str, str]:
    """(one line, text for the log) of what a frame raised; the log has a traceback unless the input is to blame."""
    if isinstance(error, HpeError):
        return str(error), str(error)
    return repr(error), "".join(traceback.format_exception(error))
