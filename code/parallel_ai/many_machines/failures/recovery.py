"""What recovery costs: the same job, undisturbed and with workers killed."""

import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from distributed import Client

from parallel_ai.many_machines.failures.faults import (
    at_full_strength,
    breakable,
    complete,
    log_kept,
)
from parallel_ai.many_machines.failures.job import (
    month_interval,
    year_graph,
    year_serial,
)
from parallel_ai.many_machines.failures.journal import Tally, tally
from parallel_ai.many_machines.failures.saved import resume
from parallel_ai.toolbox import cluster, datasets, machine
from parallel_ai.toolbox.stopwatch import Timing, measure


@dataclass(frozen=True)
class Run:
    """One run of a job, and all that happened in it.

    Attributes
    ----------
    result : list of array
        In the order of the tasks.
    seconds : float
        From sending the graph to having the results.
    tally : Tally
        What the workers began and ended.
    spans : list of Span
        What the scheduler was told about; a task that was cut short is
        not among them.
    deaths, births : list of float
        When the scheduler lost a worker, and got one; seconds from the
        beginning, on the same clock as the spans.
    log : list of str
        What Dask had to say about it.
    """

    result: list[np.ndarray]
    seconds: float
    tally: Tally
    spans: list[cluster.Span]
    deaths: list[float]
    births: list[float]
    log: list[str]


def run_year(
    client: Client,
    months: list[str],
    kill_after: Collection[int] = (),
    batches: int = 4,
    draws: int = 100,
    way: Callable[..., list[np.ndarray]] = complete,
) -> Run:
    """Do the year's job, kill workers in the middle, and write all down.

    Parameters
    ----------
    kill_after : collection of int
        Finished months after which the richest worker is killed.
    way : callable
        `complete` or `complete_fetching`.
    """
    with tempfile.TemporaryDirectory() as folder, log_kept() as log:
        journal = Path(folder, "journal")
        tasks = year_graph(months, journal, batches, draws)
        begun = time.time()
        with cluster.watched(client) as spans:
            start = time.perf_counter()
            result = way(client, tasks, kill_after)
            seconds = time.perf_counter() - start
        events = client.get_events("all")
        deaths, births = (
            [
                when - begun
                for when, event in events
                if when >= begun and event["action"] == action
            ]
            for action in ("remove-worker", "add-worker")
        )
        return Run(result, seconds, tally(journal), spans, deaths, births, log)


def worker_seconds(run: Run, workers: int) -> dict[str, float]:
    """Say where the time of all workers of a run went, in seconds."""
    first, again = 0.0, 0.0
    seen = set()
    for span in run.spans:
        if span.action == "compute":
            first += (span.stop - span.start) * (span.key not in seen)
            again += (span.stop - span.start) * (span.key in seen)
            seen.add(span.key)
    births = run.births + [run.seconds] * len(run.deaths)
    absent = sum(
        min(birth, run.seconds) - death
        for death, birth in zip(run.deaths, births, strict=False)
    )
    return {
        "done once": first,
        "done again": again,
        "worker absent": absent,
        "rest": max(0.0, workers * run.seconds - first - again - absent),
    }


def recovery(
    batches: int = 4,
    draws: int = 100,
    workers: int | None = None,
    repeats: int = 3,
) -> dict[str, Timing | float]:
    """Time the job without faults, with faults, and as a second start.

    Between the runs, and outside of the clock, the cluster gets back to
    its full strength.

    Returns
    -------
    dict
        The fault-free run first; last the limit that CPUs set.
    """
    months = [str(path) for path in datasets.paths("flights").values()]
    workers = workers or max(2, machine.cpus())
    plans: dict[str, tuple[int, ...]] = {
        "no worker killed": (),
        "one worker killed": (4,),
        "two workers killed": (4, 8),
    }
    seconds: dict[str, list[float]] = {plan: [] for plan in plans}
    second = "second start, half of it saved"
    seconds[second] = []
    with breakable(workers) as client:
        run_year(client, months, (), 1, 1)  # imports, in each worker
        for _ in range(repeats):
            for plan, kill_after in plans.items():
                at_full_strength(client, workers)
                run = run_year(client, months, kill_after, batches, draws)
                seconds[plan].append(run.seconds)
            at_full_strength(client, workers)
            seconds[second].append(
                _second_start(client, months, run.result, batches, draws)
            )
    serial = measure(
        year_serial, months, batches, draws, repeats=repeats, warmup=0
    )
    cpus = min(workers, machine.cpus())
    return {
        **{plan: Timing(tuple(taken)) for plan, taken in seconds.items()},
        f"limit: serial / {cpus} CPUs": serial.median / cpus,
    }


def _second_start(
    client: Client,
    months: list[str],
    result: list[np.ndarray],
    batches: int,
    draws: int,
) -> float:
    """Seconds that the job takes if every other month lies in a folder."""
    items = {f"{n:02}": (n, path) for n, path in enumerate(months, 1)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, saved in list(zip(items, result, strict=True))[::2]:
            np.save(folder / f"{key}.npy", saved)
        function = partial(month_interval, batches=batches, draws=draws)
        start = time.perf_counter()
        resume(client, function, items, folder)
        return time.perf_counter() - start


COMPARISONS = {
    "fault recovery against the fault-free run": partial(recovery, draws=150)
}
