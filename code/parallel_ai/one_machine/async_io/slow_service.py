"""A slow service of our own: real HTTP on loopback, in a process apart.

It stands for a model's interface somewhere else. It takes a set time for an
answer and needs no CPU in it; it works on so many requests at once, lets so
many more wait, and accepts so many in a second, as such services do.
"""

import asyncio
import json
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

from aiohttp import web

from parallel_ai.toolbox.workers import SAFE, begin

LIMIT = 60.0  # seconds: no wait in this chapter lasts longer


@dataclass(frozen=True)
class Manner:
    """How the service treats those who ask.

    Attributes
    ----------
    seconds : float
        What it takes for an answer.
    slots : int
        Requests that it works on at the same time.
    places : int
        Requests that may wait for a slot; to the next it says 503.
    rate : float
        Requests a second that it accepts, after a burst of as many; to the
        next it says 429, and to come again in a second.
    held : bool
        Answer nobody before ``GET /release``.
    """

    seconds: float = 0.0
    slots: int = 1_000_000
    places: int = 1_000_000
    rate: float = math.inf
    held: bool = False


@dataclass
class Bucket:
    """Tokens that drip in at a rate; each request takes one.

    Attributes
    ----------
    rate : float
        Tokens a second, and as many fit into the bucket.
    clock : callable
        Tells the time in seconds.
    """

    rate: float
    clock: Callable[[], float] = time.monotonic
    tokens: float = field(init=False)
    seen: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin with a full bucket."""
        self.tokens, self.seen = self.rate, self.clock()

    def take(self) -> bool:
        """Take a token if there is one."""
        if self.rate == math.inf:
            return True
        now = self.clock()
        dripped = self.rate * (now - self.seen)
        self.tokens, self.seen = min(self.rate, self.tokens + dripped), now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class LabelService:
    """Answers ``GET /17`` with label 17, in its own manner."""

    def __init__(self, labels: Sequence[int], manner: Manner) -> None:
        self.labels, self.manner = labels, manner
        self.bucket = Bucket(manner.rate)
        self.slots = asyncio.Semaphore(manner.slots)
        self.released = asyncio.Event()
        self.here = 0  # requests that wait or are worked on
        self.counts = {"asked": 0, "answered": 0, "refused": 0, "most": 0}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request, or refuse it at once.

        Raises
        ------
        HTTPNotFound
            There is no such number.
        HTTPServiceUnavailable
            All places are taken.
        HTTPTooManyRequests
            They come faster than is allowed.
        """
        number = int(request.match_info["number"])
        self.counts["asked"] += 1
        if number >= len(self.labels):
            raise web.HTTPNotFound
        if self.here >= self.manner.slots + self.manner.places:
            self.counts["refused"] += 1
            raise web.HTTPServiceUnavailable
        if not self.bucket.take():
            self.counts["refused"] += 1
            raise web.HTTPTooManyRequests(headers={"Retry-After": "1"})
        self.here += 1
        self.counts["most"] = max(self.counts["most"], self.here)
        try:
            async with self.slots:
                await self.work()
        finally:
            self.here -= 1
        self.counts["answered"] += 1
        return web.Response(text=str(int(self.labels[number])))

    async def work(self) -> None:
        """Take the time that an answer takes."""
        if self.manner.held:
            await self.released.wait()
        await asyncio.sleep(self.manner.seconds)

    async def tell(self, _: web.Request) -> web.Response:
        """Answer ``GET /counts``."""
        return web.json_response({**self.counts, "here": self.here})

    async def release(self, _: web.Request) -> web.Response:
        """Answer ``GET /release``, and from now on everybody else."""
        self.released.set()
        return web.json_response(None)


async def serve(
    labels: Sequence[int], manner: Manner, say: Callable[[int], None]
) -> None:
    """Serve until this process is ended; say the port once it is open."""
    service = LabelService(labels, manner)
    app = web.Application()
    app.router.add_get(r"/{number:\d+}", service.answer)
    app.router.add_get("/counts", service.tell)
    app.router.add_get("/release", service.release)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
        say(runner.addresses[0][1])
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _run_service(labels: Sequence[int], manner: Manner, mailbox: Any) -> None:
    """Be the service's process."""
    begin(None)  # leaves Ctrl-C to the parent, and ends with it
    asyncio.run(serve(labels, manner, mailbox.send))


@contextmanager
def service(
    labels: Sequence[int], seconds: float = 0.0, **manner: Any
) -> Iterator[int]:
    """Run the service in a process of its own.

    Parameters
    ----------
    labels : sequence of int
        What it knows.
    seconds, **manner
        As in `Manner`.

    Yields
    ------
    int
        The port, a free one of 127.0.0.1.

    Raises
    ------
    RuntimeError
        The service did not come up.
    """
    context: Any = multiprocessing.get_context(SAFE)
    if SAFE == "forkserver":  # import once, if it has not started yet
        context.set_forkserver_preload([__package__])
    here, there = context.Pipe(duplex=False)
    how = Manner(seconds, **manner)
    process = context.Process(target=_run_service, args=(labels, how, there))
    process.start()
    there.close()
    try:
        try:
            port = here.recv() if here.poll(LIMIT) else None
        except EOFError:
            port = None
        if port is None:
            raise RuntimeError(f"no service after at most {LIMIT:g} s")
        yield port
    finally:
        process.terminate()
        process.join()
        here.close()


def counts(port: int, path: str = "counts") -> dict[str, int]:
    """Ask the service what it has done so far.

    Returns
    -------
    dict of str to int
        asked, answered, refused; here: requests that wait or are worked
        on; most: the most that were ever here at once.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request("GET", f"/{path}", headers={"Connection": "close"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()
