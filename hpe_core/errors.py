"""The one error family of the project."""


class HpeError(Exception):
    """Something the user can fix; the message is one line and says what, got and allowed."""
