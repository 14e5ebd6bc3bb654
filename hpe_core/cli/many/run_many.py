"""What `hpe run` does with several sources: tasks for workers, progress, and one summary."""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from hpe_core.cli.interrupt import Interrupt
from hpe_core.cli.many import summary as summaries
from hpe_core.cli.many.inputs import SUMMARY, distinct, named
from hpe_core.cli.many.made_from import settings_of
from hpe_core.cli.many.task import FAILED, FINISHED, Outcome, Task, do
from hpe_core.cli.run_source import OUT, config_of, option_files
from hpe_core.cli.terminal import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, escaped, print_note
from hpe_core.errors import HpeError
from hpe_core.io.camera_info import camera_from_yaml
from hpe_core.io.out_folder import OutFolder
from hpe_core.io.text import one_line, printable
from hpe_core.spread import Watch, spread

COMMAND = "run summary"  # in the manifest of the folder that holds all
FOR_ONE = ("show", "view", "save")  # options that follow one source


def run_many(args: argparse.Namespace, sources: Sequence[str]) -> int:
    """`hpe run` for a list of sources; returns the exit code: 1 when some failed, 130 when interrupted."""
    for option in FOR_ONE:
        if getattr(args, option):
            raise HpeError(f"--{option} follows one source alone, got {len(sources)} and --jobs or --cluster")
    if args.jobs and args.cluster:
        raise HpeError("--jobs are processes of this machine, --cluster has workers of its own: give one of them")
    paths, again = distinct(sources)
    by_name = named(paths)
    tasks = _tasks(args, by_name, os.path.abspath(args.out or OUT))
    out = Path(args.out or OUT)
    read = [*paths, *option_files(args)]
    # made_from: the summary of runs before this one, of whatever inputs, is replaced, and nothing else
    with OutFolder(out, COMMAND, (SUMMARY,), args.overwrite, read, made_from=COMMAND) as folder:
        for text in again:
            print_note(f"{text} is given more than once and run once")
        outcomes, died, interrupted, problem = _followed(args, tasks)
        arguments = {name: value for name, value in vars(args).items() if name not in ("command", "typed", "source")}
        summary = summaries.all_of_them(by_name, outcomes, out, arguments, died)
        summaries.write(folder.staged, summary)
        folder.place()
    console = Console(highlight=False)
    summaries.shown(summary, console)
    console.print(f"written   {printable(out)}/: a folder for each, {SUMMARY}", markup=False, soft_wrap=True)
    if problem:
        raise problem
    if interrupted:
        print_note("interrupted: the same command goes on with what is unfinished")
        return EXIT_INTERRUPTED
    return EXIT_FAILED if summary["by_status"][FAILED] else EXIT_OK


def _tasks(args: argparse.Namespace, by_name: Mapping[str, str], out: str) -> list[Task]:
    """A Task for each source, in which no path depends on the folder of this process."""
    camera = camera_from_yaml(args.camera_info) if args.camera_info else None
    config = config_of(args)
    settings = settings_of(args, config)
    plain: dict[str, Any] = {name: value for name, value in vars(args).items() if name != "command"}
    for name in ("camera_info", "config"):
        plain[name] = os.path.abspath(plain[name]) if plain[name] else None
    own = argparse.Namespace(**plain)
    model = "+".join(
        os.path.abspath(part) if part.endswith(".onnx") else part for part in config.estimator.model.split("+")
    )
    config = replace(config, estimator=replace(config.estimator, model=model))
    run_id = uuid.uuid4().hex
    return [
        Task(name, path, os.path.join(out, name), own, config, camera, settings, run_id)
        for name, path in by_name.items()
    ]


def _followed(args: argparse.Namespace, tasks: Sequence[Task]) -> tuple[dict[str, Outcome], int, bool, HpeError | None]:
    """Outcomes by name, how many workers died, whether a signal ended it, and what went wrong with all workers."""
    outcomes: dict[str, Outcome] = {}
    problem = None
    with Interrupt() as interrupt, _Shown(tasks, interrupt) as shown:
        try:
            with closing(spread(do, tasks, args.jobs or 1, args.cluster, shown)) as ended:
                for index, found in ended:
                    outcome = Outcome(FAILED, str(found)) if isinstance(found, HpeError) else found
                    outcomes[tasks[index].name] = outcome
                    shown.ended(index, outcome)
        except HpeError as error:  # what is done stays done
            problem = error
    return outcomes, shown.dead, interrupt.requested, problem


class _Shown(Watch):
    """Progress on the error stream: a bar for all and one for each source that runs; elsewhere than on a terminal, a
    line for each that has ended."""

    def __init__(self, tasks: Sequence[Task], interrupt: Interrupt):
        self._tasks = tasks
        self._interrupt = interrupt
        self._bars: dict[int, TaskID] = {}
        self.dead = 0
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not sys.stderr.isatty(),
        )
        self._all = self._progress.add_task("all", total=len(tasks))

    def __enter__(self) -> _Shown:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def stops(self) -> bool:
        return self._interrupt.requested

    def died(self, index: int) -> None:
        self.dead += 1
        self._line(index, "its worker process died")

    def progress(self, index: int, done: int, total: int | None) -> None:
        if index not in self._bars:
            self._bars[index] = self._progress.add_task(printable(self._tasks[index].name)[:20], total=total)
        self._progress.update(self._bars[index], completed=done)

    def ended(self, index: int, outcome: Outcome) -> None:
        """A task has ended."""
        self._progress.advance(self._all)
        text = f"{outcome.status}: {outcome.reason}" if outcome.reason else outcome.status
        self._line(index, f"{text}, {outcome.seconds:.1f} s" if outcome.status == FINISHED else text)

    def _line(self, index: int, text: str) -> None:
        bar = self._bars.pop(index, None)
        if bar is not None:
            self._progress.remove_task(bar)
        self._progress.console.print(escaped(f"{printable(self._tasks[index].name)}: {one_line(text)}"))
