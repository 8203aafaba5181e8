"""Faults of those who work: workers and ranks killed, ports taken."""

import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from parallel_ai.toolbox import builds, ranks
from parallel_ai.toolbox.faults import (
    Inject,
    Outcome,
    UnavailableError,
    asked,
    outcome,
)

if TYPE_CHECKING:
    from distributed import Client

SECONDS = 120
TASKS = 24
NOBODY = -1


def square(number: int, victim: int = NOBODY) -> int:
    """Work a little; kill the worker if the task is the victim."""
    if number == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    return sum(range(100_000)) * 0 + number * number


def worker(times: int, seed: int) -> Iterator[Outcome]:
    """Kill a Dask worker in the middle: all results come, and are right."""
    import dask

    from parallel_ai.toolbox import cluster

    chance = random.Random(seed)  # noqa: S311
    expected = [square(number) for number in range(TASKS)]
    # On a busy machine the next worker may take longer than Dask waits.
    patience = {"distributed.deploy.lost-worker-timeout": "10 minutes"}
    for _ in range(times):
        after = chance.randrange(TASKS)
        with (
            _heard() as ear,
            dask.config.set(patience),
            cluster.local(2) as client,
        ):
            found, pid = _with_a_death(client, after, chance)
            ear.death.wait(SECONDS)
        told = any(f"{pid} was killed by signal 9" in s for s in ear.lines)
        problems = [] if found == expected else ["other results"]
        what = f"worker killed after {after} results"
        yield outcome(what, told, not problems, problems)


def _with_a_death(
    client: "Client", after: int, chance: random.Random
) -> tuple[list[int], int]:
    """Compute the squares, and kill a worker after so many of them."""
    from distributed import as_completed

    pids = client.run(os.getpid)
    pid = pids[chance.choice(sorted(pids))]
    futures = client.map(square, range(TASKS), pure=False)
    for number, _ in enumerate(as_completed(futures)):
        if number == after:
            os.kill(pid, signal.SIGKILL)
    return client.gather(futures), pid


class Ear(logging.Handler):
    """Keeps what is logged, and tells of a worker's death."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.death = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())
        if "killed by signal" in self.lines[-1]:
            self.death.set()


@contextmanager
def _heard() -> Iterator[Ear]:
    """Keep what Dask says of this cluster, instead of showing it."""
    names = ("distributed", "distributed.nanny")  # which tells of deaths
    loggers = [logging.getLogger(name) for name in names]
    before = [(log, log.handlers, log.propagate, log.level) for log in loggers]
    ear = Ear()
    for log in loggers:
        log.handlers, log.propagate = [ear], False
    loggers[1].setLevel(logging.INFO)
    try:
        yield ear
    finally:
        for log, handlers, propagate, level in before:
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(level)


def pool(times: int, seed: int) -> Iterator[Outcome]:
    """Kill a worker of a pool: it says so, and a new pool has all results."""
    chance = random.Random(seed)  # noqa: S311
    expected = [square(number) for number in range(TASKS)]
    for _ in range(times):
        victim = chance.randrange(TASKS)
        first = asked(
            f"worker killed by task {victim}",
            partial(_in_a_pool, victim),
            lambda found: found == expected,
            BrokenProcessPool,
            "process",
        )
        again = _in_a_pool(NOBODY) == expected
        problems = [first.lost, "" if again else "other results"]
        yield outcome("process pool", first.noticed, again, problems)


def _in_a_pool(victim: int) -> list[int]:
    with ProcessPoolExecutor(2, get_context(ranks.SAFE)) as team:
        return list(team.map(square, range(TASKS), [victim] * TASKS))


def added_up(steps: int, victim: int, at: int) -> float:
    """Add up numbers of all ranks, step by step; one rank may die."""
    import torch
    import torch.distributed as dist

    total = torch.zeros(1)
    for step in range(steps):
        if dist.get_rank() == victim and step == at:
            os.kill(os.getpid(), signal.SIGKILL)
        one = torch.tensor([float(step + dist.get_rank())])
        dist.all_reduce(one)
        total += one
    return total.item()


def rank(times: int, seed: int, size: int = 2) -> Iterator[Outcome]:
    """Kill a rank at some step: it is named, and the same job then ends well."""
    chance = random.Random(seed)  # noqa: S311
    steps = 20
    expected = [
        float(sum(size * s + sum(range(size)) for s in range(steps)))
    ] * size
    for _ in range(times):
        victim, at = chance.randrange(size), chance.randrange(steps)
        first = asked(
            f"rank {victim} killed in step {at}",
            partial(ranks.run, added_up, size, steps, victim, at),
            lambda found: found == expected,
            ranks.RankError,
            f"ank {victim} was ended by SIGKILL",
        )
        again = ranks.run(added_up, size, steps, NOBODY, 0) == expected
        problems = [first.lost, "" if again else "other results"]
        yield outcome("ranks", first.noticed, again, problems)


# Where Dask, its dashboard and PyTorch's store listen unless told otherwise.
USUAL = (8786, 8787, 29500)


def ports(times: int, seed: int) -> Iterator[Outcome]:
    """Take the usual ports, then start what listens."""
    ways = {"cluster": _cluster, "store": _store, "make serve": _serve}
    with ExitStack() as stack:
        for port in USUAL:
            _taken(stack, port)
        for number in range(times):
            name = list(ways)[number % len(ways)]
            yield ways[name](stack)


def _taken(stack: ExitStack, port: int = 0) -> int:
    """Listen on a port of this machine, if nobody does already."""
    holder = stack.enter_context(socket.socket())
    try:
        holder.bind(("127.0.0.1", port))
        holder.listen()
    except OSError:
        return port
    return holder.getsockname()[1]


def _cluster(stack: ExitStack) -> Outcome:
    from parallel_ai.toolbox import cluster

    def compute() -> int:
        with cluster.local(1, dashboard=True) as client:
            return client.submit(square, 7).result(SECONDS)

    return asked("usual ports", compute, lambda found: found == 49, OSError)


def _store(stack: ExitStack) -> Outcome:
    def meet() -> bytes:
        store = ranks.listening_store(1)
        store.set("who", "rank 0")
        return store.get("who")

    return asked("usual ports", meet, lambda got: got == b"rank 0", OSError)


def _serve(stack: ExitStack) -> Outcome:
    """`make serve` on a taken port, of pages that are built already."""
    if shutil.which("make") is None or not (builds.ROOT / "Makefile").exists():
        raise UnavailableError("there is no make, or no checkout")
    port = _taken(stack)
    command = ["make", "-o", "book", "serve", f"PORT={port}"]
    done = subprocess.run(  # noqa: S603
        [*command, f"BIN={Path(sys.executable).parent}"],
        cwd=builds.ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    told = done.returncode != 0 and f"port {port}" in done.stderr
    return outcome(
        "make serve", told, False, [] if told else [f"it said: {done.stderr}"]
    )


KINDS: dict[str, tuple[Inject, int]] = {
    "worker killed (Dask)": (worker, 8),
    "worker killed (process pool)": (pool, 8),
    "rank killed (gloo)": (rank, 6),
    "port taken": (ports, 6),
}
