"""A plug is pulled in the middle of the work, and a cable is slow.

Runs in a network of its own (`inside`): a scheduler on host ``a``, a worker
each on ``b`` and ``c``, the client at the switch, all with TLS. Each task
notes where it ran and when, so that what was done twice can be counted.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from distributed import Client, Scheduler, get_worker, wait

from parallel_ai.many_machines.clusters.by_hand import (
    scheduler_command,
    started,
    wait_for_address,
    worker_command,
)
from parallel_ai.many_machines.clusters.certificates import secure
from parallel_ai.many_machines.clusters.networks import Lan, lan
from parallel_ai.toolbox.cluster import wait_until
from parallel_ai.toolbox.stopwatch import measure

SCHEDULER, WORKERS = "a", ("b", "c")
NUMBERS = 20_000  # of each result
LIMIT = 60  # seconds for anything that is waited for
# How soon a silent worker counts as lost. By default its connection does
# after half a minute, and the worker, if it is only silent, after five; five
# seconds (ten heartbeats) are the least that it obeys.
IMPATIENT = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "1s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "4s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "11s",  # its least
}


def simulate(seed: int, seconds: float, log: str) -> np.ndarray:
    """Draw numbers, after some waiting, and note where and when.

    Returns
    -------
    array of `NUMBERS` floats
        The same for the same seed, wherever it runs.
    """
    begun = time.time()
    time.sleep(seconds)
    host = get_worker().name
    with open(log, "a", encoding="utf8") as file:
        file.write(f"{seed} {host} {begun} {time.time()}\n")
    return np.random.default_rng(seed).normal(size=NUMBERS)


def combine(parts: Sequence[np.ndarray]) -> float:
    """Sum of all numbers, always in the same order."""
    return float(np.sum([part.sum() for part in parts]))


def combine_serial(tasks: int) -> float:
    """Compute the same without a cluster: what must come out."""
    draws = (np.random.default_rng(seed) for seed in range(tasks))
    return combine([rng.normal(size=NUMBERS) for rng in draws])


@contextmanager
def cluster_on(network: Lan) -> Iterator[tuple[Client, Path]]:
    """Start a scheduler and workers on the hosts, each on its own address.

    Yields
    ------
    tuple
        The client, and a folder that all hosts see.
    """
    with ExitStack() as stack:
        room = Path(stack.enter_context(TemporaryDirectory()))
        addresses = network.addresses
        security = secure(room, list(addresses.values()))
        file = room / "scheduler.json"

        def start(host: str, command: list[str]) -> Any:
            words = network.on(host, command)
            return stack.enter_context(
                started(words, room / f"{host}.log", room, IMPATIENT)
            )

        scheduler = start(
            SCHEDULER, scheduler_command(security, file, addresses[SCHEDULER])
        )
        address = wait_for_address(file, scheduler, room / f"{SCHEDULER}.log")
        for host in WORKERS:
            start(
                host,
                worker_command(
                    security, address, room, addresses[host],
                    "--name", host,
                ),
            )  # fmt: skip
        client = stack.enter_context(
            Client(address, security=security, timeout=LIMIT)
        )
        client.wait_for_workers(len(WORKERS), timeout=LIMIT)
        yield client, room


def lose_a_host(client: Client, network: Lan, room: Path, tasks: int) -> dict:
    """Pull the plug of ``c`` when half of the tasks are done.

    Returns
    -------
    dict
        ``result``; ``runs``: seed, host, begin and end of each run of a
        task, in seconds since the first; ``cut``, ``noticed`` and ``done``:
        when the plug was pulled, when the scheduler gave the host up, and
        when the result was there.
    """
    log = room / "runs"
    log.touch()
    seeds = range(tasks)
    parts = client.map(simulate, seeds, seconds=0.1, log=str(log))
    whole = client.submit(combine, parts)
    wait_until(lambda: len(_runs(log)) >= tasks // 2, "half of them", LIMIT)
    network.cut("c")
    cut = time.time()
    wait_until(
        lambda: len(client.run_on_scheduler(known_workers)) == 1,
        "the scheduler to notice",
        LIMIT,
    )
    noticed = time.time()
    result = whole.result(timeout=LIMIT)
    done = time.time()
    runs = _runs(log)
    first = min(begun for _, _, begun, _ in runs)
    return {
        "result": result,
        "runs": [(s, h, b - first, e - first) for s, h, b, e in runs],
        "cut": cut - first,
        "noticed": noticed - first,
        "done": done - first,
    }


def known_workers(dask_scheduler: Scheduler) -> list[str]:
    """Names of the workers that the scheduler counts on."""
    return [str(state.name) for state in dask_scheduler.workers.values()]


def _runs(log: Path) -> list[tuple[int, str, float, float]]:
    rows = (line.split() for line in log.read_text("utf8").splitlines())
    return [(int(s), h, float(b), float(e)) for s, h, b, e in rows]


def fetch_seconds(client: Client, size: int, repeats: int = 3) -> float:
    """Median time of a task on ``c`` that needs so many bytes from ``b``."""

    def fetch(data: Any) -> int:
        task = client.submit(len, data, workers="c", pure=False)
        return int(task.result(timeout=LIMIT))

    seconds = []
    for _ in range(repeats):
        data = client.submit(os.urandom, size, workers="b", pure=False)
        wait(data, timeout=LIMIT)
        seconds.append(measure(fetch, data, repeats=1, warmup=0).median)
        del data
    return float(np.median(seconds))


def listening_on(network: Lan) -> dict[str, list[str]]:
    """Return the addresses on which anything listens, on each host."""
    found = {}
    for host in network.addresses:
        command = network.on(host, ["ss", "-H", "-t", "-l", "-n"])
        lines = subprocess.check_output(command, text=True).splitlines()  # noqa: S603
        ends = {line.split()[3].rpartition(":")[0] for line in lines}
        found[host] = sorted(ends)
    return found


def hosts_experiment(
    tasks: int, sizes: Sequence[int] = (), megabits: float = 100
) -> dict[str, Any]:
    """Make hosts, measure their cables, and pull one plug; for `inside`.

    Parameters
    ----------
    tasks
        How many, each of a tenth of a second.
    sizes
        Bytes to send from ``b`` to ``c``, over the cable as it is and over
        one of so many `megabits` a second.

    Returns
    -------
    dict
        What `lose_a_host` returns; ``fast`` and ``slow``: seconds for each
        size; ``listening``: addresses of each host.
    """
    with (
        lan([SCHEDULER, *WORKERS]) as network,
        cluster_on(network) as (client, room),
    ):
        found: dict[str, Any] = {"listening": listening_on(network)}
        found["fast"] = [fetch_seconds(client, size) for size in sizes]
        network.slow_down("c", megabits)
        found["slow"] = [fetch_seconds(client, size) for size in sizes]
        network.speed_up("c")
        return found | lose_a_host(client, network, room, tasks)
