"""What processes cost, and a model that predicts when they pay."""

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from parallel_ai.toolbox.stopwatch import measure
from parallel_ai.toolbox.workers import LIMIT, SAFE, executor, start_context


def nothing(_: Any = None) -> None:
    """Do nothing: what is left is the cost of having it done elsewhere."""


def start_one(method: str = SAFE) -> None:
    """Start one process that does nothing, and wait for its end."""
    context: Any = start_context(method)
    worker = context.Process(target=nothing)
    worker.start()
    worker.join(LIMIT)


def start_and_stop(workers: int = 2, method: str = SAFE) -> None:
    """Open an executor, let each worker do nothing once, and close it."""
    with executor(workers, method) as team:
        list(team.map(nothing, range(workers), timeout=LIMIT))


def send(team: ProcessPoolExecutor, values: Any) -> int:
    """Send `values` to a worker, which returns no more than their number."""
    return team.submit(len, values).result(LIMIT)


@dataclass(frozen=True)
class Costs:
    """What a machine charges for work that is done by other processes.

    Attributes
    ----------
    start : float
        Seconds to open and close an executor; once.
    task : float
        Seconds for each task.
    rate : float
        Bytes a second through pickle and pipe; one sender feeds everyone.
    """

    start: float
    task: float
    rate: float

    def seconds(
        self,
        items: int,
        item_seconds: float,
        item_bytes: float = 0,
        workers: int = 2,
        chunk: int | None = None,
    ) -> float:
        """Predict how long `items` take, `chunk` of them a task.

        Parameters
        ----------
        item_seconds, item_bytes : float
            Work on one item and size of it when sent.
        chunk : int, optional
            By default every worker gets one task.
        """
        chunk = chunk or max(1, math.ceil(items / workers))
        tasks = math.ceil(items / chunk)
        longest = min(items, math.ceil(tasks / workers) * chunk)
        return (
            self.start
            + tasks * self.task
            + items * item_bytes / self.rate
            + longest * item_seconds
        )

    def crossing(
        self, item_seconds: float, item_bytes: float = 0, workers: int = 2
    ) -> float:
        """Items from which on `workers` beat one process; may be infinite."""
        gain = item_seconds * (1 - 1 / workers) - item_bytes / self.rate
        fixed = self.start + workers * self.task
        return fixed / gain if gain > 0 else math.inf


def measure_costs(
    workers: int = 2, method: str = SAFE, size: int = 1 << 25
) -> Costs:
    """Measure this machine's `Costs` with tasks that do no work.

    Parameters
    ----------
    size : int
        Bytes that each worker is sent to find the rate.
    """
    start = measure(start_and_stop, workers, method, repeats=5).median
    with executor(workers, method) as team:
        many = range(500)
        tasks = measure(lambda: list(team.map(nothing, many)), repeats=3)
        loads = [np.ones(size // 8) for _ in range(workers)]
        sent = measure(lambda: list(team.map(len, loads)), repeats=3)
    return Costs(
        start=start,
        task=tasks.median / len(many),
        rate=workers * size / sent.median,
    )
