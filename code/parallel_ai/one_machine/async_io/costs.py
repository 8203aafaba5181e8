"""What waiting costs: a call, a thread, a task; and Little's law."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import psutil

from parallel_ai.one_machine.async_io.asking import (
    client,
    clocked,
    connect,
    in_loop,
    labels_asyncio,
    labels_serial,
    labels_threads,
    map_tasks,
)
from parallel_ai.one_machine.async_io.slow_service import (
    LIMIT,
    counts,
    service,
)
from parallel_ai.toolbox.datasets import load
from parallel_ai.toolbox.stopwatch import Timing, compare
from parallel_ai.toolbox.workers import executor

ANSWER = 0.01  # seconds that the compared service takes
SLOTS = 8  # requests that it works on at once


def calls(count: int = 1000, repeats: int = 1) -> dict[str, Timing | float]:
    """Ask a slow service in three ways; say what it could do at best.

    It takes 10 ms for an answer and works on 8 at a time; the others wait
    in its queue, so 16 under way are enough to keep it busy.

    Returns
    -------
    dict
        Timings, serial first, with the labels as results; then the limit
        of the service in seconds, by Little's law.
    """
    labels = load("fashion-mnist")["train_labels"][:count]
    numbers, under_way = range(count), 2 * SLOTS
    with service(labels, ANSWER, slots=SLOTS) as port:
        timings = compare(
            {
                "serial": partial(labels_serial, port, numbers),
                f"{under_way} threads": partial(
                    labels_threads, port, numbers, under_way
                ),
                f"asyncio, {under_way} at a time": partial(
                    in_loop, labels_asyncio, port, numbers, under_way
                ),
            },
            repeats,
            warmup=0,
        )
    limit = f"limit: the service answers {SLOTS} at a time"
    return {**timings, limit: count * ANSWER / SLOTS}


class Flow(NamedTuple):
    """Calls through a service, as measured.

    Attributes
    ----------
    rate : float
        Answers a second.
    latency : float
        Mean seconds from a call to its answer.
    in_flight : float
        Mean number of calls under way, counted from moment to moment.
    """

    rate: float
    latency: float
    in_flight: float


async def flow(port: int, limit: int, count: int) -> Flow:
    """Make `count` calls, `limit` at a time, and measure their flow."""
    journal: list[tuple[float, float, bool]] = []
    async with connect(port, limit) as ask:
        await map_tasks(clocked(ask, journal), [0] * count, limit)
    first = min(start for start, _, _ in journal)
    span = max(end for _, end, _ in journal) - first
    return Flow(
        rate=count / span,
        latency=sum(end - start for start, end, _ in journal) / count,
        in_flight=_mean_in_flight(journal, span),
    )


def _mean_in_flight(
    journal: list[tuple[float, float, bool]], span: float
) -> float:
    """Follow the number of calls in flight from event to event."""
    events = [(start, 1) for start, _, _ in journal]
    events += [(end, -1) for _, end, _ in journal]
    area, here, before = 0.0, 0, 0.0
    for now, step in sorted(events):
        area += here * (now - before)
        here, before = here + step, now
    return area / span


class Waiting(NamedTuple):
    """What it cost to let many wait at the same time.

    Attributes
    ----------
    waiters : int
        How many waited.
    start, end : float
        Seconds until all were waiting, and from their release to their end.
    memory : int
        Bytes by which the process had grown when all were waiting.
    """

    waiters: int
    start: float
    end: float
    memory: int


def _memory() -> int:
    return int(psutil.Process().memory_info().rss)


def wait_in_threads(
    count: int,
    wait: Callable[[], object],
    present: Callable[[], int],
    release: Callable[[], object],
) -> Waiting:
    """Let threads wait until all are there, then release them.

    Returns
    -------
    Waiting
        Fewer than asked for where the system grants no more threads.
    """
    before, began = _memory(), time.perf_counter()
    team = [threading.Thread(target=wait) for _ in range(count)]
    started = 0
    try:
        for thread in team:
            thread.start()
            started += 1
    except RuntimeError:  # can't start new thread
        pass
    while present() < started and time.perf_counter() - began < LIMIT:
        time.sleep(0.001)
    memory, there = _memory() - before, time.perf_counter()
    release()
    for thread in team[:started]:
        thread.join()
    return Waiting(started, there - began, time.perf_counter() - there, memory)


async def wait_in_tasks(
    count: int,
    wait: Callable[[], Awaitable[object]],
    present: Callable[[], Awaitable[int]],
    release: Callable[[], Awaitable[object]],
) -> Waiting:
    """Let tasks wait until all are there, then release them.

    Raises
    ------
    TimeoutError
        They have not come to wait in time.
    """

    async def waiter() -> None:
        await wait()

    before, began = _memory(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(waiter())
        while await present() < count:
            if time.perf_counter() - began > LIMIT:
                raise TimeoutError(f"{count} tasks have not come to wait")
            await asyncio.sleep(0.001)
        memory, there = _memory() - before, time.perf_counter()
        await release()
    return Waiting(count, there - began, time.perf_counter() - there, memory)


def _bare_threads(count: int) -> Waiting:
    """Let threads wait for an event of this process."""
    gate, there = threading.Event(), list[None]()

    def wait() -> None:
        there.append(None)
        gate.wait(LIMIT)

    return wait_in_threads(count, wait, lambda: len(there), gate.set)


def _bare_tasks(count: int) -> Waiting:
    """Let tasks wait for an event of this process."""

    async def main() -> Waiting:
        gate, there = asyncio.Event(), list[None]()

        async def wait() -> None:
            there.append(None)
            await gate.wait()

        async def present() -> int:
            return len(there)

        async def release() -> None:
            gate.set()

        return await wait_in_tasks(count, wait, present, release)

    return asyncio.run(main())


def _calling_threads(count: int, port: int) -> Waiting:
    """Let threads wait for answers of a service that holds them back."""
    with client(port) as ask:
        return wait_in_threads(
            count,
            lambda: ask(0),
            lambda: counts(port)["here"],
            lambda: counts(port, "release"),
        )


def _calling_tasks(count: int, port: int) -> Waiting:
    """Let tasks wait for answers of a service that holds them back."""

    async def main() -> Waiting:
        async def present() -> int:
            return (await asyncio.to_thread(counts, port))["here"]

        async with connect(port, limit=0) as ask:
            return await wait_in_tasks(
                count,
                partial(ask, 0),
                present,
                partial(asyncio.to_thread, counts, port, "release"),
            )

    return asyncio.run(main())


def waiting(count: int, calls: bool) -> dict[str, Waiting]:
    """Measure threads and tasks that wait, each kind in a fresh process.

    Parameters
    ----------
    calls : bool
        Whether they wait for a service, or for an event in their process.
    """
    found = {}
    for name, real, bare in (
        ("threads", _calling_threads, _bare_threads),
        ("tasks", _calling_tasks, _bare_tasks),
    ):
        with executor(1) as pool:
            if not calls:
                found[name] = pool.submit(bare, count).result(LIMIT)
                continue
            with service([0], held=True) as port:
                found[name] = pool.submit(real, count, port).result(LIMIT)
    return found


def sockets() -> int:
    """Sockets and files that this process may have open at once."""
    try:
        import resource
    except ImportError:  # Windows counts its handles otherwise
        return 8192
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1_000_000)
