"""Many bags at once: in this process, in several, or on a Dask cluster (optional). Same results, same order."""

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from hpe_core.errors import HpeError
from hpe_core.evaluation.streams.bag_evaluation import BagResult, evaluate_bag

ANSWER_S = 20  # how long a scheduler may take to answer


def evaluate_bags(paths_by_name, job, jobs=1, cluster=None, progress=None):
    """List of BagResult, and dict name -> reason of the bags that could not be evaluated, in the given order.

    paths_by_name: dict; jobs: number of processes; cluster: address of a Dask scheduler, which needs the same paths
    and hpe installed; progress: called with images done and in all, or with tasks done and in all where
    there are several processes.
    """
    tasks = [(name, path, part) for name, path in paths_by_name.items() for part in _parts(job, jobs, cluster)]
    if cluster:
        outcomes = _on_cluster(tasks, cluster)
    elif jobs > 1 and len(tasks) > 1:
        pool = ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=get_context("spawn"))
        outcomes = []
        with pool:
            for outcome in pool.map(_attempt, tasks):
                outcomes.append(outcome)
                if progress:
                    progress(len(outcomes), len(tasks))
    else:
        outcomes = [_attempt(task, progress) for task in tasks]
    results, failed = {}, {}
    for (name, path, _), outcome in zip(tasks, outcomes, strict=True):
        if isinstance(outcome, HpeError):
            failed.setdefault(name, str(outcome).replace(str(path), name))
        else:
            results.setdefault(name, []).append(outcome)
    return [_merged(parts) for name, parts in results.items() if name not in failed], failed


def _parts(job, jobs, cluster):
    """The job in pieces: one per estimate where several may run side by side."""
    if jobs > 1 or cluster:
        return [replace(job, estimates=(text,)) for text in job.estimates]
    return [job]


def _attempt(task, progress=None):
    """BagResult, or the HpeError that says why there is none."""
    name, path, job = task
    try:
        return replace(evaluate_bag(path, job, progress), name=name)
    except HpeError as error:
        return error


def _merged(parts):
    first = parts[0]
    evaluated = {label: one for part in parts for label, one in part.evaluated.items()}
    estimates = {label: series for part in parts for label, series in part.estimates.items()}
    summaries = {label: one.summary for label, one in evaluated.items()}
    bag = first.summary["bag"] | {"name": first.name}
    return BagResult(
        first.name, first.summary | {"bag": bag, "estimates": summaries}, evaluated, estimates, first.truth
    )


def _on_cluster(tasks, address):
    try:
        from distributed import Client
    except ImportError as error:
        raise HpeError("--cluster needs Dask: pip install distributed") from error
    try:
        client = Client(address, timeout=ANSWER_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise HpeError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        print(f"hpe: {len(tasks)} tasks on {len(client.scheduler_info()['workers'])} Dask workers", file=sys.stderr)
        return client.gather(client.map(_attempt, tasks, pure=False))
