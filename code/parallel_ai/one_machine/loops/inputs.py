"""What a task receives and when: files in place of copies, and the traps."""

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from parallel_ai.one_machine.loops.delays import Item, Result
from parallel_ai.toolbox.workers import LIMIT


class Arrival(NamedTuple):
    """What an array is, once it has reached the task."""

    kind: str
    in_a_file: bool
    writable: bool


def arrival(values: np.ndarray) -> Arrival:
    """Tell how this array came here."""
    in_a_file = getattr(values, "filename", None) is not None
    return Arrival(type(values).__name__, in_a_file, values.flags.writeable)


def nearest(rows: np.ndarray, number: int) -> int:
    """Find the image that is most like one image, by all their pixels.

    Parameters
    ----------
    rows : array of shape (n, pixels), float32
        All images, at least two.
    number : int
        Which of them.

    Returns
    -------
    int
        Row of the other image at the least Euclidean distance.
    """
    squares = np.einsum("ij,ij->i", rows, rows)
    apart = squares - 2 * (rows @ rows[number])
    apart[number] = np.inf
    return int(np.argmin(apart))


def spread_in_place(rows: np.ndarray) -> float:
    """Measure how far pixels are from their means; spoils the rows."""
    rows -= rows.mean(axis=0)
    return float(np.sqrt(np.mean(rows**2)))


def spread(rows: np.ndarray) -> float:
    """Compute the same and leave the rows as they were."""
    centred = rows - rows.mean(axis=0)
    return float(np.sqrt(np.mean(centred**2)))


def refilled(buffer: np.ndarray, times: int) -> Iterator[np.ndarray]:
    """Fill one array with 0, with 1, with 2, … and hand it out each time.

    Readers of files, cameras and simulations do so to save memory.
    """
    for number in range(times):
        buffer[:] = number
        yield buffer


def took(
    items: Iterable[Item], taken: list[int], exhausted: threading.Event
) -> Iterator[Item]:
    """Pass items on, note how many were taken, and when there are no more."""
    for number, item in enumerate(items):
        taken.append(number)
        yield item
    exhausted.set()


def ran_ahead(
    loop: Callable[[Iterable[int]], Iterator[Any]],
    tasks: int = 100,
    seconds: float = LIMIT,
) -> int:
    """Count the tasks taken while the caller looks at the first result.

    Parameters
    ----------
    loop : callable
        Takes the numbers of the tasks, yields results.
    seconds : float
        How long the caller looks, at most; less if all are taken before.
    """
    taken: list[int] = []
    exhausted = threading.Event()
    results = loop(took(range(tasks), taken, exhausted))
    next(results)
    exhausted.wait(seconds)
    count = len(taken)
    for _ in results:  # let the loop end by itself
        pass
    return count


def as_generator(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int = 2,
    **options: Any,
) -> Iterator[Result]:
    """Yield results as they are ready, in the order of the items."""
    team = Parallel(workers, return_as="generator", **options)
    yield from team(delayed(function)(item) for item in items)


def in_rounds(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int = 2,
    size: int = 8,
    **options: Any,
) -> Iterator[Result]:
    """Yield the same, but begin a round only when the last one is used up.

    Never are more than `size` items taken whose results the caller has not
    had. The price: at the end of each round some workers wait.
    """
    source = iter(items)
    with Parallel(workers, **options) as team:
        while part := list(islice(source, size)):
            yield from team(delayed(function)(item) for item in part)
