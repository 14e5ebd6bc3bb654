"""The one error family of the project."""

MAX_TEXT = 4000  # characters; a message may quote what others wrote


class HpeError(Exception):
    """Something the user can fix; the message is one line and says what, got and allowed."""

    def __init__(self, message: str = ""):
        length = len(message)
        super().__init__(message if length <= MAX_TEXT else f"{message[:MAX_TEXT]} ... (cut, {length} characters)")
