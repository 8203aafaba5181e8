"""One memory limit for a program and all that it starts, three ways.

- `run_within` watches: it adds up the memory of a whole tree of processes, many
  times a second, and kills the tree above the limit. It works everywhere, for
  one process as for a cluster. Between two looks, a fast program can take
  more than it should.
- A *control group* is the kernel's own fence around such a tree: not a page
  too many. Linux only, and one must be allowed to make a group.
- `limit_addresses` limits the address space of one process. It is exact, and
  asking for too much is an error that the program can catch. But it counts
  what was reserved, not what is used, and each process for itself.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from typing import Any

import psutil

from parallel_ai.toolbox import memory

INTERVAL = 0.05  # seconds between two looks
SCOPE = ["systemd-run", "--user", "--scope", "--quiet"]


@dataclass(frozen=True)
class Outcome:
    """How a program fared within its limit.

    Attributes
    ----------
    finished : bool
    seconds : float
        From its start to its end.
    peak : int
        Most bytes that it and its children were seen to take.
    said : list
        Each line that it printed as JSON, with ``"peak"`` since the one
        before.
    problem : str
        Empty, or what the watcher did, or the last line of its errors.
    """

    finished: bool
    seconds: float
    peak: int
    said: list[dict[str, Any]]
    problem: str


def run_within(
    limit: int,
    arguments: Sequence[str],
    seconds: float = 300.0,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    """Run a module of ours as a child, within a limit of memory.

    Parameters
    ----------
    limit : int
        Bytes for the child and all that it starts.
    arguments : sequence of str
        For ``python -m``; the module prints JSON, a line at a time.
    seconds : float
        After that many, the child is killed.
    settings : mapping of str to str
        Environment variables of the child, besides our own.

    Returns
    -------
    Outcome
        The child and all that it started have ended, and its temporary files
        are gone.
    """
    fence: list[str] = []
    if groups():
        fence = [*SCOPE, f"-pMemoryMax={limit}", "-pMemorySwapMax=0", "--"]
    begun, problem = time.perf_counter(), ""
    with (
        tempfile.TemporaryDirectory(prefix="fence-") as room,
        Path(room, "errors").open("w+", encoding="utf-8") as errors,
        subprocess.Popen(  # noqa: S603
            [*fence, sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            env={**os.environ, **settings, "TMPDIR": room},
        ) as child,
    ):
        watch = _Watch(child)
        try:
            while child.poll() is None and not problem:
                if watch.taken() > limit:
                    problem = "killed: above the limit"
                elif time.perf_counter() - begun > seconds:
                    problem = f"killed: it still ran after {seconds:g} s"
                time.sleep(INTERVAL)
        finally:
            watch.end()
        taken = time.perf_counter() - begun
        errors.seek(0)
        lines = [line for line in errors.read().splitlines() if line.strip()]
    code = child.returncode
    if code and not problem:
        killed = code in (-signal.SIGKILL, 128 + signal.SIGKILL)
        last = lines[-1] if lines else f"ended with {code}"
        problem = "killed by the system" if killed else last
    return Outcome(not problem, taken, watch.peak, watch.said, problem)


@cache
def groups() -> bool:
    """Whether this machine lets us make a control group for a program."""
    if not shutil.which(SCOPE[0]):
        return False
    done = subprocess.run(  # noqa: S603
        [*SCOPE, "true"], capture_output=True, timeout=30, check=False
    )
    return done.returncode == 0


def limit_addresses(limit: int) -> None:
    """Let this process take so many bytes more than it has now.

    From then on, whatever asks for more gets an error (`MemoryError`). The
    limit is one of *addresses*: it is set that much above the address space
    that is taken already, most of which was never touched.
    """
    import resource

    taken = psutil.Process().memory_info()
    most = taken.vms + max(0, limit - taken.rss)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


class _Watch:
    """Looks at a child and all below it, and listens to what it prints."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child, self.said, self.peak = child, list[dict[str, Any]](), 0
        self.since = 0  # most bytes since the last line
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

    def taken(self) -> int:
        """Bytes that they take now, or less if that is nothing new."""
        with suppress(psutil.Error):
            first = psutil.Process(self.child.pid)
            tree = [first, *first.children(recursive=True)]
            # Shared pages count for each process here, so this is an upper
            # bound; the exact number costs more, and only matters if new.
            if memory.resident(tree) > self.since:
                now = memory.taken(tree)
                self.since = max(self.since, now)
                self.peak = max(self.peak, now)
                return now
        return 0

    def end(self) -> None:
        """Kill them, and wait until the last line was heard."""
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if hasattr(os, "killpg"):
                os.killpg(self.child.pid, signal.SIGKILL)
            else:
                first = psutil.Process(self.child.pid)
                for process in [*first.children(recursive=True), first]:
                    process.kill()
        self.child.wait()
        self._listener.join()

    def _listen(self) -> None:
        for line in self.child.stdout or ():
            with suppress(ValueError):
                self.said.append({**json.loads(line), "peak": self.since})
                self.since = 0
