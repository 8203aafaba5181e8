"""Who can reach a scheduler can run code: shown, then prevented."""

import os
from collections.abc import Iterable
from contextlib import suppress

import psutil
from distributed.security import Security

from parallel_ai.many_machines.clusters.connecting import open_address


def trespass(
    address: str, security: Security | None = None, timeout: float = 2
) -> int:
    """Have a scheduler run a function, as anybody could who reaches it.

    Here the function only returns the number of the process that ran it. It
    could have read that process's files, its environment, its credentials.

    Parameters
    ----------
    security
        A stranger's certificates, if he has any.

    Raises
    ------
    ConnectionError, ValueError
        We were not let in.
    """
    with open_address(address, security or Security(), timeout) as client:
        return int(client.run_on_scheduler(os.getpid))


def listeners(pids: Iterable[int]) -> list[tuple[str, int]]:
    """Return where processes and their children listen: address and port."""
    found = set()
    for pid in pids:
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # ended meanwhile
                found |= {
                    (line.laddr.ip, line.laddr.port)
                    for line in member.net_connections("inet")
                    if line.status == psutil.CONN_LISTEN
                }
    return sorted(found)
