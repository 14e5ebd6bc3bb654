"""Progress on the terminal: on the error stream, and only where that is a terminal."""

from __future__ import annotations

import sys


class Progress:
    """A bar while models or processes run, in a `with` block."""

    def __init__(self, title: str = "evaluating") -> None:
        from rich.console import Console
        from rich.progress import Progress, TaskID

        self._title = title
        self._bar = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self._task: TaskID | None = None

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def update(self, done: int, total: int | None) -> None:
        """So many images (or tasks) are done."""
        if self._task is None or done == 1:
            self._task = self._bar.add_task(self._title, total=total)
        self._bar.update(self._task, completed=done)

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()
