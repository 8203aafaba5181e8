"""What a task costs beside its work, for five ways to run a loop."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from multiprocessing.pool import Pool

from parallel_ai.one_machine.loops.delays import loop_parallel, loop_serial
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.stopwatch import (
    Timing,
    compare,
    count_lasting,
    count_to,
)
from parallel_ai.toolbox.workers import SAFE, executor, start_context


def overhead_by_length(
    lengths: Mapping[float, int],
    workers: int | None = None,
    repeats: int = 5,
) -> dict[float, dict[str, Timing | float]]:
    """Time loops of equal tasks in five ways, and give their limits.

    All workers are started and have worked before the clock runs.

    Parameters
    ----------
    lengths : mapping of float to int
        Seconds of work of a task, and how many such tasks a loop has.
    workers : int, optional
        One for each CPU by default, at least 2.

    Returns
    -------
    dict
        By length: timings of the whole loop, the serial one first, then the
        limit in seconds: the serial time divided by the CPUs.
    """
    workers = workers or max(2, machine.cpus())
    with (
        executor(workers) as team,
        start_context(SAFE).Pool(workers) as pool,
    ):
        return {
            seconds: time_loop(seconds, tasks, workers, team, pool, repeats)
            for seconds, tasks in lengths.items()
        }


def time_loop(
    seconds: float,
    tasks: int,
    workers: int,
    team: Executor,
    pool: Pool,
    repeats: int,
) -> dict[str, Timing | float]:
    """Time one loop of equal tasks in every way, and give its limit."""
    items = [count_lasting(seconds)] * tasks
    chunk = -(-tasks // (4 * workers))  # what Pool.map chooses by itself
    loop = partial(loop_parallel, count_to, items, workers)
    ways: dict[str, Callable[[], list[int]]] = {
        "serial": partial(loop_serial, count_to, items),
        "joblib, loky": partial(loop, backend="loky"),
        "joblib, threading": partial(loop, backend="threading"),
        "ProcessPoolExecutor, one by one": lambda: list(
            team.map(count_to, items)
        ),
        "ProcessPoolExecutor, chunks": lambda: list(
            team.map(count_to, items, chunksize=chunk)
        ),
        "Pool": partial(pool.map, count_to, items),
    }
    found = compare(ways, repeats)
    cpus = machine.cpus()
    limit = min(found["serial"].seconds) / min(cpus, workers)
    return {**found, f"limit: serial / {min(cpus, workers)} CPUs": limit}


def overhead(
    seconds: float, tasks: int, workers: int | None = None, repeats: int = 5
) -> dict[str, Timing | float]:
    """Time loops of one length; see `overhead_by_length`."""
    return overhead_by_length({seconds: tasks}, workers, repeats)[seconds]
