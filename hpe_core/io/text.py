"""Text of others (names of files, topics and frames, reasons) made harmless where people read it."""

import re
from datetime import datetime, timezone

from hpe_core.errors import printable

MAX_LINE = 2000  # characters of one line for people
_FORMULA = re.compile(r"'*[=+\-@]")  # how spreadsheets begin a formula, and what `csv_text` has made of one


def one_line(text: object, limit: int = MAX_LINE) -> str:
    """`printable` in one line of at most `limit` characters."""
    line = printable(" ".join(str(text)[: 4 * limit].split()))
    return line if len(line) <= limit else f"{line[:limit]} ... (cut, {len(str(text))} characters)"


def csv_text(text: str) -> str:
    """`printable`, with an apostrophe before what a spreadsheet would take as a formula; `csv_value` takes it off."""
    safe = printable(text)
    return f"'{safe}" if _FORMULA.match(safe) else safe


def csv_value(cell: str) -> str:
    """The text of a cell that `csv_text` wrote."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def utc_now() -> str:
    """The time in UTC to the second, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
