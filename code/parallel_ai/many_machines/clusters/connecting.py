"""One way in: the same program on a laptop and on a cluster.

Everything after ``with connect() as client:`` is the same wherever it runs.
What is not the same stands in arguments or, better, in the environment, so
that no line of the program changes::

    python program.py                                        # this machine
    DASK_SCHEDULER_ADDRESS=tls://10.0.0.5:8786 python program.py
"""

import asyncio
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import dask
import numpy as np
from distributed import Client
from distributed.comm import connect as distributed_connect
from distributed.security import Security

from parallel_ai.many_machines.clusters.batch import slurm_cluster
from parallel_ai.many_machines.clusters.logins import ssh_cluster
from parallel_ai.one_machine.loops import delay_interval
from parallel_ai.toolbox import cluster

ADDRESS = "DASK_SCHEDULER_ADDRESS"
HOSTS = "CLUSTER_HOSTS"
SATURN = ("SATURN_BASE_URL", "SATURN_TOKEN")


@dataclass(frozen=True)
class Choice:
    """Which cluster, and why this one.

    Attributes
    ----------
    kind : str
        "address", "saturn", "ssh", "slurm" or "local".
    why : str
    hosts : tuple of str
        For "address" the scheduler's address, for "ssh" the hosts.
    passed : tuple of str
        What was looked for before and not found, or not complete.
    """

    kind: str
    why: str
    hosts: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write it for people."""
        skipped = "".join(f"\n  not {reason}" for reason in self.passed)
        return f"{self.kind}: {self.why}{skipped}"


def choose(
    address: str | None = None,
    hosts: Sequence[str] = (),
    slurm: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Choice:
    """Decide which cluster to use; look, but start nothing.

    Parameters
    ----------
    address : str, optional
        Of a scheduler that runs.
    hosts : sequence of str
        For SSH: the scheduler's host, then one for each worker.
    slurm : mapping, optional
        Options of `dask_jobqueue.SLURMCluster`.
    environment : mapping
        Is looked at where no argument decides.

    Returns
    -------
    Choice
        What was asked for by an argument; else the first of: an address in
        `ADDRESS`, Saturn Cloud, hosts in `HOSTS`, SLURM, this machine.

    Raises
    ------
    ValueError
        Two arguments ask for two different clusters.
    """
    asked = {"address": address, "hosts": hosts, "slurm": slurm}
    given = [name for name, value in asked.items() if value]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)}: which of them?")
    if address:
        return Choice("address", f"given, {address}", (address,))
    if hosts:
        return Choice("ssh", f"{len(hosts)} hosts were given", tuple(hosts))
    if slurm is not None:
        return Choice("slurm", "options for it were given")
    return _choose_from(environment)


def _choose_from(environment: Mapping[str, str]) -> Choice:
    passed = []
    if address := environment.get(ADDRESS):
        return Choice("address", f"${ADDRESS} is {address}", (address,))
    if any(environment.get(name) for name in SATURN):
        lacking = [f"${n}" for n in SATURN if not environment.get(n)]
        if importlib.util.find_spec("dask_saturn") is None:
            lacking.append("the package dask-saturn")
        if not lacking:
            return Choice("saturn", f"${SATURN[1]} is set")
        passed.append(f"saturn: without {' and '.join(lacking)}")
    if hosts := environment.get(HOSTS, "").replace(",", " ").split():
        why = f"${HOSTS} names {len(hosts)} hosts"
        return Choice("ssh", why, tuple(hosts), tuple(passed))
    lacking = [
        f"jobqueue.slurm.{name}"
        for name in ("cores", "memory")
        if dask.config.get(f"jobqueue.slurm.{name}", None) is None
    ]
    if shutil.which("sbatch", path=environment.get("PATH", "")):
        if not lacking:
            why = "sbatch is there, and jobqueue.yaml says what to ask for"
            return Choice("slurm", why, (), tuple(passed))
        passed.append(f"slurm: without {' and '.join(lacking)}")
    return Choice("local", "nothing else was asked for", (), tuple(passed))


def survey(client: Client, months: Sequence[str]) -> list[np.ndarray]:
    """Run the chapter's program: an interval for each month, on any cluster.

    Parameters
    ----------
    months : sequence of str
        Paths that the *workers* can read.
    """
    return list(client.gather(client.map(delay_interval, months)))


@contextmanager
def connect(
    address: str | None = None,
    hosts: Sequence[str] = (),
    slurm: Mapping[str, Any] | None = None,
    *,
    workers: int | None = None,
    security: Security | None = None,
    login: Mapping[str, Any] | None = None,
    interface: str | None = None,
    timeout: float = 30,
    say: Callable[[str], None] = print,
) -> Iterator[Client]:
    """Connect to a cluster, the one that `choose` names; start it if needed.

    Parameters
    ----------
    address, hosts, slurm
        As for `choose`.
    workers
        How many to start, or how many to wait for at an address.
    security
        Certificates; those of Dask's configuration if None.
    login
        For SSH: options of `asyncssh.connect`, such as ``username``.
    interface
        For SSH: the network, such as "eth0", on which to listen.
    timeout
        Seconds for an address to answer.
    say
        Gets the choice and its reason.

    Yields
    ------
    distributed.Client
        When the block ends, what was started here ends too; a scheduler
        that ran before goes on.

    Raises
    ------
    ValueError
        A ``tls://`` address without a certificate.
    ConnectionError
        Nobody lets us in at the address.
    TimeoutError
        Too few workers came.
    """
    choice = choose(address, hosts, slurm)
    say(str(choice))
    openers: dict[str, Callable[[], AbstractContextManager[Client]]] = {
        "address": lambda: open_address(choice.hosts[0], security, timeout),
        "saturn": lambda: open_saturn(workers),
        "ssh": lambda: _client_of(
            ssh_cluster(choice.hosts, login or {}, security, interface)
        ),
        "slurm": lambda: _client_of(
            slurm_cluster(slurm or {}, workers or 1, security)
        ),
        "local": lambda: cluster.local(workers),
    }
    with openers[choice.kind]() as client:
        if workers:
            client.wait_for_workers(workers, timeout=cluster.SECONDS)
        yield client


@contextmanager
def open_address(
    address: str, security: Security | None = None, timeout: float = 30
) -> Iterator[Client]:
    """Connect to a scheduler that runs already, with an error that helps.

    Raises
    ------
    ValueError
        A ``tls://`` address without a certificate.
    ConnectionError
        Nobody lets us in.
    """
    security = security or Security()
    if address.startswith("tls://") and not _certificate(security):
        raise ValueError(
            f"{address} asks for a certificate: pass security=, or set"
            " distributed.comm.tls.ca-file and .client.cert and .client.key"
            " in Dask's configuration"
        )
    try:
        # In a thread, because a notebook has a loop of its own. A Client
        # that fails to connect would leave its loop behind.
        with ThreadPoolExecutor(1) as aside:
            aside.submit(
                asyncio.run, _knock(address, security, timeout)
            ).result()
    except (OSError, TimeoutError) as error:
        raise ConnectionError(
            f"no scheduler let us in at {address} within {timeout} s. Does"
            " it run? Does a firewall let this machine through? Does it want"
            " TLS, and a certificate of its own authority?"
        ) from error
    with Client(address, security=security, timeout=timeout) as client:
        yield client


async def _knock(address: str, security: Security, timeout: float) -> None:
    """Connect once as a client would, and go."""
    papers = security.get_connection_args("client")
    line = await distributed_connect(address, timeout=timeout, **papers)
    await line.close()


@contextmanager
def open_saturn(workers: int | None = None) -> Iterator[Client]:
    """Start a cluster in Saturn Cloud, and end it at the end of the block.

    Notes
    -----
    https://pypi.org/project/dask-saturn. Without ``shutdown_on_close`` the
    cluster goes on, and costs, when the program has ended.
    """
    service = import_module("dask_saturn")
    with (
        service.SaturnCluster(
            n_workers=workers, shutdown_on_close=True
        ) as started,
        Client(started) as client,
    ):
        yield client


def _certificate(security: Security) -> str | None:
    return security.get_tls_config_for_role("client")["cert"]


@contextmanager
def _client_of(
    started: AbstractContextManager[Any],
) -> Iterator[Client]:
    with started as running, Client(running, timeout=60) as client:
        yield client
