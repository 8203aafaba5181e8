"""What goes wrong with futures and graphs, each shown and cured."""

import logging
import random
import warnings
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from dask.delayed import Delayed
from distributed import (
    Client,
    Event,
    Scheduler,
    Worker,
    get_client,
    worker_client,
)

from parallel_ai.toolbox.cluster import wait_until
from parallel_ai.toolbox.workers import LIMIT


def roll() -> float:
    """Return a random number: other results for equal arguments."""
    return random.random()  # noqa: S311 - no secret


def reciprocal(number: int) -> float:
    """Fail for 0."""
    return 1 / number


def centred_in_place(values: np.ndarray) -> float:
    """Return the mean, and spoil the input: it is centred afterwards."""
    mean = float(values.mean())
    values -= mean
    return mean


def mean_within(values: np.ndarray, number: int) -> float:
    """Mean of the values, and one more number that tells calls apart."""
    return float(values.mean()) + number


def _most_given(keys: set[Hashable], dask_scheduler: Scheduler) -> int:
    given = most = 0
    for key, before, after, *_ in dask_scheduler.transition_log:
        if key in keys:
            given += (after == "processing") - (before == "processing")
            most = max(most, given)
    return most


def most_given(client: Client, keys: Iterable[Hashable]) -> int:
    """Count how many of some tasks the workers had at a time, at most."""
    return int(client.run_on_scheduler(_most_given, set(keys)))


def computed_in_the_loop(notes: Sequence[Delayed]) -> list[Any]:
    """Compute one note after the other: each waits for the last. Wrong."""
    return [note.compute() for note in notes]


@contextmanager
def warned() -> Iterator[list[str]]:
    """Collect the first line of each warning in a block."""
    first_lines: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield first_lines
    first_lines += [str(w.message).splitlines()[0] for w in caught]


def held(client: Client) -> int:
    """Count the results that the workers hold."""
    return len({key for keys in client.has_what().values() for key in keys})


def hold(name: str, number: int) -> int:
    """Keep a worker busy until someone sets the event of that name.

    Raises
    ------
    TimeoutError
        Nobody set it.
    """
    if not Event(name).wait(timeout=LIMIT):
        raise TimeoutError(f"nobody set {name!r} for {LIMIT} seconds")
    return number


@contextmanager
def busy(client: Client, name: str) -> Iterator[None]:
    """Keep all workers busy while a block runs."""
    threads = sum(client.nthreads().values())
    holders = client.map(
        hold, [name] * threads, range(threads), pure=False, priority=10
    )
    try:
        wait_until(lambda: len(_running(client)) >= threads, "every thread")
        yield
    finally:
        Event(name, client).set()
        client.gather(holders)


def _running(client: Client) -> list[Hashable]:
    """Keys that workers have been given and not yet done."""
    return [key for keys in client.processing().values() for key in keys]


def _known(key: str, dask_worker: Worker) -> bool:
    return key in dask_worker.state.tasks


def known(client: Client, key: str) -> bool:
    """Tell whether any worker has been given a task, and not let go of it."""
    return any(client.run(_known, key).values())


def _quiet() -> None:
    logging.getLogger("distributed.worker").setLevel(logging.CRITICAL)


def quiet(client: Client) -> None:
    """Let workers not log each error that a task raises: we will show it."""
    client.run(_quiet)


def leave_mark(path: str) -> None:
    """Create an empty file."""
    Path(path).touch()


def add_up_blocking(numbers: Sequence[int], patience: float) -> int:
    """Add up by halves, each a task; who waits keeps its thread. Wrong."""
    if len(numbers) <= 2:
        return sum(numbers)
    client, middle = get_client(), len(numbers) // 2
    halves = [
        client.submit(add_up_blocking, half, patience, pure=False)
        for half in (numbers[:middle], numbers[middle:])
    ]
    try:
        return sum(half.result(timeout=patience) for half in halves)
    finally:  # let go: the error of one who gives up would keep them
        client.cancel(halves)


def add_up(numbers: Sequence[int]) -> int:
    """Add up by halves, each a task; who waits gives its thread away."""
    if len(numbers) <= 2:
        return sum(numbers)
    middle = len(numbers) // 2
    with worker_client() as client:
        halves = [numbers[:middle], numbers[middle:]]
        return sum(client.gather(client.map(add_up, halves, pure=False)))
