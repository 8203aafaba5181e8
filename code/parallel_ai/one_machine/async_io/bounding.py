"""Never more under way than is good: workers, queues with room, a pace."""

import asyncio
import time
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
)
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def map_workers(
    function: Callable[[Item], Awaitable[Result]],
    items: Iterable[Item],
    limit: int = 100,
) -> list[Result]:
    """Do the same as `map_tasks` with `limit` tasks, however many items.

    Each worker takes an item when it is free for one, so that the items may
    come from a generator and need not exist all at once.

    Raises
    ------
    ExceptionGroup
        What the function raised; the other workers are cancelled.
    ValueError
        The limit is less than 1.
    """
    if limit < 1:
        raise ValueError(f"need a limit of at least 1, got {limit}")
    todo = enumerate(items)  # shared: nobody comes between `next` and us
    results: dict[int, Result] = {}

    async def worker() -> None:
        for place, item in todo:
            results[place] = await function(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(limit):
            group.create_task(worker())
    return [results[place] for place in range(len(results))]


class Pace:
    """Let callers begin at a steady rate, and no faster.

    Parameters
    ----------
    rate : float
        Turns a second.
    """

    def __init__(self, rate: float) -> None:
        self.gap = 1 / rate
        self.free = 0.0  # the time from which on the next turn is free

    async def turn(self) -> None:
        """Wait for a turn; turns are given in the order of asking."""
        now = asyncio.get_running_loop().time()
        start = max(now, self.free)
        self.free = start + self.gap  # no await since we read it: no race
        await asyncio.sleep(start - now)


def paced(
    ask: Callable[[Item], Awaitable[Result]], rate: float
) -> Callable[[Item], Coroutine[Any, Any, Result]]:
    """Make a coroutine function that begins at most `rate` calls a second."""
    pace = Pace(rate)

    async def calm(item: Item) -> Result:
        await pace.turn()
        return await ask(item)

    return calm


async def arrivals(items: Iterable[Item], rate: float) -> AsyncIterator[Item]:
    """Deliver items like a camera does, so many a second."""
    pace = Pace(rate)
    for item in items:
        await pace.turn()
        yield item


async def pipeline(
    source: AsyncIterable[Item],
    function: Callable[[Item], Awaitable[Result]],
    workers: int,
    room: int,
    backlog: list[tuple[float, int]],
) -> list[Result]:
    """Let workers take from a queue what a source puts into it.

    Parameters
    ----------
    source : async iterable
        It is asked for the next item only when the last one found room.
    workers : int
        At least 1.
    room : int
        Items that the queue holds; 0 for any number.
    backlog : list
        Gets (time, items in the queue) for each change.

    Returns
    -------
    list
        Results in the order of the source.

    Raises
    ------
    ExceptionGroup
        What source or function raised; everybody else is cancelled, so
        that nobody waits at a queue whose other end is dead.
    """
    queue: asyncio.Queue[tuple[int, Item] | None] = asyncio.Queue(room)
    results: dict[int, Result] = {}

    def note() -> None:
        backlog.append((time.perf_counter(), queue.qsize()))

    async def produce() -> None:
        place = 0
        async for item in source:
            await queue.put((place, item))  # waits while there is no room
            note()
            place += 1
        for _ in range(workers):
            await queue.put(None)  # for each worker: that was all

    async def work() -> None:
        while (taken := await queue.get()) is not None:
            note()
            place, item = taken
            results[place] = await function(item)

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        for _ in range(workers):
            group.create_task(work())
    return [results[place] for place in range(len(results))]
