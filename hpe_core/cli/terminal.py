"""What the command says on the terminal, and its exit codes."""

import sys

from hpe_core.io.text import one_line

EXIT_OK = 0
EXIT_THRESHOLD = 1  # of `hpe eval`
EXIT_FAILED = 1  # some of many inputs
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def print_error(error: object) -> None:
    """One line on the error stream."""
    print(f"hpe: error: {one_line(error)}", file=sys.stderr)


def print_note(text: object) -> None:
    """One line on the error stream about what goes on all the same."""
    print(f"hpe: note: {one_line(text)}", file=sys.stderr)


def escaped(text: str) -> str:
    """Text for rich that is shown as it is."""
    from rich.markup import escape

    return escape(text)
