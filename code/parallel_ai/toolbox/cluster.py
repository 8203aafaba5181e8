"""A Dask cluster on this machine, as the chapters on many machines use it.

A real one: a scheduler and worker *processes* that talk through sockets, so
that what runs here runs on a cluster of machines too. Nothing listens beyond
this machine, every port is chosen free, files go to a temporary folder, and
all processes are gone when the ``with`` block ends, also by an error.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TypeVar

import dask
from distributed import Client, LocalCluster, WorkerPlugin, get_task_stream
from threadpoolctl import threadpool_limits

from parallel_ai.toolbox import machine

Found = TypeVar("Found")
LOOPBACK = "127.0.0.1"
SECONDS = 60  # for a worker to start, on a machine that is busy
POLL = 0.02  # seconds between two looks
# Of the memory that this process may take, what all workers get together:
# the rest is for the client, which gathers results, and the system.
WORKERS_SHARE = 0.6
LEAST = 800_000_000  # bytes: with what it imports, a worker takes half of that
SETTINGS = {
    "distributed.comm.timeouts.connect": SECONDS,
    # A worker that is forked from a server which has imported Dask is there
    # at once; Dask's default, spawn, imports it anew: more than a second.
    "distributed.worker.multiprocessing-method": (
        "forkserver" if sys.platform == "linux" else "spawn"
    ),
    # The warning that asks for a smaller graph is shown where it teaches.
    "distributed.admin.large-graph-warning-threshold": "10MB",
    # Tasks that `watched` can see; the scheduler forgets older ones.
    "distributed.scheduler.dashboard.status.task-stream-length": 100_000,
}


@dataclass(frozen=True)
class Span:
    """One thing that one thread of a worker did for one task.

    Attributes
    ----------
    worker : str
        Address of the worker.
    thread : int
        Thread of the worker.
    key : str
        Key of the task.
    name : str
        Its function, without what makes the key unique.
    action : str
        "compute", "transfer" (fetching an input from another worker),
        "deserialize", "disk-read" or "disk-write".
    start, stop : float
        Seconds since the watching began.
    failed : bool
        Whether the task raised an error.
    """

    worker: str
    thread: int
    key: str
    name: str
    action: str
    start: float
    stop: float
    failed: bool = False


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Undo what Dask sets in *this* process for the workers it starts.

    Among it is OMP_NUM_THREADS=1: right for a worker, and a surprise for
    whatever else this process starts later.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


class OneThread(WorkerPlugin):
    """Give a task one thread of BLAS and OpenMP, as Dask means it.

    Dask tells its workers so by environment variables, too late for what
    the server they are forked from has imported before.
    """

    name = "one-thread"

    def setup(self, worker: object) -> None:
        """Limit this worker, when it starts."""
        threadpool_limits(1)


@contextmanager
def local(
    workers: int | None = None,
    threads: int = 1,
    memory: int | str | None = None,
    dashboard: bool = False,
) -> Iterator[Client]:
    """Start a cluster on this machine, yield its client, end everything.

    Parameters
    ----------
    workers
        Worker processes; as many as this process may use CPUs, if None.
    threads
        Threads a worker, each of which runs one task at a time.
    memory
        Limit of each worker, in bytes or as text ("512MB"). If None, the
        workers share `WORKERS_SHARE` of the memory that is free now, but
        each may take `LEAST`.
    dashboard
        Serve Dask's dashboard on a free port of this machine; its address is
        ``client.dashboard_link``.

    Yields
    ------
    distributed.Client
        Connected; ``client.cluster`` is the cluster.

    Raises
    ------
    ValueError
        If there is to be no worker or no thread.
    TimeoutError
        If not all workers have started within `SECONDS`.
    """
    workers = machine.cpus() if workers is None else workers
    if workers < 1 or threads < 1:
        raise ValueError("a cluster needs at least one worker and one thread")
    if memory is None:
        share = int(machine.memory() * WORKERS_SHARE / workers)
        memory = max(share, LEAST)
    with (
        _environment_kept(),
        dask.config.set(SETTINGS),
        TemporaryDirectory(prefix="dask-") as folder,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            memory_limit=memory,
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
            scheduler_kwargs={"dashboard": dashboard},
            local_directory=folder,
        ) as cluster,
        Client(cluster, timeout=SECONDS) as client,
    ):
        client.wait_for_workers(workers, timeout=SECONDS)
        client.register_plugin(OneThread())
        yield client


@contextmanager
def watched(client: Client) -> Iterator[list[Span]]:
    """Record what the workers do while a block runs: the *task stream*.

    The same data that the dashboard's task stream draws. Wait for results
    inside the block: what is not finished at its end is not in the list.

    Parameters
    ----------
    client : distributed.Client
        Of any cluster. One that `local` did not start may keep only its
        last thousand tasks.

    Yields
    ------
    list of Span
        Empty until the block ends without an error; then in order of start.
    """
    spans: list[Span] = []
    begun = time.time()
    with get_task_stream(client=client) as stream:
        yield spans
    for task in stream.data:
        key = str(task["key"])
        for part in task["startstops"]:
            spans.append(
                Span(
                    worker=task["worker"],
                    thread=task["thread"],
                    key=key,
                    name=dask.utils.key_split(task["key"]),
                    action=part["action"],
                    start=part["start"] - begun,
                    stop=part["stop"] - begun,
                    failed=task["status"] == "error",
                )
            )
    spans.sort(key=lambda span: span.start)


def wait_until(
    look: Callable[[], Found | None],
    what: str = "a condition",
    seconds: float = 2 * SECONDS,
) -> Found:
    """Look again and again until there is something; return it.

    A cluster does much in its own time, such as letting a result go.

    Parameters
    ----------
    look : callable
        Returns what is waited for, or something false as long as there is
        nothing.
    what : str
        For the message.
    seconds : float
        How long to wait at most.

    Raises
    ------
    TimeoutError
        There was nothing for so long.
    """
    until = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > until:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(POLL)
    return found
