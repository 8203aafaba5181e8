"""Ray on this machine: private, and gone afterwards."""

import ipaddress
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from unittest import mock

import psutil

from parallel_ai.many_machines.actors.quietly import ray
from parallel_ai.toolbox import machine

LOOPBACK = "127.0.0.1"
STORE = 250_000_000  # bytes of shared memory for objects, at most
SECONDS = 30  # for processes to end by themselves
SETTINGS = {  # before Ray starts a process, which inherits them
    "RAY_USAGE_STATS_ENABLED": "0",  # sends nothing to Ray's makers
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # see `ray_local`
    "AUTOSCALER_METRIC_PORT": "0",  # a free one, not always 44217
    "RAY_AUTH_MODE": "token",  # other users of this machine stay out,
    "RAY_AUTH_TOKEN": secrets.token_hex(16),  # not by a file in the home
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a warning
}


def listening(processes: Iterable[psutil.Process]) -> set[str]:
    """Return the addresses on which processes accept connections."""
    return {
        connection.laddr.ip.removeprefix("::ffff:")  # IPv4 in IPv6 clothes
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


@contextmanager
def ray_local(cpus: int = 2, store: int = STORE) -> Iterator[None]:
    """Start Ray on this machine, and surely end it.

    Parameters
    ----------
    cpus : int
        How many tasks run at a time; a worker process for each is started.
    store : int
        Bytes of the object store, at least 80 million.

    Raises
    ------
    ValueError
        There is no CPU.
    RuntimeError
        Ray runs already in this process, or it listens beyond this machine.

    Notes
    -----
    Ray takes 127.0.0.1 for a mistake, looks for the address by which other
    machines reach this one, and listens there, unless it is told that it
    cannot have a cluster: on macOS and Windows that is so by itself.
    """
    if cpus < 1:
        raise ValueError("Ray needs at least one CPU")
    if ray.is_initialized():
        raise RuntimeError("Ray runs already in this process")
    short = "/tmp" if Path("/tmp").is_dir() else gettempdir()  # noqa: S108
    me, store = psutil.Process(), min(store, machine.memory() // 4)
    before = set(me.children())
    with (
        _this_process_kept(),
        TemporaryDirectory(
            prefix="ray-", dir=short, ignore_cleanup_errors=True
        ) as folder,
        mock.patch.object(
            ray._private.ray_constants, "ENABLE_RAY_CLUSTER", False
        ),
        mock.patch.object(ray._private.worker, "_worker_logs_enabled", False),
    ):
        os.environ.update(SETTINGS)
        _read_settings()
        roots: set[psutil.Process] = set()
        try:
            ray.init(
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=max(store, 80_000_000),
                log_to_driver=False,
                configure_logging=False,
                _node_ip_address=LOOPBACK,
                _temp_dir=folder,
            )
            roots = set(me.children()) - before
            family = set(me.children(recursive=True)) - before
            beyond = {
                address
                for address in listening(family)
                if not ipaddress.ip_address(address).is_loopback
            }
            if beyond:
                raise RuntimeError(f"Ray listens on {beyond}")
            yield
        finally:
            _ended(roots or set(me.children()) - before)


def _read_settings() -> None:
    """Let Ray read its environment variables, which it has done before."""
    ray._raylet.Config.initialize("")  # type: ignore[attr-defined]


def _ended(roots: set[psutil.Process]) -> None:
    """Shut Ray down, and kill what of its processes does not end."""
    family = set(roots)
    for root in roots:
        with suppress(psutil.NoSuchProcess):
            family.update(root.children(recursive=True))
    ray.shutdown(wait_for_processes=True)
    _, alive = psutil.wait_procs(family, timeout=SECONDS)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=SECONDS)


@contextmanager
def _this_process_kept() -> Iterator[None]:
    """Undo what Ray changes in *this* process: settings and signals."""
    environment, hook = dict(os.environ), sys.excepthook
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if main else None
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        _read_settings()
        sys.excepthook = hook
        if main:
            signal.signal(signal.SIGTERM, handler)
