"""When the other side is slow, refuses or fails."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import aiohttp

from parallel_ai.one_machine.async_io.asking import (
    Refused,
    clocked,
    connect,
    map_tasks,
)

Item = TypeVar("Item")
Result = TypeVar("Result")
AGAIN = (Refused, TimeoutError, aiohttp.ClientConnectionError)


def within(
    ask: Callable[[Item], Awaitable[Result]], seconds: float
) -> Callable[[Item], Coroutine[Any, Any, Result]]:
    """Make a coroutine function that gives up after some seconds.

    It raises TimeoutError; what `ask` was waiting for is cancelled.
    """

    async def timed(item: Item) -> Result:
        async with asyncio.timeout(seconds):
            return await ask(item)

    return timed


def backoff(
    tries: int = 8,
    first: float = 0.05,
    most: float = 2.0,
    jitter: bool = True,
) -> Iterator[float]:
    """Seconds to wait after each failed try: twice as long each time.

    Parameters
    ----------
    first, most : float
        Bounds of the first wait and of every wait.
    jitter : bool
        Take a random part of each bound ("full jitter"), so that those who
        failed together don't come back together.
    """
    for number in range(tries):
        bound = min(most, first * 2**number)
        yield random.uniform(0, bound) if jitter else bound  # noqa: S311


def patiently(
    ask: Callable[[Item], Awaitable[Result]],
    delays: Callable[[], Iterable[float]] = backoff,
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> Callable[[Item], Coroutine[Any, Any, Result]]:
    """Make a coroutine function that tries again what may yet succeed.

    That is: refusals (429, 503), time-outs and lost connections. Whatever
    else is raised, such as for 404, would be raised again.

    Parameters
    ----------
    ask : coroutine function
        It must do no harm to call it twice: the first call may have been
        done although its answer was lost.
    delays : callable
        Gives the waits between tries; one try more than there are waits.
        What the service asks for (``Retry-After``) is added.
    """

    async def patient(item: Item) -> Result:
        for delay in delays():
            try:
                return await ask(item)
            except AGAIN as error:
                pause = delay + getattr(error, "after", 0.0)
            await sleep(pause)
        return await ask(item)  # the last try: its exception is the answer

    return patient


async def herd(
    port: int, clients: int, jitter: bool
) -> list[tuple[float, float, bool]]:
    """Let many clients ask at once, and again until each has its answer.

    Returns
    -------
    list of (start, end, succeeded)
        Every try, as `clocked` notes it.
    """
    journal: list[tuple[float, float, bool]] = []
    delays = partial(backoff, tries=20, first=0.02, jitter=jitter)
    async with connect(port, limit=0) as ask:
        await map_tasks(
            patiently(clocked(ask, journal), delays), [0] * clients, clients
        )
    return journal


async def call(
    name: str, turns: int, events: list[str], fails: bool = False
) -> str:
    """Wait for some turns of the loop, then fail or return.

    Raises
    ------
    ValueError
        If it `fails`.
    """
    try:
        for _ in range(turns):
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        events.append(f"{name} is cancelled")
        raise  # always: otherwise nobody can stop us
    events.append(f"{name} {'fails' if fails else 'returns'}")
    if fails:
        raise ValueError(name)
    return name


async def three_in_gather() -> list[str]:
    """Gather three calls, of which two fail; tell what happens."""
    events: list[str] = []
    tasks = [
        asyncio.create_task(call("A", 1, events, fails=True)),
        asyncio.create_task(call("B", 1, events, fails=True)),
        asyncio.create_task(call("C", 5, events)),
    ]
    try:
        await asyncio.gather(*tasks)
    except ValueError as error:
        events.append(f"the caller goes on with {error!r}")
    await asyncio.wait(tasks)  # without this line we would not see the rest
    return events


async def three_in_group() -> list[str]:
    """Let a group care for the same three calls; tell what happens."""
    events: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(call("A", 1, events, fails=True))
            group.create_task(call("B", 1, events, fails=True))
            group.create_task(call("C", 5, events))
    except* ValueError as errors:
        events.append(f"the caller goes on with {errors.exceptions!r}")
    return events
