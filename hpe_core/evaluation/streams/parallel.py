"""Many bags at once: in this process, in several, or on a Dask cluster (optional). Same results, same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hpe_core.errors import HpeError
from hpe_core.evaluation.streams.bag_evaluation import BagResult, Job, evaluate_bag
from hpe_core.evaluation.streams.run_model import Progress
from hpe_core.spread import spread

Task = tuple[str, Path, Job]  # name and path of a bag, and what to evaluate in it


def evaluate_bags(
    paths_by_name: Mapping[str, Path],
    job: Job,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> tuple[list[BagResult], dict[str, str]]:
    """List of BagResult, and dict name -> reason of the bags that could not be evaluated, in the given order.

    paths_by_name: dict; jobs: number of processes; cluster: address of a Dask scheduler, which needs the same paths
    and hpe installed; progress: called with images done and in all, or with tasks done and in all where
    there are several processes.
    """
    tasks = [(name, path, part) for name, path in paths_by_name.items() for part in _parts(job, jobs, cluster)]
    outcomes: list[BagResult | HpeError]
    if cluster or (jobs > 1 and len(tasks) > 1):
        found: dict[int, BagResult | HpeError] = {}
        for index, outcome in spread(_attempt, tasks, jobs, cluster):
            found[index] = outcome
            if progress:
                progress(len(found), len(tasks))
        outcomes = [found[index] for index in range(len(tasks))]
    else:
        outcomes = [_attempt(task, progress) for task in tasks]
    results: dict[str, list[BagResult]] = {}
    failed: dict[str, str] = {}
    for (name, path, _), outcome in zip(tasks, outcomes, strict=True):
        if isinstance(outcome, HpeError):
            failed.setdefault(name, str(outcome).replace(str(path), name))
        else:
            results.setdefault(name, []).append(outcome)
    return [_merged(parts) for name, parts in results.items() if name not in failed], failed


def _parts(job: Job, jobs: int, cluster: str | None) -> list[Job]:
    """The job in pieces: one per estimate where several may run side by side."""
    if jobs > 1 or cluster:
        return [replace(job, estimates=(text,)) for text in job.estimates]
    return [job]


def _attempt(task: Task, progress: Progress | None = None) -> BagResult | HpeError:
    """BagResult, or the HpeError that says why there is none."""
    name, path, job = task
    try:
        return replace(evaluate_bag(path, job, progress), name=name)
    except HpeError as error:
        return error


def _merged(parts: Sequence[BagResult]) -> BagResult:
    first = parts[0]
    evaluated = {label: one for part in parts for label, one in part.evaluated.items()}
    estimates = {label: series for part in parts for label, series in part.estimates.items()}
    summaries = {label: one.summary for label, one in evaluated.items()}
    bag = first.summary["bag"] | {"name": first.name}
    summary = first.summary | {"bag": bag, "estimates": summaries}
    return replace(first, summary=summary, evaluated=evaluated, estimates=estimates)
