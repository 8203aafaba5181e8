"""Many questions to one service: serially, with threads, with asyncio."""

import asyncio
import threading
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
)
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from typing import Any, TypeVar

import aiohttp

from parallel_ai.one_machine.async_io.slow_service import LIMIT
from parallel_ai.one_machine.threads import map_serial, map_threads

Item = TypeVar("Item")
Result = TypeVar("Result")
BUSY = (429, 503)  # too many requests; service unavailable


class Refused(Exception):
    """The service will not answer now, but may later.

    Attributes
    ----------
    status : int
        429 or 503.
    after : float
        Seconds that the service asks us to wait; 0 if it says nothing.
    """

    def __init__(self, status: int, after: float) -> None:
        super().__init__(f"status {status}, come again in {after:g} s")
        self.status, self.after = status, after


def retry_after(header: str | None) -> float:
    """Seconds to wait, from the header ``Retry-After``.

    Either a whole number of seconds or a date (RFC 9110, section 10.2.3);
    0 if there is none, or none that can be read.
    """
    if not header:
        return 0.0
    if header.strip().isdecimal():
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


@contextmanager
def client(port: int) -> Iterator[Callable[[int], int]]:
    """Yield a function that asks and blocks; one connection a thread."""
    kept = threading.local()
    opened: list[HTTPConnection] = []

    def ask(number: int) -> int:
        if not hasattr(kept, "connection"):
            kept.connection = HTTPConnection("127.0.0.1", port, timeout=LIMIT)
            opened.append(kept.connection)
        kept.connection.request("GET", f"/{number}")
        answer = kept.connection.getresponse()
        body = answer.read()
        if answer.status in BUSY:
            raise Refused(
                answer.status, retry_after(answer.headers["Retry-After"])
            )
        if answer.status != 200:
            raise HTTPException(f"{answer.status} {answer.reason}")
        return int(body)

    try:
        yield ask
    finally:
        for connection in opened:
            connection.close()


@asynccontextmanager
async def connect(
    port: int, limit: int = 100
) -> AsyncIterator[Callable[[int], Coroutine[Any, Any, int]]]:
    """Yield a coroutine function that asks; at most `limit` connections.

    A limit of 0 is none.
    """
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}",
        connector=aiohttp.TCPConnector(limit=limit),
        timeout=aiohttp.ClientTimeout(total=LIMIT),
    ) as session:

        async def ask(number: int) -> int:
            async with session.get(f"/{number}") as answer:
                if answer.status in BUSY:
                    header = answer.headers.get("Retry-After")
                    raise Refused(answer.status, retry_after(header))
                answer.raise_for_status()
                return int(await answer.read())

        yield ask


async def map_tasks(
    function: Callable[[Item], Awaitable[Result]],
    items: Iterable[Item],
    limit: int = 100,
) -> list[Result]:
    """Apply a coroutine function to all items, so many at a time.

    One task an item, all made at once; a semaphore lets `limit` of them in.

    Raises
    ------
    ExceptionGroup
        What the function raised. Calls under way are cancelled; of those
        that wait, at most one begins for each that failed.
    ValueError
        The limit is less than 1.
    """
    if limit < 1:
        raise ValueError(f"need a limit of at least 1, got {limit}")
    room = asyncio.Semaphore(limit)

    async def one(item: Item) -> Result:
        async with room:
            return await function(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]


def labels_serial(
    port: int, numbers: Iterable[int], limit: int = 1
) -> list[int]:
    """Ask for labels, one after the other, whatever the limit."""
    with client(port) as ask:
        return map_serial(ask, list(numbers))


def labels_threads(
    port: int, numbers: Iterable[int], limit: int = 16
) -> list[int]:
    """Ask for labels with `limit` threads, each its own connection."""
    with client(port) as ask:
        return map_threads(ask, list(numbers), limit)


async def labels_asyncio(
    port: int, numbers: Iterable[int], limit: int = 16
) -> list[int]:
    """Ask for labels with one thread, `limit` questions at a time."""
    async with connect(port, limit) as ask:
        return await map_tasks(ask, numbers, limit)


def in_loop(
    function: Callable[..., Coroutine[Any, Any, Result]],
    *args: Any,
    **kwargs: Any,
) -> Result:
    """Run a coroutine function in a loop and a thread of their own.

    For callers that are no coroutines, such as a stopwatch, also where a
    loop is already running, as in a notebook.

    Raises
    ------
    TimeoutError
        It still runs after `LIMIT` seconds.
    """
    outcome: Future[Result] = Future()

    def work() -> None:
        try:
            outcome.set_result(asyncio.run(function(*args, **kwargs)))
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            outcome.set_exception(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    result = outcome.result(LIMIT)
    thread.join()
    return result


def clocked(
    ask: Callable[[Item], Awaitable[Result]],
    journal: list[tuple[float, float, bool]],
) -> Callable[[Item], Coroutine[Any, Any, Result]]:
    """Note of each call when it began and ended, and whether it succeeded."""

    async def noted(item: Item) -> Result:
        start, succeeded = time.perf_counter(), False
        try:
            result = await ask(item)
            succeeded = True
            return result
        finally:
            journal.append((start, time.perf_counter(), succeeded))

    return noted
