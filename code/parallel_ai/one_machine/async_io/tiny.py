"""An event loop of our own, to see that there is no magic in it."""

import heapq
import selectors
import socket
import time
import types
from collections import deque
from collections.abc import Coroutine, Generator
from contextlib import closing
from typing import Any

from parallel_ai.one_machine.async_io.slow_service import LIMIT

Wish = float | socket.socket  # seconds to pass, or a socket to read from


@types.coroutine
def wish_for(what: Wish) -> Generator[Wish, None, None]:
    """Leave the coroutine, and tell the loop when to come back to it."""
    yield what


def run_all(*coroutines: Coroutine[Wish, None, Any]) -> list[Any]:
    """Run coroutines in turns until all have returned.

    Returns
    -------
    list
        What each returned, in the order given.

    Raises
    ------
    Exception
        What one of them raised; the others are closed where they stand.
    """
    results: list[Any] = [None] * len(coroutines)
    ready = deque(enumerate(coroutines))
    sleeping: list[tuple[float, int]] = []  # a heap: who is to wake first
    try:
        with selectors.DefaultSelector() as sockets:
            while ready or sleeping or sockets.get_map():
                while ready:
                    number, coroutine = ready.popleft()
                    try:
                        wish = coroutine.send(None)  # runs to its next await
                    except StopIteration as end:
                        results[number] = end.value
                        continue
                    if isinstance(wish, socket.socket):
                        sockets.register(wish, selectors.EVENT_READ, number)
                    else:
                        due = time.monotonic() + wish
                        heapq.heappush(sleeping, (due, number))
                for number in wait(sockets, sleeping):
                    ready.append((number, coroutines[number]))
    finally:
        for coroutine in coroutines:
            coroutine.close()
    return results


def wait(
    sockets: selectors.BaseSelector, sleeping: list[tuple[float, int]]
) -> list[int]:
    """Sleep until somebody can go on; the only place where the loop waits."""
    if not sleeping and not sockets.get_map():
        return []
    left = sleeping[0][0] - time.monotonic() if sleeping else LIMIT
    if sockets.get_map():
        events = [key for key, _ in sockets.select(max(0, left))]
    else:
        events = []
        time.sleep(max(0, left))  # Windows cannot select nothing
    for key in events:
        sockets.unregister(key.fileobj)
    woken = [key.data for key in events]
    while sleeping and sleeping[0][0] <= time.monotonic():
        woken.append(heapq.heappop(sleeping)[1])
    return woken


async def ask_tiny(port: int, number: int) -> int:
    """Ask the service for a label, over a bare socket, on our own loop.

    Raises
    ------
    ValueError
        The answer is not a label.
    """
    address = ("127.0.0.1", port)
    with closing(socket.create_connection(address, LIMIT)) as connection:
        connection.setblocking(False)
        connection.sendall(
            f"GET /{number} HTTP/1.1\r\nHost: localhost\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        answer = b""
        while True:
            await wish_for(connection)  # others run until it has come
            block = connection.recv(4096)
            if not block:
                return int(answer.partition(b"\r\n\r\n")[2])
            answer += block
