"""Three dials, turned one at a time, to see which drives which model."""

import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from parallel_ai.one_machine.models.families import has_jobs, with_jobs

DIALS = ("n_jobs", "OpenMP", "BLAS")


@contextmanager
def dials(openmp: int, blas: int) -> Iterator[None]:
    """Let OpenMP and BLAS use so many threads in a block of code."""
    with threadpool_limits({"openmp": openmp, "blas": blas}):
        yield


class Usage(NamedTuple):
    """What one call cost."""

    seconds: float
    busy: float  # CPUs that it kept busy: CPU time / wall time


def usage(job: Callable[[], Any]) -> Usage:
    """Call a function once; count the CPU time of child processes too.

    Notes
    -----
    The time of children comes in steps of about 10 ms, and a child that
    ends during the call is not counted: keep the workers alive.
    """
    cpu, wall = _cpu_time(), time.perf_counter()
    job()
    wall = time.perf_counter() - wall
    return Usage(wall, (_cpu_time() - cpu) / wall)


def _cpu_time() -> float:
    """CPU seconds of this process and of all its living descendants."""
    total = time.process_time()
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:  # ended meanwhile
            continue
        total += times.user + times.system
    return total


def settings(threads: int) -> dict[str, tuple[int, int, int]]:
    """List (n_jobs, OpenMP, BLAS): all at 1, each alone turned up, all."""
    turned = {
        dial: (
            threads if dial == "n_jobs" else 1,
            threads if dial == "OpenMP" else 1,
            threads if dial == "BLAS" else 1,
        )
        for dial in DIALS
    }
    return {"one": (1, 1, 1), **turned, "all": (threads, threads, threads)}


def fit(
    model: Any, X: np.ndarray, y: np.ndarray, setting: tuple[int, int, int]
) -> Any:
    """Fit a copy of a model with (n_jobs, OpenMP, BLAS) set so."""
    jobs, openmp, blas = setting
    with dials(openmp, blas), warnings.catch_warnings():
        # LogisticRegression says that its n_jobs has no effect. We know.
        warnings.filterwarnings("ignore", "'n_jobs' has no effect")
        copy = with_jobs(model, jobs)
        return copy.fit(X, y) if hasattr(copy, "predict") else copy.fit(X)


def turn(
    models: Mapping[str, Any],
    X: np.ndarray,
    y: np.ndarray,
    threads: int,
    repeats: int = 3,
) -> dict[str, dict[str, Usage]]:
    """Fit each model at each setting and measure time and busy CPUs.

    The settings of one model are interleaved, as in `stopwatch.compare`.

    Returns
    -------
    dict of dict of Usage
        By model and setting (see `settings`), medians. Where a model has no
        `n_jobs`, that setting is left out.
    """
    return {
        name: _turn_one(
            {
                dial: partial(fit, model, X, y, setting)
                for dial, setting in settings(threads).items()
                if dial != "n_jobs" or has_jobs(model)
            },
            repeats,
        )
        for name, model in models.items()
    }


def _turn_one(
    jobs: Mapping[str, Callable[[], Any]], repeats: int
) -> dict[str, Usage]:
    found: dict[str, list[Usage]] = {dial: [] for dial in jobs}
    list(jobs.values())[-1]()  # starts the threads or processes it needs
    for _ in range(repeats):
        for dial, job in jobs.items():
            found[dial].append(usage(job))
    return {
        dial: Usage(
            statistics.median(one.seconds for one in seen),
            statistics.median(one.busy for one in seen),
        )
        for dial, seen in found.items()
    }
