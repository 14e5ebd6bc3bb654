"""One of many sources, from opening it to its whole output folder; runs in a worker, here or on another machine."""

import argparse
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpe_core.cli.many.made_from import made_from
from hpe_core.cli.run_source import Run, cameras_of, depth_of, option_files
from hpe_core.config import PipelineConfig
from hpe_core.errors import HpeError
from hpe_core.geometry.camera import CameraModel
from hpe_core.io.folder_lock import this_process
from hpe_core.io.out_folder import OutFolder
from hpe_core.io.sources import open_source
from hpe_core.output.run_folder import NAMES
from hpe_core.pipeline import Pipeline
from hpe_core.spread import Progress

COMMAND = "run many"  # in manifests
FINISHED, SKIPPED, FAILED, UNFINISHED = "finished", "skipped", "failed", "unfinished"
_loaded = threading.local()  # `pipelines`: the last configuration of a thread and its Pipeline


@dataclass(frozen=True, eq=False)
class Task:
    """A source and its output folder as absolute paths; args: of the command; settings: see made_from.settings_of."""

    name: str
    source: str
    folder: str
    args: argparse.Namespace
    config: PipelineConfig
    camera: CameraModel | None
    settings: dict[str, Any]
    run_id: str


@dataclass(frozen=True)
class Outcome:
    """How a task ended: FINISHED, SKIPPED (finished by an earlier run), FAILED or UNFINISHED; reason: of FAILED;
    worker: host and process."""

    status: str
    reason: str = ""
    seconds: float = 0.0
    worker: str = ""


def do(task: Task, progress: Progress | None) -> Outcome:
    """The Outcome of a Task, whatever happens to it."""
    start, reason = time.perf_counter(), ""
    try:
        status = _done(task, progress or _nothing)
    except HpeError as error:
        status, reason = FAILED, str(error)
    except OSError as error:
        status, reason = FAILED, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    except Exception as error:  # of this project or a library: the others go on, this one is told in full
        traceback.print_exc()
        status, reason = FAILED, f"{type(error).__name__}: {error}"
    me = this_process(COMMAND)
    return Outcome(status, reason, round(time.perf_counter() - start, 3), f"{me['host']}:{me['pid']}")


def _done(task: Task, progress: Progress) -> str:
    args = argparse.Namespace(**vars(task.args) | {"source": task.source, "out": task.folder})
    with open_source(task.source, args.topic) as source:
        key = made_from(task.settings, map(Path, source.files))
        read = [*source.files, *option_files(args)]
        with OutFolder(task.folder, COMMAND, NAMES, args.overwrite, read, key, task.run_id) as out:
            if out.finished:
                out.discard_unfinished()  # of a worker that died just after its results were in place
                return SKIPPED
            cameras, depth = cameras_of(args, task.camera), depth_of(args, source)
            run = Run(args, source, out, cameras, _pipeline(task), depth, follow=progress)
            if run.complete():
                return UNFINISHED
            out.discard_unfinished()
    return FINISHED


def _pipeline(task: Task) -> Pipeline:
    """A Pipeline without faces; its networks are loaded once a worker."""
    config, loaded = getattr(_loaded, "pipeline", (None, None))
    if loaded is None or config != task.config:
        loaded = Pipeline(task.config)
        _loaded.pipeline = (task.config, loaded)
    return loaded.another_stream()


def _nothing(done: int, total: int | None) -> None:
    pass
