"""Progress on the error stream."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status


class Progress:
    """A bar while models or processes run, in a `with` block; only on a terminal."""

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


class StatusLine:
    """A status line while something takes long, in a `with` block; elsewhere than on a terminal, a line per text."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status: Status | None = self._console.status("") if self._console.is_terminal else None

    def __enter__(self) -> StatusLine:
        if self._status:
            self._status.start()
        return self

    def __call__(self, text: str) -> None:
        """What is being done now."""
        if self._status:
            self._status.update(text)
        else:
            self._console.print(text, markup=False)

    def __exit__(self, *exception: object) -> None:
        if self._status:
            self._status.stop()
