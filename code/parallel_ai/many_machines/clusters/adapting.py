"""A cluster's manager, and one that grows and shrinks with the work.

`SSHCluster`, `SLURMCluster`, `KubeCluster` are all the same `SpecCluster`,
told in different ways how to start and how to end one worker. Here is the
shortest such way: a process of this machine.
"""

import asyncio
import logging
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from distributed import Client, Scheduler, SpecCluster, get_worker
from distributed.deploy.spec import ProcessInterface
from distributed.diagnostics.plugin import SchedulerPlugin

from parallel_ai.many_machines.clusters.by_hand import (
    GRACE,
    worker_command,
)
from parallel_ai.toolbox.cluster import (
    LOOPBACK,
    POLL,
    SECONDS,
    wait_until,
)

PATIENCE = 2  # seconds for a retired worker to end by itself
# By default Dask looks every second, and lets go after three idle looks.
QUICK = {"interval": "100ms", "wait_count": 10}


class WorkerProcess(ProcessInterface):
    """One worker, as a manager sees it: something to start and to end.

    In a cloud, `start` would ask for a machine, and `close` give it back.
    """

    def __init__(
        self, scheduler: str, name: object = None, folder: str = ""
    ) -> None:
        super().__init__(scheduler=scheduler, name=name)
        self.command = worker_command(
            None, scheduler, Path(folder), LOOPBACK,
            "--name", str(name),
        )  # fmt: skip

    async def start(self) -> None:
        """Ask for it; it need not be there yet when this returns."""
        self.process = subprocess.Popen(  # noqa: ASYNC220, S603
            self.command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        await super().start()

    async def close(self) -> None:
        """End it: it has handed over its results, so do not wait long."""
        self.process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self.process.poll() is None:
                    await asyncio.sleep(POLL)
        self.process.kill()  # nothing, if it has ended
        self.process.wait(GRACE)
        await super().close()


@contextmanager
def managed_cluster(workers: int) -> Iterator[Client]:
    """Start a scheduler here, and workers as separate processes."""
    nowhere_else = {
        "host": LOOPBACK,
        "port": 0,
        "dashboard": False,
        "dashboard_address": f"{LOOPBACK}:0",
    }
    with (
        TemporaryDirectory(prefix="dask-") as folder,
        SpecCluster(
            scheduler={"cls": Scheduler, "options": nowhere_else},
            worker={"cls": WorkerProcess, "options": {"folder": folder}},
            silence_logs=logging.ERROR,  # who comes late is no news
        ) as cluster,
        Client(cluster, timeout=SECONDS) as client,
    ):
        cluster.scale(workers)
        client.wait_for_workers(workers, timeout=SECONDS)
        yield client


def pause(number: int, seconds: float) -> str:
    """Stand in for work, and return the name of the worker that did it."""
    time.sleep(seconds)
    return str(get_worker().name)


class Roster(SchedulerPlugin):
    """Notes in the scheduler when a worker comes or goes.

    Attributes
    ----------
    changes : list of (float, int)
        Time, and how many workers there are from then on.
    """

    name = "roster"

    def __init__(self) -> None:
        self.changes: list[tuple[float, int]] = []

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Note that one came."""
        self.note(scheduler)

    def remove_worker(
        self, scheduler: Scheduler, worker: str, **details: object
    ) -> None:
        """Note that one went."""
        self.note(scheduler)

    def note(self, scheduler: Scheduler) -> None:
        """Note how many there are now."""
        self.changes.append((time.perf_counter(), len(scheduler.workers)))


@dataclass(frozen=True)
class Episode:
    """What an adaptive cluster made of some work.

    Attributes
    ----------
    changes : list of (float, int)
        Seconds since the work came, and workers from then on.
    done : float
        Seconds until the last result was there.
    asked : int
        Workers that the cluster asked for, at most.
    by_worker : dict of str to int
        Tasks that each worker did.
    """

    changes: list[tuple[float, int]]
    done: float
    asked: int
    by_worker: dict[str, int] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """Workers there were at a time."""
        return max(count for _, count in self.changes)

    @property
    def in_time(self) -> int:
        """How many workers did any task at all."""
        return len(self.by_worker)


def adapt_to(
    client: Client, tasks: int, seconds: float, maximum: int, target: str
) -> Episode:
    """Give work to a cluster that may grow, and wait until it has shrunk.

    Parameters
    ----------
    client
        Of `managed_cluster`, with one worker.
    tasks, seconds
        How many tasks, and how long each takes.
    maximum
        Workers, at most.
    target : str
        In what time the scheduler wants the backlog done, such as "5s":
        it asks for backlog / target workers.
    """
    cluster = client.cluster
    roster = Roster()
    cluster.scheduler.add_plugin(roster)
    roster.note(cluster.scheduler)
    begun = time.perf_counter()
    adaptive = cluster.adapt(
        minimum=1, maximum=maximum, target_duration=target, **QUICK
    )
    try:
        results = client.map(pause, range(tasks), seconds=seconds, pure=False)
        names = client.gather(results)
        done = time.perf_counter() - begun
        wait_until(
            lambda: (
                len(cluster.plan)
                == len(cluster.workers)
                == len(cluster.scheduler.workers)
                == 1
            ),
            "one worker to be left",
            SECONDS,
        )
    finally:
        adaptive.stop()
        cluster.scheduler.remove_plugin(roster.name)
    return Episode(
        [(moment - begun, count) for moment, count in roster.changes],
        done,
        max((what["n"] for _, what in adaptive.log if "n" in what), default=1),
        {name: names.count(name) for name in sorted(set(names))},
    )
