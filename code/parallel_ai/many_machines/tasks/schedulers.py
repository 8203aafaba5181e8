"""One graph, six ways to run it, and what a task costs in each of them."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import dask
import dask.multiprocessing
import dask.threaded
from distributed import Client

from parallel_ai.many_machines.tasks.graphs import (
    Graph,
    brackets,
    get_pool,
    get_serial,
    span,
    work,
)
from parallel_ai.many_machines.tasks.photos import photo_groups, photos_graph
from parallel_ai.one_machine.loops import python_mean
from parallel_ai.toolbox import cluster, machine
from parallel_ai.toolbox.stopwatch import (
    Timing,
    compare,
    count_lasting,
    count_to,
)
from parallel_ai.toolbox.workers import executor


def months_graph(paths: Sequence[str]) -> Graph:
    """Find the latest mean departure of some months, in pure Python."""
    graph: dict[Hashable, tuple[Any, ...]] = {
        ("mean", number): (python_mean, path)
        for number, path in enumerate(paths)
    }
    graph["total"] = (max, list(graph))
    return graph


def get_threads(graph: Graph, wanted: Any, workers: int) -> Any:
    """Run a graph by Dask's threaded scheduler, on threads that end.

    Those of ``num_workers=`` would wait for the next graph.
    """
    with ThreadPoolExecutor(workers) as pool:
        return dask.threaded.get(graph, wanted, pool=pool)


def ways(
    graph: Graph, wanted: Any, client: Client, pool: Executor
) -> dict[str, Callable[[], Any]]:
    """Run one graph by our schedulers and by Dask's; all return the same.

    Parameters
    ----------
    client
        Of a cluster of worker processes.
    pool : concurrent.futures.ProcessPoolExecutor
        With as many processes, started before.
    """
    workers = len(client.nthreads())
    return {
        "ours, serial": partial(get_serial, graph, wanted),
        "ours, pool": partial(get_pool, graph, wanted, pool, workers),
        "synchronous": partial(dask.get, graph, wanted),
        "threads": partial(get_threads, graph, wanted, workers),
        "processes": partial(
            dask.multiprocessing.get, graph, wanted, pool=pool
        ),
        "distributed": partial(client.get, graph, wanted),
    }


def tiny_tasks(
    client: Client, pool: Executor, tasks: int, seconds: float
) -> dict[str, Callable[[], list[int]]]:
    """Run independent tasks of a given length in six ways.

    Parameters
    ----------
    client, pool
        As in `ways`.
    seconds
        Work of a task, in pure Python.

    Returns
    -------
    dict of str to callable
        Each does all tasks, and returns their results.
    """
    far = count_lasting(seconds)
    batches = [
        [far] * len(range(start, tasks, 4 * len(client.nthreads())))
        for start in range(min(tasks, 4 * len(client.nthreads())))
    ]

    def by(get: Callable[..., Any], **options: Any) -> list[int]:
        graph = {("count", i): (count_to, far) for i in range(tasks)}
        return list(get(graph, list(graph), **options))

    def mapped() -> list[int]:
        return client.gather(client.map(count_to, [far] * tasks, pure=False))

    def one_by_one() -> list[int]:
        return client.gather(
            [client.submit(count_to, far, pure=False) for _ in range(tasks)]
        )

    def in_batches() -> list[int]:
        done = client.gather(client.map(count_all, batches, pure=False))
        return [count for batch in done for count in batch]

    workers = len(client.nthreads())
    return {
        "plain loop": lambda: [count_to(far) for _ in range(tasks)],
        "threads": partial(by, get_threads, workers=workers),
        "processes": partial(by, dask.multiprocessing.get, pool=pool),
        "distributed, submit": one_by_one,
        "distributed, map": mapped,
        "distributed, batches": in_batches,
    }


def count_all(numbers: Sequence[int]) -> list[int]:
    """Do a batch of the tasks, as one task."""
    return [count_to(number) for number in numbers]


def a_task(timing: Timing, tasks: int) -> Timing:
    """Divide the time of many equal tasks: seconds for each of them."""
    each = tuple(seconds / tasks for seconds in timing.seconds)
    return Timing(each, timing.clock, timing.loops)


@contextmanager
def teams(workers: int | None = None) -> Iterator[tuple[Client, Executor]]:
    """Start a cluster and a pool of processes, both with equal workers."""
    workers = workers or max(2, machine.cpus())
    with (
        cluster.local(workers) as client,
        executor(workers) as pool,
    ):
        list(pool.map(count_to, [1] * 4 * workers))
        yield client, pool


def task_seconds(
    tasks: int = 2000, seconds: float = 0.0, repeats: int = 5
) -> dict[str, Timing | float]:
    """Compare what schedulers take for a task; seconds are those of one.

    Returns
    -------
    dict
        Timings a task, the plain loop's first, then the limit: the loop's
        time divided by the CPUs, which no scheduler can pass.
    """
    with teams() as (client, pool):
        found = compare(tiny_tasks(client, pool, tasks, seconds), repeats)
    each: dict[str, Timing | float] = {
        way: a_task(timing, tasks) for way, timing in found.items()
    }
    cpus = machine.cpus()
    each[f"limit: loop / {cpus} CPUs"] = (
        min(found["plain loop"].seconds) / tasks / cpus
    )
    return each


def run_all(kinds: int | None = None, repeats: int = 3) -> dict[str, Any]:
    """Compare six schedulers on the photographs' graph, and its bounds."""
    graph = photos_graph(photo_groups(kinds))
    with teams() as (client, pool):
        found = compare(ways(graph, "total", client, pool), repeats)
    seconds: dict[Hashable, float] = {}
    get_serial(graph, "total", seconds)
    cpus = machine.cpus()
    least, _ = brackets(work(seconds), span(graph, "total", seconds), cpus)
    return {**found, f"limit: work / {cpus} CPUs, or span": least}
