"""Says which processes of the parent listened beyond loopback, at its end.

Started by `conftest.py` beside every session; ends when its input does. What
was open before is not counted. Other network namespaces have tables of their
own, which are not read.
"""

import contextlib
import os
import select
import sys
from pathlib import Path

import psutil

EVERY = 0.5  # seconds
LISTENS = "0A"  # a state of a socket in /proc/net/tcp
LOOPBACK = ("7F", "0" * 24 + "01000000")  # 127.0.0.0/8 and ::1, as there

Port = tuple[str, int]


def listening(table: str) -> set[Port]:
    """Address and port of each line of ``/proc/net/tcp`` beyond loopback."""
    found = set()
    for line in table.splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        address, port = local.split(":")
        if state == LISTENS and not address.endswith(LOOPBACK):
            found.add((address, int(port, 16)))
    return found


def open_ports() -> set[Port]:
    """Where somebody on this machine listens to other machines."""
    tables = (Path("/proc/net", name) for name in ("tcp", "tcp6"))
    texts = (table.read_text() for table in tables if table.exists())
    return set().union(*map(listening, texts))


def owner(port: int) -> str:
    """Command of the parent's process that listens there, if one does."""
    parent = psutil.Process(os.getppid())
    for process in (parent, *parent.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections():
                if connection.laddr[1:] == (port,):
                    return " ".join(process.cmdline())
    return ""


def main() -> None:
    """Look twice a second until the input ends."""
    seen = open_ports()
    while not select.select([sys.stdin], [], [], EVERY)[0]:
        for address, port in open_ports() - seen:
            seen.add((address, port))
            if command := owner(port):
                print(f"{address} {port}: {command}", flush=True)


if __name__ == "__main__":
    main()
