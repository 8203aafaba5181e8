"""The same chance for any number of workers: a stream for each task."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, TypeVar

import numpy as np

from parallel_ai.one_machine.randomness.seeding import stream
from parallel_ai.toolbox.workers import LIMIT, SAFE, bounds, executor

Result = TypeVar("Result")
Task = Callable[[np.random.Generator], Result]

_kept: Task[Any] | None = None  # every worker has its own


def draw_shared(
    task: Task[Result], count: int, seed: int, workers: int = 2
) -> list[Result]:
    """Do a task so many times, all threads drawing from *one* stream.

    A Generator locks itself for each call, so no number is drawn twice.
    But who draws which is decided by the operating system.
    """
    rng = stream(seed)
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda _: task(rng), range(count)))


def draw_by_worker(
    task: Task[Result], count: int, seed: int, workers: int = 2
) -> list[Result]:
    """Do a task so many times, with a stream for each *worker*.

    Sound statistics, but another number of workers gives other results.
    """

    def work(number: int, tasks: int) -> list[Result]:
        rng = stream(seed, number)
        return [task(rng) for _ in range(tasks)]

    sizes = [stop - start for start, stop in bounds(count, workers)]
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(work, range(len(sizes)), sizes)
        return [result for part in found for result in part]


def draw_serial(task: Task[Result], count: int, seed: int) -> list[Result]:
    """Do a task so many times, with a stream for each *time*.

    Parameters
    ----------
    task : callable
        Takes a Generator; all its chance comes from there.
    count : int
        How often to call it, on streams 0, 1, … of the seed.
    seed : int

    Returns
    -------
    list
        The results, in the order of the streams.
    """
    return [task(stream(seed, number)) for number in range(count)]


def draw_threads(
    task: Task[Result], count: int, seed: int, workers: int = 2
) -> list[Result]:
    """Do the same by threads: the same results, bit for bit."""
    with ThreadPoolExecutor(workers) as pool:
        return list(
            pool.map(lambda number: task(stream(seed, number)), range(count))
        )


def draw_processes(
    task: Task[Result],
    count: int,
    seed: int,
    workers: int = 2,
    method: str = SAFE,
) -> list[Result]:
    """Do the same by processes: the same results, bit for bit.

    The task is sent once to each worker, with all the data it holds; then
    a message is a seed and a number, whatever the generator's state takes.
    """
    some = max(1, count // (4 * workers))
    with executor(workers, method, keep_task, (task,)) as team:
        found = team.map(
            draw_kept,
            [seed] * count,
            range(count),
            chunksize=some,
            timeout=LIMIT,
        )
        return list(found)


def keep_task(task: Task[Any]) -> None:
    """First act of a worker: hold on to the task."""
    global _kept
    _kept = task


def draw_kept(seed: int, number: int) -> Any:
    """Do the task that this worker holds, on one stream.

    Raises
    ------
    RuntimeError
        This worker holds none.
    """
    if _kept is None:
        raise RuntimeError("this worker was given no task")
    return _kept(stream(seed, number))


def in_workers(
    function: Callable[..., Result],
    arguments: Sequence[tuple[Any, ...]],
    method: str = SAFE,
) -> list[Result]:
    """Call a function once for each arguments, each in a worker of its own."""
    with ExitStack() as stack:
        futures = [
            stack.enter_context(executor(1, method)).submit(function, *given)
            for given in arguments
        ]
        return [future.result(LIMIT) for future in futures]
