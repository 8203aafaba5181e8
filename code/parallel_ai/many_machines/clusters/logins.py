"""A cluster out of hosts to which one can log in, and a host of our own.

`SSHCluster` logs in to each host, runs one Python there, and that is all: a
scheduler on the first, a worker on each of the others. So that it can be
shown and tested without a second machine, `own_sshd` starts a real OpenSSH
server on this one: on loopback, with keys of its own.
"""

import getpass
import logging
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask
from distributed import SSHCluster
from distributed.security import Security

from parallel_ai.many_machines.clusters.by_hand import end
from parallel_ai.toolbox.cluster import LOOPBACK, wait_until

SEPARATION = Path("/run/sshd")  # where sshd locks itself up, if it is root


@contextmanager
def ssh_cluster(
    hosts: Sequence[str],
    login: Mapping[str, Any],
    security: Security | None = None,
    interface: str | None = None,
) -> Iterator[Any]:
    """Log in to hosts and make a cluster of them.

    Parameters
    ----------
    hosts
        The scheduler's, then one for each worker; repeat one as you like.
    login
        Options of `asyncssh.connect`: ``username``, ``client_keys``,
        ``known_hosts`` and so on.
    security
        Certificates, in files with the same paths on all hosts.
    interface
        Network on which scheduler and workers listen, such as "eth0". If
        None, on all networks of their hosts.

    Notes
    -----
    Dask's configuration of this process travels with the login, and the
    paths of the certificates with it.
    """
    where = {} if interface is None else {"interface": interface}
    options = {**where, "protocol": "tls" if security else "tcp"}
    with dask.config.set(as_configuration(security)):
        cluster = SSHCluster(
            list(hosts),
            connect_options=dict(login),
            scheduler_options={
                "port": 0,
                "dashboard": False,
                "dashboard_address": f"{hosts[0]}:0",
                **options,
            },
            worker_options={"nthreads": 1, **options},
            security=security,
            silence_logs=logging.WARNING,
        )
    with cluster:
        yield cluster


def as_configuration(security: Security | None) -> dict[str, Any]:
    """Write certificates as Dask's configuration holds them."""
    if security is None:
        return {}
    found: dict[str, Any] = {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": security.get_tls_config_for_role(
            "client"
        )["ca_file"],
    }
    for role in ("scheduler", "worker", "client"):
        files = security.get_tls_config_for_role(role)
        found[f"distributed.comm.tls.{role}.cert"] = files["cert"]
        found[f"distributed.comm.tls.{role}.key"] = files["key"]
    return found


def sshd_program() -> str | None:
    """Path of OpenSSH's server, or None if it is not installed."""
    return shutil.which("sshd") or shutil.which("/usr/sbin/sshd")


@contextmanager
def own_sshd() -> Iterator[dict[str, Any]]:
    """Start an SSH server on loopback that knows one key: a new one.

    Nothing of the user's own SSH files is read or written, and the host's
    key is checked: the yielded options name the file that knows it.

    Yields
    ------
    dict
        Options for `asyncssh.connect`.

    Raises
    ------
    FileNotFoundError
        OpenSSH's server is not installed.
    """
    program = sshd_program()
    if program is None:
        raise FileNotFoundError("sshd; on Debian: apt install openssh-server")
    with ExitStack() as stack:
        room = Path(stack.enter_context(TemporaryDirectory(prefix="sshd-")))
        if os.geteuid() == 0 and not SEPARATION.exists():
            SEPARATION.mkdir(mode=0o755)
            stack.callback(SEPARATION.rmdir)
        for name in ("host", "user"):
            subprocess.run(  # noqa: S603
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name],  # noqa: S607
                cwd=room,
                check=True,
            )
        port = free_port()
        host_key = (room / "host.pub").read_text()
        (room / "known").write_text(f"[{LOOPBACK}]:{port} {host_key}")
        settings = room / "sshd_config"
        settings.write_text(_sshd_settings(room, port))
        server = subprocess.Popen(  # noqa: S603
            [program, "-D", "-e", "-f", str(settings)],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        stack.callback(end, server)
        wait_until(lambda: _answers(port), "sshd to answer", 10)
        yield {
            "port": port,
            "username": getpass.getuser(),
            "client_keys": [str(room / "user")],
            "known_hosts": str(room / "known"),
            "config": None,  # not ~/.ssh/config
            "agent_path": None,  # and no agent's keys
        }


def _sshd_settings(room: Path, port: int) -> str:
    """Write a server's settings: loopback only, one key, no password."""
    lines = [
        f"ListenAddress {LOOPBACK}",
        f"Port {port}",
        f"HostKey {room / 'host'}",
        f"AuthorizedKeysFile {room / 'user.pub'}",
        f"PidFile {room / 'pid'}",
        f"AllowUsers {getpass.getuser()}",
        "AuthenticationMethods publickey",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "UsePAM no",
        "StrictModes no",  # the folder for temporary files is everybody's
        "AllowTcpForwarding no",
        "PrintMotd no",
    ]
    # A host has its own environment; ours must find this book's package.
    if path := os.environ.get("PYTHONPATH"):
        lines.append(f"SetEnv PYTHONPATH={path}")
    return "\n".join(lines) + "\n"


def free_port() -> int:
    """Return a port of loopback that nobody uses now.

    Only for a program that cannot choose one itself: another may take it
    before it does.
    """
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as line:
            return line.recv(4) == b"SSH-"
    except OSError:
        return False
