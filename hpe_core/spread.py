"""Many tasks at once: in processes of this machine, or on a Dask cluster (optional). None is lost with its worker."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from typing import TYPE_CHECKING, Any

from hpe_core.errors import HpeError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

ANSWER_S = 20  # how long a scheduler may take to answer
POLL_S = 0.25  # between two questions whether to stop
PROGRESS_S = 0.2  # between two reports of a task
MOST_DEATHS = 3  # workers that one task may take with it; as many as Dask allows
Progress = Callable[[int, int | None], None]  # done, in all (None: not known)
Work = Callable[[Any, Progress | None], Any]  # importable by name: it is called in other processes
_CONTEXT = get_context("spawn")


class Watch:
    """What the caller of `spread` wants to follow; each method may be replaced."""

    def progress(self, index: int, done: int, total: int | None) -> None:
        """How far a task is; in processes of this machine only."""

    def died(self, index: int) -> None:
        """The worker of a task died; the task goes to another one, until MOST_DEATHS."""

    def stops(self) -> bool:
        """Whether to start no further task; the workers of this machine get SIGTERM for those that run."""
        return False


def spread(
    work: Work, tasks: Sequence[Any], jobs: int, cluster: str | None = None, watch: Watch | None = None
) -> Generator[tuple[int, Any], None, None]:
    """Pairs (index of a task, what work(task, progress) returned), in the order in which tasks end. For a task whose
    worker died MOST_DEATHS times it is an HpeError.

    jobs: processes; cluster: address of a Dask scheduler, instead of processes. Stopped early, tasks that were not done
    have no pair. What `work` raises is raised here. Raises HpeError when there is no such cluster or it is lost.
    """
    watch = watch or Watch()
    if cluster:
        return _on_cluster(work, tasks, cluster, watch)
    return _in_processes(work, tasks, jobs, watch)


def _too_deadly() -> HpeError:
    return HpeError(f"its worker process died {MOST_DEATHS} times (out of memory?)")


class _Worker:
    """One process, which does one task at a time."""

    def __init__(self, work: Work):
        self.connection, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_serve, args=(theirs, work), daemon=True)
        self.index: int | None = None  # of the task that it does
        ours = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ours)  # the child has it until it has left the terminal
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def give(self, index: int, task: Any) -> None:
        """Start a task. A worker that is dead by now says so by `connection`."""
        self.index = index
        with suppress(OSError):
            self.connection.send(task)

    def close(self) -> None:
        """End it, whatever it does."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def _in_processes(work: Work, tasks: Sequence[Any], jobs: int, watch: Watch) -> Generator[tuple[int, Any], None, None]:
    waiting = deque(range(len(tasks)))
    deaths: Counter[int] = Counter()
    workers: list[_Worker] = []
    stopped = False
    try:
        while True:
            if not stopped and watch.stops():
                stopped = True
                for worker in workers:
                    worker.process.terminate()
            while waiting and not stopped:
                free = next((worker for worker in workers if worker.index is None), None)
                if free is None and len(workers) == jobs:
                    break
                if free is None:
                    free = _Worker(work)
                    workers.append(free)
                index = waiting.popleft()
                free.give(index, tasks[index])
            busy = [(worker, worker.index) for worker in workers if worker.index is not None]
            if not busy:
                return
            ready = connection.wait([worker.connection for worker, _ in busy], POLL_S)
            for worker, index in busy:
                if worker.connection not in ready:
                    continue
                try:
                    kind, value = worker.connection.recv()
                except (EOFError, OSError):  # the process is dead
                    workers.remove(worker)
                    worker.close()
                    deaths[index] += 1
                    if stopped:
                        continue
                    watch.died(index)
                    if deaths[index] < MOST_DEATHS:
                        waiting.append(index)
                    else:
                        yield index, _too_deadly()
                    continue
                if kind == "progress":
                    watch.progress(index, *value)
                    continue
                worker.index = None
                if kind == "raised":
                    raise value
                yield index, value
    finally:
        for worker in workers:
            worker.close()


def _serve(pipe: Connection, work: Work) -> None:
    """The life of a worker process: tasks come by the pipe, what they return goes back."""
    os.setpgrp()  # Ctrl-C on the terminal is for the parent, which says when to stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    reported_s = 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal reported_s
        if time.monotonic() - reported_s > PROGRESS_S:
            reported_s = time.monotonic()
            pipe.send(("progress", (done, total)))

    with suppress(EOFError):
        while True:
            task = pipe.recv()
            try:
                answer = ("done", work(task, report))
            except Exception as error:
                print(traceback.format_exc(), file=sys.stderr)
                answer = ("raised", error)
            pipe.send(answer)


def _end_with_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _on_cluster(work: Work, tasks: Sequence[Any], address: str, watch: Watch) -> Generator[tuple[int, Any], None, None]:
    try:
        import distributed  # pyright: ignore[reportMissingImports]  # optional
    except ImportError as error:
        raise HpeError("--cluster needs Dask: pip install distributed") from error
    try:
        client = distributed.Client(address, timeout=ANSWER_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise HpeError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        print(f"hpe: {len(tasks)} tasks on {len(client.scheduler_info()['workers'])} Dask workers", file=sys.stderr)
        futures = client.map(work, tasks, [None] * len(tasks), pure=False)
        index_of = {future: index for index, future in enumerate(futures)}
        while index_of and not watch.stops():
            with suppress(TimeoutError, distributed.TimeoutError):  # two of them in Python 3.10
                distributed.wait(list(index_of), timeout=POLL_S, return_when="FIRST_COMPLETED")
            for future in [future for future in index_of if future.done()]:
                index = index_of.pop(future)
                error: Any = future.exception() if future.status == "error" else None
                if isinstance(error, distributed.KilledWorker):
                    watch.died(index)
                    yield index, _too_deadly()
                elif error is not None:
                    raise error
                elif future.status == "finished":
                    yield index, future.result()
                else:
                    raise HpeError(f"the Dask scheduler at {address} was lost")
        client.cancel(list(index_of))
