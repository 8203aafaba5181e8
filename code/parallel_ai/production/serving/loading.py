"""Load from outside: an open loop and a closed one, in their own process."""

import asyncio
import gc
import multiprocessing
import os
import selectors
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parallel_ai.production.serving.asking import Line, dial
from parallel_ai.production.serving.waiting import poisson_times
from parallel_ai.toolbox.workers import SAFE, begin

LIMIT = 120.0  # seconds: no load lasts longer
MOST = 256  # connections of an open loop


@dataclass
class Journal:
    """What became of each request; seconds since the load began.

    Attributes
    ----------
    due, sent, ended : list of float
        When it should have been sent, was, and was answered.
    statuses : list of int
        Of HTTP; 0 where the connection broke.
    bodies : list of bytes
        What was answered, if an open loop was to keep it.
    """

    due: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def note(self, due: float, sent: float, ended: float, status: int) -> None:
        """Add a request."""
        self.due.append(due)
        self.sent.append(sent)
        self.ended.append(ended)
        self.statuses.append(status)

    @property
    def good(self) -> np.ndarray:
        """Which were answered with 200."""
        return np.array(self.statuses) == 200

    @property
    def order(self) -> np.ndarray:
        """Places of the good ones, in the order in which they were due."""
        places = np.flatnonzero(self.good)
        return places[np.argsort(np.array(self.due)[places], kind="stable")]

    @property
    def latency(self) -> np.ndarray:
        """Seconds from when a good one was due to its answer."""
        return (np.array(self.ended) - self.due)[self.order]

    @property
    def service(self) -> np.ndarray:
        """Seconds from when a good one was sent: what its sender sees."""
        return (np.array(self.ended) - self.sent)[self.order]

    @property
    def late(self) -> np.ndarray:
        """Seconds for which a good one was due and not yet sent."""
        return (np.array(self.sent) - self.due)[self.order]

    @property
    def throughput(self) -> float:
        """Good answers a second, from the first one due to the last end."""
        if not self.good.any():
            return 0.0
        return float(self.good.sum() / (max(self.ended) - min(self.due)))


async def open_loop(
    port: int, requests: Sequence[bytes], due: np.ndarray, keep: bool = False
) -> Journal:
    """Send requests when they are due, whatever has become of the others.

    That is how clients come who know nothing of each other. If all `MOST`
    connections are in use, a request waits here, and its wait counts.
    """
    journal, idle = Journal(), deque[Line]()
    room = asyncio.Semaphore(MOST)
    begun = time.perf_counter()

    async def one(number: int) -> None:
        async with room:
            sent, status, line = time.perf_counter() - begun, 0, None
            body = b""
            try:
                line = idle.pop() if idle else await dial(port)
                while not line.open:
                    line = idle.pop() if idle else await dial(port)
                status, body = await line.ask(requests[number % len(requests)])
            except OSError:
                pass
            finally:
                if line is not None:
                    idle.append(line) if line.open else line.close()
            ended = time.perf_counter() - begun
            journal.note(float(due[number]), sent, ended, status)
            if keep:
                journal.bodies.append(body)

    async with asyncio.TaskGroup() as group:
        for number, moment in enumerate(due):
            left = moment - (time.perf_counter() - begun)
            if left > 0:
                await asyncio.sleep(left)
            group.create_task(one(number))
    for line in idle:
        line.close()
    return journal


async def closed_loop(
    port: int, requests: Sequence[bytes], clients: int, seconds: float
) -> Journal:
    """Let each client send its next request when the last is answered.

    A service that stands still is asked nothing by them: they omit, all
    together, the requests that would have waited.
    """
    journal = Journal()
    begun = time.perf_counter()

    async def client(first: int) -> None:
        line, number = Line(), first
        while (sent := time.perf_counter() - begun) < seconds:
            status = 0
            try:
                if not line.open:
                    line = await dial(port)
                status, _ = await line.ask(requests[number % len(requests)])
            except ConnectionRefusedError:
                break  # nobody is there any more
            except OSError:
                await asyncio.sleep(0.01)  # no hammering
            number += clients
            journal.note(sent, sent, time.perf_counter() - begun, status)
        line.close()

    async with asyncio.TaskGroup() as group:
        for first in range(clients):
            group.create_task(client(first))
    return journal


def punctual() -> asyncio.AbstractEventLoop:
    """Make an event loop that wakes up when it is time.

    The usual one of Linux waits by epoll, for whole milliseconds, rounded
    up: longer than many a service takes. `select` knows microseconds.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


LOADS: dict[str, tuple[Any, Any]] = {
    "open": (open_loop, punctual),
    "closed": (closed_loop, punctual),
    "open, by the usual clock": (open_loop, None),
}


def _load(kind: str, mailbox: Any, *args: Any) -> None:
    """Be the process that makes the load, on one core if that can be said."""
    begin(None)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    gc.freeze()
    way, clock = LOADS[kind]
    with mailbox, asyncio.Runner(loop_factory=clock) as runner:
        mailbox.send(runner.run(way(*args)))


def load(kind: str, *args: Any) -> Journal:
    """Make a load from a process of its own; returns its journal.

    Parameters
    ----------
    kind : str
        One of `LOADS`.
    args
        Of `open_loop` or of `closed_loop`.

    Raises
    ------
    RuntimeError
        No journal after `LIMIT` seconds.
    """
    context: Any = multiprocessing.get_context(SAFE)
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_load, args=(kind, there, *args))
    process.start()
    there.close()
    try:
        with here:
            if here.poll(LIMIT):
                return here.recv()
        raise RuntimeError(f"no journal of the load after {LIMIT:g} s")
    except EOFError:
        raise RuntimeError("the load's process has died") from None
    finally:
        process.terminate()
        process.join()


def offered(
    port: int,
    requests: Sequence[bytes],
    rate: float,
    seconds: float,
    seed: int = 0,
    kind: str = "open",
) -> Journal:
    """Offer a load at a rate, at random times, which the seed decides."""
    count = max(10, round(rate * seconds))
    return load(kind, port, requests, poisson_times(rate, count, seed))
