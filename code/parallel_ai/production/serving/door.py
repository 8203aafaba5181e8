"""Connections: let in one by one, watched, and ended in good order."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from parallel_ai.production.serving.answering import Service
from parallel_ai.production.serving.checking import Limits

# A stack trace for each request that is no HTTP would fill a disk.
QUIET = logging.getLogger("parallel_ai.serving.http")
QUIET.setLevel(logging.CRITICAL)
LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 8\r\n\r\ntoo slow"
)


class Door:
    """Lets connections in: so many, one by one, and none that says nothing.

    All workers accept from one listening socket. Connections that wait there
    belong to none of them, so they outlive a worker. asyncio's own server
    takes all that wait at once; this one takes one a turn of its loop, so
    that the others get some, too.
    """

    def __init__(
        self, listener: socket.socket, server: web.Server, limits: Limits
    ) -> None:
        self.listener, self.server, self.limits = listener, server, limits
        self.timers: set[asyncio.TimerHandle] = set()
        self.last: asyncio.Task[None] | None = None  # who is coming in

    async def accept(self) -> None:
        """Accept until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            if len(self.server.connections) >= self.limits.connections:
                await asyncio.sleep(0.01)  # the kernel lets the others wait
                continue
            await self.knock(loop)  # if cancelled here, it has taken nobody
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:  # another worker was quicker
                continue
            except OSError:  # gone already, or no descriptor is left
                await asyncio.sleep(0.01)
                continue
            self.last = asyncio.create_task(self.let_in(loop, connection))
            await asyncio.shield(self.last)

    async def knock(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until somebody is at the door."""
        somebody = asyncio.Event()
        loop.add_reader(self.listener, somebody.set)
        try:
            await somebody.wait()
        finally:
            loop.remove_reader(self.listener)

    async def let_in(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket
    ) -> None:
        """Give a connection to the server, and watch it."""
        connection.setblocking(False)
        try:
            transport, handler = await loop.connect_accepted_socket(
                self.server, connection
            )
        except OSError:  # it has gone already, and takes nobody along
            connection.close()
            return
        self.watch(loop, transport, handler)

    def watch(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        handler: asyncio.BaseProtocol,
    ) -> None:
        """Close a connection whose first request does not come."""

        def close() -> None:
            self.timers.discard(timer)
            if not getattr(handler, "_request_count", 1):
                transport.write(LATE)
                transport.close()

        timer = loop.call_later(self.limits.head_seconds, close)
        self.timers.add(timer)

    async def shut(self, accepting: asyncio.Task[None]) -> None:
        """Accept nobody any more; who is on the threshold still comes in."""
        accepting.cancel()
        with suppress(asyncio.CancelledError):
            await accepting  # raises what has ended it, if anything has
        if self.last is not None:
            await self.last
        self.listener.close()

    def close(self) -> None:
        """Forget about the connections."""
        for timer in self.timers:
            timer.cancel()


async def serve(
    service: Service,
    listener: socket.socket,
    stop: asyncio.Event,
    ready: Callable[[], None],
    drain: float,
    linger: float = 0.0,
) -> None:
    """Serve until told to stop; then finish what has come in.

    Parameters
    ----------
    ready : callable
        Called when requests will be answered.
    drain : float
        Seconds in which those under way must end.
    linger : float
        Seconds for which open connections may ask once more before; each
        answer then closes its connection, and says so.
    """
    async with service:
        runner = web.AppRunner(
            service.application(),
            access_log=None,
            handler_cancellation=True,  # for clients who have left
            shutdown_timeout=drain,
            keepalive_timeout=service.limits.idle_seconds,
            logger=QUIET,
            lingering_time=1.0,
            auto_decompress=False,
        )
        await runner.setup()
        assert runner.server is not None  # noqa: S101 - for mypy
        door = Door(listener, runner.server, service.limits)
        accepting = asyncio.create_task(door.accept())
        ready()
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait(
            {stopped, accepting}, return_when=asyncio.FIRST_COMPLETED
        )
        service.drain()
        await door.shut(accepting)
        due = time.monotonic() + linger
        while runner.server.connections and time.monotonic() < due:
            await asyncio.sleep(0.01)
        door.close()
        await runner.cleanup()
        stopped.cancel()
