"""Faults on purpose: kill a worker in the middle, and see what comes of it."""

import contextlib
import logging
import os
import re
import signal
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import dask
import psutil
from dask.delayed import Delayed
from distributed import Client, WorkerPlugin, as_completed

from parallel_ai.toolbox import cluster
from parallel_ai.toolbox.cluster import wait_until

SECONDS = 120  # for whatever is waited for, on a machine that is busy
ADDRESS = re.compile(r"tcp://[\d.]+:\d+")


def wait_for_file(path: str | Path) -> None:
    """Wait until a file is there: a task that ends when we want it to."""
    wait_until(Path(path).exists, f"there is a file {Path(path).name}")


class Quiet(WorkerPlugin):
    """Let a worker log nothing but what ends it."""

    name = "quiet"

    def setup(self, worker: object) -> None:
        """Set it when the worker starts, also after a death."""
        logging.getLogger("distributed").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def breakable(workers: int) -> Iterator[Client]:
    """Start a local cluster whose workers are to be killed.

    Each worker has a *nanny*, which starts a new one when it dies. On a
    busy machine that may take longer than Dask's cluster object waits
    before it gives a worker up for good. Workers do not log the deaths of
    others.
    """
    patience = {"distributed.deploy.lost-worker-timeout": "10 minutes"}
    with dask.config.set(patience), cluster.local(workers) as client:
        client.register_plugin(Quiet())
        yield client


def at_full_strength(client: Client, workers: int) -> None:
    """Wait until so many workers are there (again)."""
    wait_until(
        lambda: len(client.nthreads()) == workers, f"{workers} workers are up"
    )


def process_of(client: Client, worker: str) -> psutil.Process:
    """Process of a worker on this machine, by the worker's address."""
    return psutil.Process(client.run(os.getpid, workers=[worker])[worker])


def kill(client: Client, worker: str) -> None:
    """Kill a worker by ``kill -9``, and wait until the scheduler knows.

    The process gets no chance to finish, to save or to say good-bye; so it
    is when the system ends it for want of memory, or the power fails.
    """
    process_of(client, worker).kill()
    wait_until(
        lambda: worker not in client.nthreads(),
        f"the scheduler misses {worker}",
    )


def richest(client: Client) -> str:
    """Worker that holds the most results: the one that hurts most."""
    held = client.has_what()
    return max(held, key=lambda worker: len(held[worker]))


def complete(
    client: Client, tasks: list[Delayed], kill_after: Collection[int] = ()
) -> list[Any]:
    """Compute tasks, and kill the richest worker after so many results.

    Parameters
    ----------
    kill_after : collection of int
        Numbers of finished results; at each of them one worker is killed.

    Returns
    -------
    list
        Results in the order of the tasks, all of them.
    """
    futures = client.compute(tasks)
    for number, _ in enumerate(as_completed(futures), 1):
        if number in kill_after:
            kill(client, richest(client))
    return client.gather(futures)


def complete_fetching(
    client: Client, tasks: list[Delayed], kill_after: Collection[int] = ()
) -> list[Any]:
    """Do the same, but fetch each result at once, and let go of it."""
    futures = client.compute(tasks)
    found = {}
    finished = as_completed(futures, with_results=True)
    for number, (future, result) in enumerate(finished, 1):
        found[future.key] = result
        future.release()
        if number in kill_after:
            kill(client, richest(client))
    return [found[future.key] for future in futures]


@contextlib.contextmanager
def log_kept() -> Iterator[list[str]]:
    """Keep what Dask logs in this process as a list, instead of showing it.

    Ports differ in every run and are left out.
    """
    messages: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(ADDRESS.sub("a worker", record.getMessage()))

    names = ("distributed", "distributed.client")
    loggers = [logging.getLogger(name) for name in names]
    before = [(log, log.handlers, log.propagate) for log in loggers]
    for log in loggers:
        log.handlers, log.propagate = [Keeper(logging.WARNING)], False
    try:
        yield messages
    finally:
        for log, handlers, propagate in before:
            log.handlers, log.propagate = handlers, propagate


@contextlib.contextmanager
def stopped(client: Client, worker: str) -> Iterator[None]:
    """Stop a worker for the time of a block: it does not die, it hangs.

    As a machine does that swaps, a network that is cut, a virtual machine
    that is moved elsewhere. Afterwards it goes on as if nothing had been.
    """
    process = process_of(client, worker)
    process.send_signal(signal.SIGSTOP)
    try:
        wait_until(
            lambda: process.status() == psutil.STATUS_STOPPED, "it has stopped"
        )
        yield
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
