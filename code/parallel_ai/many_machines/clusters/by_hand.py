"""The commands below every cluster: one scheduler, some workers.

What a cloud's service, a batch system or an SSH login does at the end is to
run ``dask scheduler`` on one machine and ``dask worker`` on others. Here both
run on this machine, as separate processes, with or without TLS::

    dask scheduler --host tls://127.0.0.1 --port 0 --tls-ca-file ...
    dask worker tls://127.0.0.1:PORT --host tls://127.0.0.1 --tls-ca-file ...
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from distributed.security import Security

from parallel_ai.toolbox.cluster import LOOPBACK, wait_until

GRACE = 10  # seconds in which a process may end by itself


@dataclass(frozen=True)
class Running:
    """Processes of a cluster that was started by hand.

    Attributes
    ----------
    address : str
        The scheduler's: "tls://..." or "tcp://...".
    scheduler : subprocess.Popen
    workers : list of subprocess.Popen
    security : Security or None
        What a client needs to be let in.
    """

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]
    security: Security | None


def security_flags(security: Security | None, role: str) -> list[str]:
    """Return the options with which a ``dask`` command proves who it is."""
    if security is None:
        return []
    files = security.get_tls_config_for_role(role)
    return [
        word
        for name, path in files.items()
        if path and name != "ciphers"
        for word in (f"--tls-{name.replace('_', '-')}", path)
    ]


def scheduler_command(
    security: Security | None,
    file: Path,
    host: str = LOOPBACK,
    *extra: str,
) -> list[str]:
    """Return the command of a scheduler that listens on `host` only.

    Parameters
    ----------
    file : Path
        Into which the scheduler writes its address, once it listens.
    host : str
        Without it, the scheduler would listen on every network that the
        machine has.
    *extra : str
        More options, such as ``"--idle-timeout", "20 minutes"``.
    """
    scheme = "tls" if security else "tcp"
    return [
        *(sys.executable, "-m", "dask", "scheduler"),
        *("--host", f"{scheme}://{host}", "--port", "0"),
        *("--no-dashboard", "--dashboard-address", f"{host}:0"),
        *("--scheduler-file", str(file)),
        *security_flags(security, "scheduler"),
        *extra,
    ]


def worker_command(
    security: Security | None,
    scheduler: str,
    folder: Path,
    host: str = LOOPBACK,
    *extra: str,
) -> list[str]:
    """Return the command of one worker: one process, with one thread.

    Without a *nanny*, the second process by which Dask restarts a worker
    that died or took too much memory: what happens here is easier to follow.

    Parameters
    ----------
    scheduler : str
        Its address.
    folder : Path
        For what the worker spills to disk.
    host : str
        Where the other workers find this one, and its HTTP server listens.
    """
    scheme = "tls" if security else "tcp"
    return [
        *(sys.executable, "-m", "dask", "worker", scheduler),
        *("--host", f"{scheme}://{host}", "--nthreads", "1", "--no-nanny"),
        *("--no-dashboard", "--dashboard-address", f"{host}:0"),
        *("--local-directory", str(folder)),
        *security_flags(security, "worker"),
        *extra,
    ]


@contextmanager
def processes(
    workers: int = 1,
    security: Security | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    scheduler_flags: Sequence[str] = (),
    worker_flags: Sequence[str] = (),
) -> Iterator[Running]:
    """Start ``dask scheduler`` and ``dask worker`` as separate processes.

    Parameters
    ----------
    workers
        How many.
    security
        Certificates, such as `secure` makes; without, anyone who reaches
        the scheduler's port is let in.
    environment
        Variables that the workers get in addition to this process's own.
    folder
        Where the workers start, a temporary one by default.
    scheduler_flags, worker_flags
        More options of the two commands.

    Yields
    ------
    Running
        The scheduler listens; the workers may still be on their way
        (``Client.wait_for_workers``).

    Raises
    ------
    RuntimeError
        The scheduler ended instead; with what it said.
    TimeoutError
        It did not listen within `SECONDS`.
    """
    with ExitStack() as stack:
        room = Path(stack.enter_context(TemporaryDirectory(prefix="dask-")))
        start = folder or room
        file, log = room / "scheduler.json", room / "scheduler.log"
        words = scheduler_command(security, file, LOOPBACK, *scheduler_flags)
        scheduler = stack.enter_context(started(words, log, room, environment))
        address = wait_for_address(file, scheduler, log)
        team = [
            stack.enter_context(
                started(
                    worker_command(
                        security, address, room, LOOPBACK, *worker_flags
                    ),
                    room / f"worker-{number}.log",
                    start,
                    environment,
                )
            )
            for number in range(workers)
        ]
        yield Running(address, scheduler, team, security)


def wait_for_address(
    file: Path, scheduler: subprocess.Popen[bytes], log: Path
) -> str:
    """Wait until a scheduler has written its address, and return it.

    Raises
    ------
    RuntimeError
        The scheduler ended before; with what it said.
    TimeoutError
        Nothing was written within `SECONDS`.
    """

    def written() -> str | None:
        if scheduler.poll() is not None:
            raise RuntimeError(f"the scheduler ended: {log.read_text('utf8')}")
        try:
            return str(json.loads(file.read_text("utf8"))["address"])
        except (OSError, ValueError):  # not there yet, or half of it
            return None

    return wait_until(written, "the scheduler to listen")


@contextmanager
def started(
    command: list[str],
    log: Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, and end it with all that it started."""
    with open(log, "wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdout=file,
            stderr=file,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: first ask, then insist.

    A scheduler or worker that is asked (SIGTERM) says goodbye to the others;
    one that hangs is killed after `GRACE` seconds, its children too.
    """
    children = []
    if psutil.pid_exists(process.pid):
        children = psutil.Process(process.pid).children(recursive=True)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(GRACE)
    _, left = psutil.wait_procs(children, timeout=1)
    for child in left:
        child.kill()
    psutil.wait_procs(left, timeout=GRACE)
