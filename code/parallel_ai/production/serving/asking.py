"""Ask the service: connections that cost little, a client that retries."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parallel_ai.production.serving.checking import BYTES

HOST = "127.0.0.1"


def request_of(model: str, pixels: np.ndarray) -> bytes:
    """Write a request: pictures as plain bytes, 784 each."""
    body = pixels.tobytes()
    head = (
        f"POST /models/{model} HTTP/1.1\r\nHost: {HOST}\r\n"
        f"Content-Type: {BYTES}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Line(asyncio.Protocol):
    """A connection that sends bytes and waits for one answer at a time.

    Nothing but what a load needs, so that little of the machine goes to
    those who measure.
    """

    open = False
    transport: Any = None
    waiter: asyncio.Future[tuple[int, bytes]] | None = None
    buffer = b""

    def connection_made(self, transport: Any) -> None:
        """Be open for requests."""
        self.transport, self.open = transport, True

    def data_received(self, data: bytes) -> None:
        """Hand the answer over when all of it is there."""
        self.buffer += data
        head, mark, body = self.buffer.partition(b"\r\n\r\n")
        if not mark or self.waiter is None:
            return
        lower = head.lower()
        _, _, rest = lower.partition(b"\r\ncontent-length:")
        if len(body) < int(rest.partition(b"\r\n")[0] or 0):
            return
        self.buffer = b""
        if b"\r\nconnection: close" in lower:
            self.open = False
        if not self.waiter.done():
            self.waiter.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the one who waits."""
        self.open = False
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(
                error or ConnectionError("closed without an answer")
            )

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; returns status and body of the answer.

        Raises
        ------
        ConnectionError
            The other side has closed it.
        """
        self.waiter = asyncio.get_running_loop().create_future()
        if not self.open:
            raise ConnectionError("closed")
        self.transport.write(request)
        return await self.waiter

    def close(self) -> None:
        """Close, whatever is under way."""
        self.open = False
        if self.transport is not None:
            self.transport.abort()


async def dial(port: int) -> Line:
    """Open a connection."""
    loop = asyncio.get_running_loop()
    _, line = await loop.create_connection(Line, HOST, port)
    return line


@dataclass
class Told:
    """What a client that does not give up has seen.

    Attributes
    ----------
    answers : list
        Of each request, the JSON of its 200; None where there was none.
    lost : int
        Requests whose connection broke before their answer.
    refused : int
        Answers 503 and 504, after which it has tried again.
    """

    answers: list[Any]
    lost: int = 0
    refused: int = 0


async def insist(
    port: int,
    requests: Sequence[bytes],
    clients: int = 32,
    tries: int = 20,
    told: Told | None = None,
) -> Told:
    """Ask until all is answered; at most `tries` times for each.

    A prediction changes nothing, so asking twice does no harm: that is what
    allows a client to ask again when it cannot know whether it was heard.

    Parameters
    ----------
    told : Told, optional
        For those who want to watch: filled while it goes on.
    """
    told = told or Told([])
    told.answers[:] = [None] * len(requests)
    todo = iter(range(len(requests)))

    async def one(number: int, line: Line) -> Line:
        for attempt in range(tries):
            try:
                if not line.open:
                    line = await dial(port)
                status, body = await line.ask(requests[number])
            except OSError:
                told.lost += 1
                line.close()
                await asyncio.sleep(0.02 * (attempt + 1))
                continue
            if status == 200:
                told.answers[number] = json.loads(body)
                break
            if status not in (503, 504):
                break  # asking again would be refused again
            told.refused += 1
            await asyncio.sleep(0.02 * (attempt + 1))
        return line

    async def client() -> None:
        line = Line()
        for number in todo:
            line = await one(number, line)
        line.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return told
