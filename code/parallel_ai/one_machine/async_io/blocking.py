"""What one coroutine that does not let go does to all the others."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any

from parallel_ai.one_machine.threads import ask, ink


async def lateness(
    work: Callable[[], Awaitable[Any]], gap: float = 0.005
) -> list[float]:
    """Measure how late a task wakes while some work is done beside it.

    Parameters
    ----------
    work : coroutine function
        Done once.
    gap : float
        Seconds that the other task sleeps, again and again.

    Returns
    -------
    list of float
        For each sleep, by how many seconds it was too long.
    """
    late: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + gap
            await asyncio.sleep(gap)
            late.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        clock = group.create_task(tick())
        await asyncio.sleep(5 * gap)
        await work()
        await asyncio.sleep(5 * gap)
        clock.cancel()
    return late


async def ask_blocking(port: int) -> int:
    """Ask with a client that blocks the thread, and so the loop: wrong."""
    return ask(port, 0)


async def ask_in_thread(port: int) -> int:
    """Ask with the same client in a thread, and wait for it here."""
    return await asyncio.to_thread(ask, port, 0)


async def ink_blocking(stack: bytes) -> int:
    """Compute in the coroutine: nobody else runs meanwhile. Wrong."""
    return ink(stack)


async def ink_in_thread(stack: bytes) -> int:
    """Compute in a thread: now the loop has to fight for the GIL."""
    return await asyncio.to_thread(ink, stack)


async def ink_in_process(stack: bytes, pool: Executor) -> int:
    """Compute in another process, and wait for it here."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, ink, stack)
