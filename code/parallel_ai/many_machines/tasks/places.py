"""Where tasks run: near their inputs, unless others have nothing to do."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from distributed import Client, Scheduler, Worker, wait

from parallel_ai.many_machines.tasks.moving import make_array
from parallel_ai.toolbox import cluster
from parallel_ai.toolbox.cluster import Span
from parallel_ai.toolbox.stopwatch import count_lasting, count_to
from parallel_ai.toolbox.workers import LIMIT


def _bytes_sent(dask_worker: Worker) -> int:
    return dask_worker.transfer_outgoing_bytes_total


def bytes_sent(client: Client) -> int:
    """Bytes that the workers have sent since they began, by Dask's count."""
    return sum(client.run(_bytes_sent).values())


def both(one: np.ndarray, other: np.ndarray) -> int:
    """Use two arrays, so that both have to be there."""
    return len(one) + len(other)


def runs_where(client: Client, sizes: tuple[int, int]) -> tuple[int, int]:
    """Run a task whose two inputs lie on two workers.

    Returns
    -------
    tuple of int
        Worker (0 or 1) that the scheduler chose; bytes that were moved.
    """
    workers = sorted(client.nthreads())[:2]
    made = [
        client.submit(make_array, size, workers=worker, pure=False)
        for size, worker in zip(sizes, workers, strict=True)
    ]
    wait(made, LIMIT)
    before = bytes_sent(client)
    with cluster.watched(client) as spans:
        wait(client.submit(both, *made, pure=False), LIMIT)
    (ran,) = {s.worker for s in spans if s.action == "compute"}
    return workers.index(ran), bytes_sent(client) - before


def _bandwidth(dask_scheduler: Scheduler) -> float:
    return dask_scheduler.bandwidth


def believed_bandwidth(client: Client) -> float:
    """Bytes a second between workers with which the scheduler reckons."""
    return float(client.run_on_scheduler(_bandwidth))


async def _steal(on: bool, dask_scheduler: Scheduler) -> None:
    stealing = dask_scheduler.extensions["stealing"]
    await (stealing.start() if on else stealing.stop())


def let_steal(client: Client, on: bool) -> None:
    """Let idle workers take waiting tasks from busy ones, or forbid it."""
    client.run_on_scheduler(_steal, on)


def count_beside(block: np.ndarray, far: int) -> int:
    """Count as far as told; the block has to be there."""
    return count_to(far)


def from_one_worker(
    client: Client, size: int, tasks: int, seconds: float
) -> list[Span]:
    """Run tasks whose inputs, a block each, all lie on one worker.

    As they do when the others have joined later, or have read less.

    Returns
    -------
    list of Span
        What the workers did; the tasks are called "count_beside".
    """
    first = min(client.nthreads())
    blocks = client.map(make_array, [size] * tasks, workers=first, pure=False)
    wait(blocks, LIMIT)
    far = [count_lasting(seconds)] * tasks
    with cluster.watched(client) as spans:
        wait(client.map(count_beside, blocks, far, pure=False), LIMIT)
    return spans


def shares(spans: Iterable[Span], workers: Sequence[str]) -> list[int]:
    """Count the tasks that each worker computed."""
    did = Counter(s.worker for s in spans if s.action == "compute")
    return [did[worker] for worker in workers]


def by_name(spans: Iterable[Span]) -> dict[str, tuple[int, float]]:
    """Sum up what workers did: times and seconds, by the task's name.

    What is not computing stands under the name of the action.
    """
    table: dict[str, tuple[int, float]] = {}
    for span in spans:
        name = span.name if span.action == "compute" else span.action
        times, seconds = table.get(name, (0, 0.0))
        table[name] = times + 1, seconds + span.stop - span.start
    return table


def busy_share(spans: Sequence[Span], threads: int) -> float:
    """Share of the workers' time, from first to last, in which they compute."""
    if not spans:
        return 0.0
    first = min(span.start for span in spans)
    last = max(span.stop for span in spans)
    computing = sum(s.stop - s.start for s in spans if s.action == "compute")
    return computing / (threads * (last - first))


def transferred(spans: Iterable[Span]) -> int:
    """Count how often a worker fetched inputs from another one."""
    return sum(span.action == "transfer" for span in spans)
