"""The one error family of the project."""

MAX_TEXT = 4000  # characters; a message may quote what others wrote


class HpeError(Exception):
    """Something the user can fix; the message is one line, printable, and says what, got and allowed."""

    def __init__(self, message: str = ""):
        cut = f" ... (cut, {len(message)} characters)" if len(message) > MAX_TEXT else ""
        super().__init__(printable(message[:MAX_TEXT]) + cut)


def printable(text: object) -> str:
    """The text without characters that steer a terminal: control, escape, bidirectional marks and bytes that are not
    UTF-8 become \\x1b, \\u202e, \\xff."""
    plain = str(text)
    return plain if plain.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in plain)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode's sign for a byte that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
