"""Several hosts on one machine: network namespaces, joined by a switch.

Linux can give a process a network of its own: its own interfaces, addresses,
ports and loopback. Two such *namespaces* and a virtual cable are two hosts,
as far as a program can tell, down to the plug that can be pulled.

All of it is made inside a namespace that belongs to a single child process
(`inside`), so that nothing of the machine's own network is touched, and when
the child ends, by whatever cause, the system removes the rest. It takes
Linux, the programs in `TOOLS`, and the right to make namespaces.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMESPACES = Path("/run/netns")  # where ``ip netns`` keeps them
TOOLS = ("ip", "tc", "unshare", "nsenter")
SUBNET = "10.77.0."
SECONDS = 120  # for whatever runs inside


def apart() -> list[str]:
    """Return the command after which a program has networks to itself.

    Its own processes too, of which it is the first: when it ends, the kernel
    kills the others. Who is not root becomes root of a namespace of users,
    and remains nobody outside.
    """
    command = ["unshare", "--net", "--mount", "--pid", "--fork"]
    command += ["--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        command += ["--user", "--map-root-user"]
    return command


def forbidden() -> str:
    """Say why hosts cannot be made here; empty if they can."""
    if lacking := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"there is no program {lacking[0]}"
    steps = "mount -t tmpfs none /run && ip link add name s type bridge"
    steps += " && ip link add name v type veth peer name w"
    steps += " && tc qdisc add dev v root tbf rate 1mbit burst 64kb latency 1s"
    done = subprocess.run(  # noqa: S603
        [*apart(), "sh", "-c", steps],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return done.stderr.strip() or "not permitted" if done.returncode else ""


def inside(function: str, *arguments: Any, seconds: float = SECONDS) -> Any:
    """Call a function in a child process with networks of its own.

    Parameters
    ----------
    function : str
        "module:name".
    *arguments
        As JSON can hold them.
    seconds
        After which the child is ended, and with it all that it started.

    Returns
    -------
    Any
        What the function returned, by way of JSON.

    Raises
    ------
    RuntimeError
        It failed; with what it wrote.
    TimeoutError
    """
    call = json.dumps([function, *arguments])
    package = __name__.rpartition(".")[0]  # its __main__ does the rest
    words = [*apart(), sys.executable, "-m", package, call]
    try:
        done = subprocess.run(  # noqa: S603
            words,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{function} ran for {seconds} s") from error
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout or "unshare failed")
    return json.loads(done.stdout.splitlines()[-1])


class Lan:
    """Hosts and the switch that joins them; made by `lan`.

    Attributes
    ----------
    addresses : dict of str to str
        Of each host.
    folder : Path
        With a file for each host's namespace.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self.addresses = {
            host: f"{SUBNET}{number}" for number, host in enumerate(hosts, 2)
        }
        self.folder = NAMESPACES

    def on(self, host: str, command: Sequence[str]) -> list[str]:
        """Return the command that runs a command on a host."""
        return ["nsenter", f"--net={self.folder / host}", *command]

    def cut(self, host: str) -> None:
        """Pull the host's plug: packets are lost, nobody is told."""
        _do(f"ip link set to-{host} down")

    def slow_down(self, host: str, megabits: float) -> None:
        """Let so many megabits a second through, towards the host."""
        _do(
            f"tc qdisc replace dev to-{host} root tbf"
            f" rate {round(megabits * 1000)}kbit burst 64kb latency 200ms"
        )

    def speed_up(self, host: str) -> None:
        """Let everything through again."""
        _do(f"tc qdisc del dev to-{host} root")


@contextmanager
def lan(hosts: Sequence[str]) -> Iterator[Lan]:
    """Make hosts and join them, and this process, by a switch.

    Only within `inside`. This process has the address that ends in 1.
    """
    network = Lan(hosts)
    _do("mount -t tmpfs none /run")  # ours alone, too
    network.folder.mkdir()
    _do("ip link set lo up")
    _do("ip link add name switch type bridge")
    _do(f"ip addr add {SUBNET}1/24 dev switch")
    _do("ip link set switch up")
    for host, address in network.addresses.items():
        _do(f"ip netns add {host}")
        _do(
            f"ip link add name to-{host} type veth peer name eth0 netns {host}"
        )
        _do(f"ip link set to-{host} master switch up")
        for line in (
            f"ip addr add {address}/24 dev eth0",
            "ip link set eth0 up",
            "ip link set lo up",
        ):
            _do(" ".join(network.on(host, line.split())))
    try:
        yield network
    finally:
        for host in hosts:
            _do(f"ip netns delete {host}")


def _do(command: str) -> None:
    done = subprocess.run(  # noqa: S603
        command.split(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.strip()}")
