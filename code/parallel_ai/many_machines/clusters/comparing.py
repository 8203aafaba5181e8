"""What encryption costs, and what it costs to start a cluster at all."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from distributed import Client
from distributed.security import Security

from parallel_ai.many_machines.clusters.by_hand import Running, processes
from parallel_ai.many_machines.clusters.certificates import secure
from parallel_ai.many_machines.clusters.connecting import (
    connect,
    open_address,
)
from parallel_ai.many_machines.clusters.logins import own_sshd, sshd_program
from parallel_ai.toolbox import cluster
from parallel_ai.toolbox.stopwatch import Timing, compare, measure

MEGABYTE = 1_000_000


def send(client: Client, data: bytes) -> int:
    """Send bytes to a worker, and wait until it says how many came."""
    there = client.scatter(data, direct=True, hash=False)
    return int(client.submit(len, there, pure=False).result(timeout=60))


def many_tasks(client: Client, tasks: int) -> int:
    """Run so many tasks that do nothing."""
    return sum(client.gather(client.map(abs, range(tasks), pure=False)))


def plain_and_tls(
    sizes: Sequence[int], tasks: int, repeats: int = 3
) -> dict[str, dict[str, list[Timing]]]:
    """Time the same with and without TLS, on two clusters side by side.

    Parameters
    ----------
    sizes
        Bytes to send to a worker.
    tasks
        How many tasks that do nothing.

    Returns
    -------
    dict
        "sent", a timing for each size, and "tasks", one timing; of each a
        list for "plain" and one for "TLS".
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        clients = {}
        for name, security in (("plain", None), ("TLS", secure(folder))):
            running = stack.enter_context(processes(1, security))
            clients[name] = stack.enter_context(client_of(running))
        rounds = [
            compare(
                {n: partial(send, c, data) for n, c in clients.items()},
                repeats,
            )
            for data in map(os.urandom, sizes)
        ]
        empty = compare(
            {n: partial(many_tasks, c, tasks) for n, c in clients.items()},
            repeats,
        )
    return {
        "sent": {n: [times[n] for times in rounds] for n in clients},
        "tasks": {n: [empty[n]] for n in clients},
    }


def encryption_rate(size: int = 16 * MEGABYTE) -> float:
    """Bytes a second that one CPU encrypts with AES-GCM, as TLS does."""
    cipher, nonce = AESGCM(os.urandom(16)), os.urandom(12)
    data = os.urandom(size)
    return size / measure(cipher.encrypt, nonce, data, None, repeats=3).median


def _against(what: str, sizes: Sequence[int], tasks: int) -> dict[str, Timing]:
    return {n: t[-1] for n, t in plain_and_tls(sizes, tasks)[what].items()}


def client_of(running: Running) -> AbstractContextManager[Client]:
    """Connect to processes that were started by hand, as `connect` does."""
    return open_address(running.address, running.security, cluster.SECONDS)


def start_times(workers: int, repeats: int = 3) -> dict[str, Timing]:
    """Time from nothing to the first result and back to nothing.

    Returns
    -------
    dict
        For a local cluster, for processes with TLS, and for SSH on this
        machine if its server is installed.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        security = secure(folder)
        ways: dict[str, Callable[[], int]] = {
            "local": partial(_used, partial(cluster.local, workers), workers),
            "processes with TLS": partial(_by_hand, workers, security),
        }
        if sshd_program():
            login = stack.enter_context(own_sshd())
            ways["SSH with TLS"] = partial(
                _used,
                partial(
                    connect,
                    hosts=[cluster.LOOPBACK] * (workers + 1),
                    login=login,
                    interface="lo",
                    security=security,
                    say=lambda text: None,
                ),
                workers,
            )
        return compare(ways, repeats, warmup=0)


def _used(
    opened: Callable[[], AbstractContextManager[Client]], workers: int
) -> int:
    with opened() as client:
        client.wait_for_workers(workers, timeout=cluster.SECONDS)
        return many_tasks(client, workers)


def _by_hand(workers: int, security: Security) -> int:
    with processes(workers, security) as running:
        return _used(partial(client_of, running), workers)


COMPARISONS = {
    "plain against TLS: 100 MB to a worker": lambda: _against(
        "sent", [100 * MEGABYTE], 10
    ),
    "plain against TLS: 1000 tasks that do nothing": lambda: _against(
        "tasks", [MEGABYTE], 1000
    ),
    "start of a cluster, used and ended": lambda: start_times(2),
}
