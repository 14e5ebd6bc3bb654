"""What the attention node says in /diagnostics, as plain values."""

from collections.abc import Sequence

from hpe_core.attention.decision import NO_TRANSFORM, Event, Judgement, State
from hpe_ros.status import Level, Status, described


class AttentionHealth:
    """Counts since activation, and the last frame's findings."""

    def __init__(self):
        self._problem = ""
        self.restart()

    def restart(self, running: bool = False) -> None:
        """Zero everything; `running` is whether heads are expected."""
        self._running, self._silent = running, True
        self._received = self._left_out = self._failed = self._started = 0
        self._judgements: Sequence[Judgement] = ()
        self._last_error = ""

    def problem(self, text: str) -> None:
        """Why a transition failed; empty when it did not."""
        self._problem = text

    def processed(self, judgements: Sequence[Judgement], events: Sequence[Event], problems: Sequence[str]) -> None:
        """A frame was judged; problems: why detections were left out of it."""
        self._received, self._silent = self._received + 1, False
        self._judgements = judgements
        self._left_out += len(problems)
        self._started += sum(event.kind == "started" for event in events)
        self._last_error = problems[-1] if problems else self._last_error

    def silent(self) -> None:
        """No heads came for too long."""
        self._silent, self._judgements = True, ()

    def failed(self, error: BaseException) -> str:
        """A frame raised an exception. Text for the log."""
        self._failed += 1
        self._last_error, text = described(error)
        return text

    def statuses(self) -> list[Status]:
        """Of the input and the targets."""
        values: dict[str, object] = {"received": self._received, "heads left out": self._left_out}
        values["frames failed"] = self._failed
        if self._last_error:
            values["last_error"] = self._last_error
        level: Level = "ok"
        message = "heads are coming in"
        if self._problem:
            level, message = "error", self._problem
        elif not self._running:
            level, message = "stale", "not active"
        elif self._silent:
            level, message = "warn", "no heads"
        return [Status("input", level, message, values), self._targets()]

    def _targets(self):
        lost = sorted({j.target for j in self._judgements if j.view.problem == NO_TRANSFORM})
        counts = {state.value: sum(j.state is state for j in self._judgements) for state in State}
        message = f"no TF for {', '.join(lost)}" if lost else "a transform to each"
        return Status("targets", "warn" if lost else "ok", message, counts | {"looks started": self._started})
